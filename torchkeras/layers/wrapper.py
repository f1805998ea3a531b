"""`Wrapper`: a layer around a layer."""

from __future__ import annotations

from typing import Any

from torch import nn

from torchkeras.layers.base import Layer, layer_registry
from torchkeras.layers.config import base_config
from torchkeras.layers.serialization import deserialize, serialize


@layer_registry.add()
class Wrapper(Layer):
    """Base of layers that change what another layer does. The weights are those of the layer inside.

    Args:
        layer: The layer inside.

    Raises:
        ValueError: something that is no layer, or an `activity_regularizer`, which belongs to the layer inside.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `Wrapper`.
    """

    layer: Any

    def __init__(self, layer: Any, **kwargs: Any) -> None:
        if not isinstance(layer, nn.Module):
            raise ValueError(f"{type(self).__name__} needs a layer to wrap, but got {layer!r}.")
        if kwargs.get("activity_regularizer") is not None:
            raise ValueError(f"{type(self).__name__} takes no activity_regularizer: give it to the layer inside.")
        super().__init__(**kwargs)
        self.keep_layer(layer)

    def keep_layer(self, layer: nn.Module) -> None:
        """Take in the layer to wrap."""
        self.layer = layer

    @property
    def activity_regularizer(self) -> Any:  # type: ignore[override]
        """That of the layer inside."""
        layer = self.__dict__.get("layer", self._modules.get("layer"))
        return getattr(layer, "activity_regularizer", None)

    @activity_regularizer.setter
    def activity_regularizer(self, value: Any) -> None:
        if value is not None:
            self.layer.activity_regularizer = value

    def build_inside(self, layer: Any, input_shape: Any, scope: str | None = None) -> None:
        """Build a layer inside this one, its variables' names below `scope` (`None`: this layer's)."""
        if isinstance(layer, Layer) and not layer.built:
            layer._scope = scope or self.weight_scope()  # type: ignore[attr-defined]
            layer.build_now(input_shape, self._build_device)

    def get_config(self) -> dict[str, Any]:
        return {**base_config(self), "layer": serialize(self.layer)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Wrapper:
        """Make a layer from `get_config()`."""
        rest = dict(config)
        return cls(deserialize(rest.pop("layer"), custom_objects), **rest)
