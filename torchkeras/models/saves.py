"""The saving methods of models."""

from __future__ import annotations

import os
from typing import Any

from torchkeras.exporting import to_torch
from torchkeras.models.files import check_new, save_model
from torchkeras.saving.model_config import to_json
from torchkeras.saving.model_weights import save_weights
from torchkeras.saving.state_files import ENDINGS, save_state_weights
from torchkeras.saving.weight_files import load_weights
from torchkeras.training.fully_sharded import is_sharded, whole_weights


class Saves:
    """What a model has to write itself to files and to read its weights from them."""

    def save(self, filepath: Any, overwrite: bool = True, include_optimizer: bool = True, save_format: str | None = None) -> None:
        """Write the model to a file, whole or not at all: see `save_model`."""
        if include_optimizer and is_sharded(self):
            raise ValueError(
                f"Model '{self.name}' is sharded, and so is its optimizer's state, of which this process has a part. "  # type: ignore[attr-defined]
                "Save the model with include_optimizer=False, or its weights: save_weights(), ModelCheckpoint(save_weights_only=True)."
            )
        with whole_weights(self) as writes:
            if writes:
                save_model(self, filepath, overwrite, include_optimizer, save_format)

    def save_weights(self, filepath: Any, overwrite: bool = True) -> None:
        """Write the weights to a file, whole or not at all: HDF5 as Keras has it, or, named `.pt` or `.safetensors`, a state dict as torch has it.

        Args:
            filepath: Where to.
            overwrite: Whether to replace a file that is there.

        Raises:
            ValueError: the model is not built.
            FileExistsError: the file is there, and `overwrite` is False.
        """
        with whole_weights(self) as writes:
            if writes:
                self._save_weights(filepath, overwrite)

    def _save_weights(self, filepath: Any, overwrite: bool) -> None:
        check_new(filepath, overwrite)
        kind = ENDINGS.get(os.path.splitext(os.fspath(filepath))[1].lower()) if isinstance(filepath, (str, os.PathLike)) else None
        if kind is not None:
            save_state_weights(self, filepath, kind)
        else:
            save_weights(self, filepath)  # type: ignore[arg-type]

    def load_weights(self, filepath: Any, by_name: bool = False, skip_mismatch: bool = False) -> None:
        """Read weights from a file: all, or none where something does not fit.

        Args:
            filepath: A file of weights or of a whole model, of any Keras or of torch (a state dict in a `.pt` or `.safetensors` file).
            by_name: Match layers by their names instead of their order; layers without a match keep their weights.
            skip_mismatch: With `by_name`, or for a file of Keras 3, pass over layers whose weights do not fit.

        Raises:
            ValueError: the model is not built, or a layer does not fit.
        """
        with whole_weights(self, changes=True):
            load_weights(self, filepath, by_name=by_name, skip_mismatch=skip_mismatch)  # type: ignore[arg-type]

    def to_json(self, **kwargs: Any) -> str:
        """The architecture as JSON text, for `model_from_json` here and in genuine Keras.

        Args:
            **kwargs: For `json.dumps`, such as `indent`.

        Raises:
            NotImplementedError: a subclassed model, or a layer that does not keep what it was made of.
            ValueError: a function without a name, or a raw nn.Module.
        """
        return to_json(self, **kwargs)

    def to_yaml(self, **kwargs: Any) -> str:
        """Refused: no YAML is written or read, since reading it can run code.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError("to_yaml is not here: reading YAML can run code. Use to_json() and model_from_json().")

    def to_torch(self, *, source: bool = False) -> Any:
        """A plain torch module that computes the same, with copies of the weights: see `torchkeras.exporting.to_torch`.

        Args:
            source: Also give the Python text of such a module, which runs without torchkeras: (module, text).

        Raises:
            ExportError: the model is subclassed or not built, or a layer has no plain form; the message names it and says why.
        """
        return to_torch(self, source=source)
