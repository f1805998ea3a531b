"""`BatchNormalization(mode=1)` and `mode=2` of Keras 1."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchkeras.layers.base import layer_registry
from torchkeras.layers.batch_normalization import BatchNormalization
from torchkeras.layers.naming import snake_case, unique_name


@layer_registry.add()
class KeptBatchNormalization(BatchNormalization):
    """The modes of Keras 1's `BatchNormalization` that later releases dropped.

    Args:
        mode: 1: each sample by its own mean and deviation over the last axis; 2: by the batch's statistics in inference, too.
        **kwargs: As for BatchNormalization.

    Shape: any -> the same.

    Raises:
        ValueError: another mode.

    Source: Keras 1.2.2 `BatchNormalization`.
    """

    config_omits = (*BatchNormalization.config_omits, "mode")

    def __init__(self, mode: int = 1, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "name": kwargs.get("name") or unique_name(snake_case("BatchNormalization"))})
        if mode not in (1, 2):
            raise ValueError(f"BatchNormalization '{self.name}' knows mode=0, 1 and 2, but got mode={mode!r}.")
        self.mode = mode

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        if self.mode == 2:
            shape = [1] * inputs.dim()
            shape[self.axis] = -1  # type: ignore[index]
            axes = [axis for axis in range(inputs.dim()) if axis != self.axis % inputs.dim()]  # type: ignore[operator]
            variance, mean = torch.var_mean(inputs, axes, correction=0, keepdim=True)
            return (inputs - mean) * torch.rsqrt(variance + self.epsilon) * self.weight.view(shape) + self.bias.view(shape)
        variance, mean = torch.var_mean(inputs, -1, correction=0, keepdim=True)
        # epsilon inside and outside of the root, as Keras 1 has it
        return self.weight * ((inputs - mean) / ((variance + self.epsilon).sqrt() + self.epsilon)) + self.bias

    def get_config(self) -> dict[str, Any]:
        return {**BatchNormalization.get_config(self), "mode": self.mode}
