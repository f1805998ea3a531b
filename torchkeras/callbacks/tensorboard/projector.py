"""Embeddings for TensorBoard's projector: tables of numbers, labels, and the file that names both."""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from torchkeras.utils.atomic import atomic_text

CONFIG = "projector_config.pbtxt"


def embedding_layers(model: Any, names: Sequence[str] | None) -> dict[str, Any]:
    """The layers to show by name: those asked for, else all embeddings.

    Raises:
        ValueError: a name that no layer has.
    """
    layers: dict[str, Any] = {str(getattr(layer, "name", "")): layer for layer in getattr(model, "layers", ())}
    unknown = [name for name in names or () if name not in layers]
    if unknown:
        raise ValueError(f"TensorBoard got embeddings_layer_names with {unknown[0]!r}, but the model's layers are {sorted(layers)}.")
    if names:
        return {name: layers[name] for name in names}
    return {name: layer for name, layer in layers.items() if type(layer).__name__ == "Embedding" or isinstance(layer, nn.Embedding)}


class Projector:
    """The embeddings of a model in a log directory.

    Args:
        log_dir: Where `projector_config.pbtxt` and the tables go.
        model: The model.
        names: Layers to show; `None` or empty: all embeddings.
        metadata: The file with the labels of all layers, or by layer name a file (relative to `log_dir`) or the labels themselves.
        data: Inputs whose outputs at the layers are shown; `None`: the layers' tables.

    Raises:
        ValueError: a layer in `names` or `metadata` that is not there.
    """

    def __init__(
        self, log_dir: str, model: Any, names: Sequence[str] | None, metadata: str | os.PathLike[str] | Mapping[str, Any] | None, data: Any
    ) -> None:
        self.log_dir, self.model, self.data = log_dir, model, data
        self.layers = embedding_layers(model, names)
        if isinstance(metadata, Mapping):
            unknown = sorted(set(metadata) - set(self.layers))
            if unknown:
                raise ValueError(
                    f"Unrecognized Embedding layer names in embeddings_metadata of TensorBoard: {unknown}. Those shown are {sorted(self.layers)}."
                )
            self.metadata = dict(metadata)
        else:
            self.metadata = {} if metadata is None else dict.fromkeys(self.layers, os.fspath(metadata))
        os.makedirs(log_dir, exist_ok=True)
        self._write_config()

    def _file(self, name: str, what: str) -> str:
        return f"{re.sub(r'[^A-Za-z0-9_.-]', '_', name)}_{what}.tsv"

    def _write_config(self) -> None:
        from google.protobuf import text_format
        from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

        config = ProjectorConfig()
        for name in self.layers:
            entry = config.embeddings.add()
            entry.tensor_name = f"{name}/embeddings"
            entry.tensor_path = self._file(name, "embedding")
            labels = self.metadata.get(name)
            if isinstance(labels, (str, os.PathLike)):
                entry.metadata_path = os.fspath(labels)
            elif labels is not None:
                entry.metadata_path = self._file(name, "labels")
                with atomic_text(os.path.join(self.log_dir, entry.metadata_path)) as file:
                    file.writelines(str(label).replace("\t", " ").replace("\n", " ") + "\n" for label in labels)
        with atomic_text(os.path.join(self.log_dir, CONFIG)) as file:
            file.write(text_format.MessageToString(config))

    def write(self) -> None:
        """Write the tables as they are now."""
        for name, table in self._tables():
            text = io.StringIO()
            np.savetxt(text, table.reshape(len(table), -1), fmt="%.6g", delimiter="\t")
            with atomic_text(os.path.join(self.log_dir, self._file(name, "embedding"))) as file:
                file.write(text.getvalue())

    def _tables(self) -> Iterator[tuple[str, np.ndarray]]:
        if self.data is None:
            for name, layer in self.layers.items():
                weight = layer.weight if hasattr(layer, "weight") else layer.weights[0]
                yield name, torch.as_tensor(weight).detach().float().cpu().numpy()
            return
        with watch_outputs(self.layers) as found:
            self.model.predict(self.data, verbose=0)
        for name, parts in found.items():
            yield name, np.concatenate(parts)


@contextlib.contextmanager
def watch_outputs(layers: Mapping[str, Any], samples: int | None = None) -> Iterator[dict[str, list[np.ndarray]]]:
    """What layers put out while the block runs, by name, a list of arrays each.

    Args:
        layers: The layers by name.
        samples: Stop at so many samples of each; `None`: all.
    """
    found: dict[str, list[np.ndarray]] = {name: [] for name in layers}

    def listen(name: str) -> Any:
        def seen(module: Any, args: Any, output: Any) -> None:
            for tensor in output if isinstance(output, (list, tuple)) else [output]:
                room = None if samples is None else samples - sum(len(part) for part in found[name])
                if isinstance(tensor, torch.Tensor) and tensor.dim() and tensor.device.type != "meta" and (room is None or room > 0):
                    found[name].append(tensor[:room].detach().float().cpu().numpy())

        return seen

    handles = [layer.register_forward_hook(listen(name)) for name, layer in layers.items() if isinstance(layer, nn.Module)]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
