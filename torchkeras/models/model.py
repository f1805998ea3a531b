"""`Model`: a network that can be trained, evaluated and saved."""

from __future__ import annotations

from typing import Any

from torch import nn

from torchkeras import generations
from torchkeras.callbacks.find_lr import LearningRateSearch, find_lr
from torchkeras.callbacks.standard import standard_callbacks, with_bar
from torchkeras.graph.config import build_graph, graph_config
from torchkeras.layers.base import layer_registry
from torchkeras.models.keras1 import Keras1Calls
from torchkeras.models.saves import Saves
from torchkeras.saving.model_config import admitting, prepare


@layer_registry.add("Functional")
class Model(Saves, Keras1Calls):
    """A graph of layers, or a subclass with its own `call`, with `compile / fit / evaluate / predict`.

    Args:
        inputs: Symbolic tensor(s) to start from: one, a list, or a dict by name.
        outputs: Symbolic tensor(s) to compute.
        name: Unique name; `None`: made from the class name.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `Model`.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        first = args[0] if args else kwargs.get("inputs")
        if isinstance(first, type) and issubclass(first, nn.Module):
            raise TypeError(f"Model(module) takes an nn.Module, but got the class {first.__name__}: write Model({first.__name__}(...)).")
        if cls is Model and isinstance(first, nn.Module):
            return super().__new__(_wrapper[0])
        model = super().__new__(cls)
        model.__dict__["_release"] = generations.release()  # files have its form, also where another is chosen later
        return model

    @property
    def config_class_name(self) -> str | None:
        """What configs call this class; `None`: its own name."""
        return generations.choose("config.functional") if type(self) is Model and self.is_graph_network else None

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

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """Make a model from `get_config()`, of any release.

        Raises:
            UnsafeConfigError: the config brings code, or names an object that is neither the library's nor the caller's.
            ValueError: its calls refer to layers that it does not have.
        """
        config = prepare(config, custom_objects)
        if "layers" not in config or "input_layers" not in config:
            return cls(**config)
        with admitting():
            inputs, outputs, beside = build_graph(config, custom_objects)
        model = cls(inputs=inputs, outputs=outputs, name=config.get("name"), trainable=config.get("trainable", True))
        model.compute_also(beside)
        return model

    def find_lr(self, x: Any, y: Any = None, **options: Any) -> LearningRateSearch:
        """Train for some steps with rising learning rates, to see where the loss falls fastest; model and optimizer are then as before.

        Args:
            x, y: Data, as for `fit`.
            **options: Those of `torchkeras.callbacks.find_lr`: start_lr, end_lr, num_iter, batch_size, ...

        Returns:
            What was found: `.suggestion` is a rate, `.plot("search.png")` draws the curve.
        """
        return find_lr(self, x, y, **options)

    def _fit_callbacks(self, given: list[Any], verbose: Any, arrays: bool) -> tuple[Any, list[Any]]:
        return standard_callbacks(given, verbose, arrays)

    def _test_callbacks(self, given: list[Any], verbose: Any, arrays: bool) -> list[Any]:
        return with_bar(given, verbose, arrays)


# `Model(module)` makes one of these; models.wrapped sets it
_wrapper: list[type[Model]] = []
