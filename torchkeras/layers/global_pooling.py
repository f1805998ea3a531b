"""Pooling over the whole space: one vector of channels for each sample."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.compiler import is_compiling

from torchkeras.layers.base import layer_registry
from torchkeras.layers.input_spec import InputSpec
from torchkeras.layers.spatial import SpatialLayer

# inside of torch.func's transforms nothing may be written in place; a torch that does not tell is taken to be inside of one
_is_transformed: Callable[[], bool] = getattr(torch._C, "_are_functorch_transforms_active", lambda: True)
# of a gradient: whether it stands for many, which torch.autograd.grad(is_grads_batched=True) computes at once
_is_batched: Callable[[Tensor], bool] = getattr(torch._C._functorch, "is_legacy_batchedtensor", lambda gradient: True)
_LARGE = 1 << 13  # entries of a batch from which on `_Largest` is faster than torch.amax


class GlobalPooling(SpatialLayer):
    """Base of the layers that pool the whole space.

    Args:
        data_format: "channels_last" or "channels_first"; `None`: the global setting.

    Raises:
        ValueError: an unknown data format.
    """

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._set_data_format(data_format)
        self._axes = self._space
        self.input_spec = InputSpec(ndim=self.rank + 2)


class _Largest(torch.autograd.Function):
    """`torch.amax` of large tensors, several times faster: equal largest entries share the gradient, as there.

    torch.func's transforms do not take it. A `setup_context` for them would cost each call as much as all else outside of the kernels.
    """

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, axes: tuple[int, ...]) -> Tensor:
        outputs = inputs
        for axis in axes:  # one after the other, since few channels slow down a reduction over several axes
            outputs = outputs.amax(axis, keepdim=True)
        outputs = outputs.flatten(1)
        ctx.save_for_backward(inputs, outputs)
        ctx.axes = axes
        return outputs

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        inputs, outputs = ctx.saved_tensors
        first, last = ctx.axes[0], ctx.axes[-1]
        entries = inputs.flatten(first, last)  # (batch, entries, channels) or (batch, channels, entries)
        outputs, gradient = outputs.unsqueeze(last), gradients[0].unsqueeze(last)
        if torch.is_grad_enabled() or _is_transformed() or _is_batched(gradient):
            largest = (entries == outputs).to(inputs.dtype)
            return (largest * (gradient / largest.sum(last, keepdim=True))).view(inputs.shape), None
        # 1 or 0 in the type of the inputs, which is faster than bool, and in memory that becomes the gradient
        largest = torch.eq(entries, outputs, out=torch.empty_like(entries, memory_format=torch.contiguous_format))
        return largest.mul_(gradient / largest.sum(last, keepdim=True)).view(inputs.shape), None


class GlobalMax(GlobalPooling):
    """Base of GlobalMaxPooling1D, GlobalMaxPooling2D and GlobalMaxPooling3D; equal largest entries share the gradient."""

    def call(self, inputs: Tensor) -> Tensor:
        # a compiler fuses the passes of amax itself
        if not is_compiling() and inputs.numel() >= _LARGE and not _is_transformed():
            return _Largest.apply(inputs, self._axes)
        return torch.amax(inputs, self._axes)


class GlobalAverage(GlobalPooling):
    """Base of GlobalAveragePooling1D, GlobalAveragePooling2D and GlobalAveragePooling3D."""

    def call(self, inputs: Tensor) -> Tensor:
        return inputs.mean(self._axes)


@layer_registry.add("GlobalMaxPool1D")
class GlobalMaxPooling1D(GlobalMax):
    """The largest entry over all steps.

    Args:
        data_format: "channels_last" or "channels_first".

    Shape:
        inputs (batch, steps, channels), or (batch, channels, steps) for channels_first -> output (batch, channels)

    Raises:
        ValueError: an unknown data format.

    Source: tf.keras 2.4.0 `GlobalMaxPooling1D`.
    """

    rank = 1

    def __init__(self, data_format: str | None = "channels_last", **kwargs: Any) -> None:
        super().__init__(data_format, **kwargs)


@layer_registry.add("GlobalMaxPool2D")
class GlobalMaxPooling2D(GlobalMax):
    """The largest entry over all pixels.

    Args:
        data_format: "channels_last" or "channels_first"; `None`: the global setting.

    Shape:
        inputs (batch, rows, columns, channels), or (batch, channels, rows, columns) for channels_first -> output (batch, channels)

    Raises:
        ValueError: an unknown data format.

    Source: tf.keras 2.4.0 `GlobalMaxPooling2D`.
    """

    rank = 2

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(data_format, **kwargs)


@layer_registry.add("GlobalMaxPool3D")
class GlobalMaxPooling3D(GlobalMax):
    """The largest entry over a whole volume.

    Args:
        data_format: "channels_last" or "channels_first"; `None`: the global setting.

    Shape:
        inputs (batch, *space, channels), or (batch, channels, *space) for channels_first -> output (batch, channels)

    Raises:
        ValueError: an unknown data format.

    Source: tf.keras 2.4.0 `GlobalMaxPooling3D`.
    """

    rank = 3

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(data_format, **kwargs)


@layer_registry.add("GlobalAvgPool1D")
class GlobalAveragePooling1D(GlobalAverage):
    """The average over all steps that count.

    Args:
        data_format: "channels_last" or "channels_first".

    Shape:
        inputs (batch, steps, channels), or (batch, channels, steps) for channels_first -> output (batch, channels)
        mask (batch, steps): steps that do not count; a row without any step gives NaN, as in Keras. No mask goes on.

    Raises:
        ValueError: an unknown data format.

    Source: tf.keras 2.4.0 `GlobalAveragePooling1D`.
    """

    rank = 1
    supports_masking = True
    masks_follow_masks = True

    def __init__(self, data_format: str | None = "channels_last", **kwargs: Any) -> None:
        super().__init__(data_format, **kwargs)

    def call(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is None:
            return inputs.mean(self._axes)
        counts = mask.to(inputs.dtype)
        (axis,) = self._axes
        weighted = inputs * counts.unsqueeze(self._channel_axis)
        return weighted.sum(axis) / counts.sum(1, keepdim=True)

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        """Nothing: the output has no steps."""


@layer_registry.add("GlobalAvgPool2D")
class GlobalAveragePooling2D(GlobalAverage):
    """The average over all pixels.

    Args:
        data_format: "channels_last" or "channels_first"; `None`: the global setting.

    Shape:
        inputs (batch, rows, columns, channels), or (batch, channels, rows, columns) for channels_first -> output (batch, channels)

    Raises:
        ValueError: an unknown data format.

    Source: tf.keras 2.4.0 `GlobalAveragePooling2D`.
    """

    rank = 2

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(data_format, **kwargs)


@layer_registry.add("GlobalAvgPool3D")
class GlobalAveragePooling3D(GlobalAverage):
    """The average over a whole volume.

    Args:
        data_format: "channels_last" or "channels_first"; `None`: the global setting.

    Shape:
        inputs (batch, *space, channels), or (batch, channels, *space) for channels_first -> output (batch, channels)

    Raises:
        ValueError: an unknown data format.

    Source: tf.keras 2.4.0 `GlobalAveragePooling3D`.
    """

    rank = 3

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(data_format, **kwargs)
