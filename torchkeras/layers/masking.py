"""`Masking`: says which steps of a sequence count."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from torchkeras.layers.base import Layer, layer_registry, set_mask
from torchkeras.ops.recurrent import with_noted_count


@layer_registry.add()
class Masking(Layer):
    """Mask the steps in which all features equal a value, and set them to zero.

    Args:
        mask_value: The value that marks a step as padding.

    Shape: (batch, steps, ...) -> the same; the mask leaves out the last axis.

    Raises:
        TypeError: a `mask_value` that is no number.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `Masking`.
    """

    supports_masking = True
    hangs_masks = True  # what `call` multiplies with is the mask: it is made once

    def __init__(self, mask_value: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if isinstance(mask_value, str) or not hasattr(mask_value, "__float__"):
            raise TypeError(f"Masking '{self.name}' needs a number as mask_value, the features of a step of padding, but got {mask_value!r}.")
        self.mask_value = mask_value

    def call(self, inputs: Tensor) -> Tensor:
        counts = (inputs != self.mask_value).any(dim=-1)
        outputs = inputs * counts.unsqueeze(-1)
        if self.hangs_masks:
            set_mask(outputs, with_noted_count(counts, inputs, self.mask_value))
        return outputs

    def _may_go_straight(self) -> bool:
        return self.built and self.hangs_masks

    def compute_mask(self, inputs: Tensor, mask: Any = None) -> Tensor:
        return with_noted_count((inputs != self.mask_value).any(dim=-1), inputs, self.mask_value)
