"""`Model`: a network that can be trained, evaluated and saved."""

from __future__ import annotations

import os
from typing import Any

from torch import nn

from torchkeras.callbacks.standard import standard_callbacks, with_bar
from torchkeras.graph.config import build_graph, graph_config
from torchkeras.layers.base import layer_registry
from torchkeras.saving.model_weights import load_weights, save_weights
from torchkeras.training.trainer import Trainer


@layer_registry.add("Functional")
class Model(Trainer):
    """A graph of layers, or a subclass with its own `call`, with `compile / fit / evaluate / predict`.

    Args:
        inputs: Symbolic tensor(s) to start from: one, a list, or a dict by name.
        outputs: Symbolic tensor(s) to compute.
        name: Unique name; `None`: made from the class name.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `Model`.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        first = args[0] if args else kwargs.get("inputs")
        if cls is Model and isinstance(first, nn.Module) and not isinstance(first, type):
            return super().__new__(_wrapper[0])
        return super().__new__(cls)

    def get_config(self) -> dict[str, Any]:
        """The graph as plain data.

        Raises:
            NotImplementedError: a subclassed model, whose code is not data.
        """
        if not self.is_graph_network:
            raise NotImplementedError(
                f"Model '{self.name}' is subclassed: its call() is code, not data. Write get_config(), or save its weights only."
            )
        return graph_config(self)

    def save_weights(self, filepath: Any, overwrite: bool = True) -> None:
        """Write the weights to an HDF5 file, whole or not at all.

        Args:
            filepath: Where to.
            overwrite: Whether to replace a file that is there.

        Raises:
            ValueError: the model is not built.
            FileExistsError: the file is there, and `overwrite` is False.
        """
        if not overwrite and os.path.exists(filepath):
            raise FileExistsError(f"{filepath} is there already. Remove it, choose another name, or pass overwrite=True.")
        save_weights(self, filepath)

    def load_weights(self, filepath: Any, by_name: bool = False, skip_mismatch: bool = False) -> None:
        """Read weights from an HDF5 file: all, or none where something does not fit.

        Args:
            filepath: A file of weights or of a whole model.
            by_name: Match layers by their names instead of their order.
            skip_mismatch: With `by_name`, pass over layers whose weights do not fit.

        Raises:
            ValueError: the model is not built, or a layer does not fit.
        """
        load_weights(self, filepath, by_name=by_name, skip_mismatch=skip_mismatch)

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """Make a model from `get_config()`."""
        if "layers" not in config or "input_layers" not in config:
            return cls(**config)
        inputs, outputs = build_graph(config, custom_objects)
        return cls(inputs=inputs, outputs=outputs, name=config.get("name"), trainable=config.get("trainable", True))

    def _fit_callbacks(self, given: list[Any], verbose: Any, arrays: bool) -> tuple[Any, list[Any]]:
        return standard_callbacks(given, verbose, arrays)

    def _test_callbacks(self, given: list[Any], verbose: Any, arrays: bool) -> list[Any]:
        return with_bar(given, verbose, arrays)


# `Model(module)` makes one of these; models.wrapped sets it
_wrapper: list[type[Model]] = []
