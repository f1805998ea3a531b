"""Activations that are layers: those with settings or weights of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from torchkeras import activations, config, constraints, generations, initializers, regularizers
from torchkeras.layers import layouts
from torchkeras.layers.base import Layer, layer_registry
from torchkeras.layers.input_spec import InputSpec, check_inputs
from torchkeras.layers.symbolic import shape_of
from torchkeras.shapes import as_shape


def as_floatx(value: Any, who: str) -> float:
    """A number as the float type of the backend holds it, as Keras writes it into configs.

    Raises:
        ValueError: no number.
    """
    try:
        return torch.tensor(float(value), dtype=config.float_dtype()).item()
    except (TypeError, ValueError):
        raise ValueError(f"{who} needs a number, but got {value!r}.") from None


def _choice_prelu(inputs: Tensor, alpha: Tensor) -> Tensor:
    return torch.where(inputs > 0, inputs, alpha * inputs)


# what F.prelu comes down to, where alpha is of any shape that fits
_prelu: Callable[[Tensor, Tensor], Tensor] = getattr(torch, "_prelu_kernel", _choice_prelu)


@layer_registry.add()
class LeakyReLU(Layer):
    """`x` above 0, `alpha * x` below.

    Args:
        alpha: Slope below 0.

    Shape: any -> the same.

    Source: Maas et al. (2013); Keras 2.2.4 and tf.keras 2.4.0 `LeakyReLU`.
    """

    supports_masking = True

    def __init__(self, alpha: float = 0.3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha = as_floatx(alpha, f"alpha of LeakyReLU '{self.name}'")

    def call(self, inputs: Tensor) -> Tensor:
        return F.leaky_relu(inputs, self.alpha)


@layer_registry.add()
class PReLU(Layer):
    """`x` above 0, `alpha * x` below, with a learned `alpha` for each value or shared along axes.

    Args:
        alpha_initializer: How alpha starts.
        alpha_regularizer: Penalty in the loss.
        alpha_constraint: Applied after each update.
        shared_axes: Axes along which alpha is shared, counted from 1; for images in channels_last, [1, 2] gives one alpha a channel.

    Shape:
        (batch, ...) -> the same
        alpha (...) with 1 for the shared axes; in torch's words weight

    Raises:
        ValueError: an axis that the input lacks, or one that is not shared and whose size is unknown.

    At exactly 0 the slope is alpha, as in torch; in Keras it is 0.

    Source: He et al. (2015); Keras 2.2.4 and tf.keras 2.4.0 `PReLU`.
    """

    keras_weights = {"alpha": ("weight", layouts.as_is)}
    supports_masking = True

    def __init__(
        self,
        alpha_initializer: Any = "zeros",
        alpha_regularizer: Any = None,
        alpha_constraint: Any = None,
        shared_axes: int | Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.alpha_initializer = initializers.get(alpha_initializer)
        self.alpha_regularizer = regularizers.get(alpha_regularizer)
        self.alpha_constraint = constraints.get(alpha_constraint)
        self.shared_axes = None if shared_axes is None else [shared_axes] if isinstance(shared_axes, int) else list(shared_axes)

    def build(self, input_shape: Any) -> None:
        shape = as_shape(input_shape)
        shared = {axis % len(shape) if -len(shape) < axis < 0 else axis for axis in self.shared_axes or ()}
        if not all(0 < axis < len(shape) for axis in shared):
            raise ValueError(
                f"PReLU '{self.name}' has shared_axes={self.shared_axes}, but got an input of shape {shape}; its axes are counted from 1."
            )
        own = {axis: size for axis, size in enumerate(shape) if axis > 0 and axis not in shared}
        if None in own.values():
            raise ValueError(
                f"PReLU '{self.name}' needs to know the size of each axis that is not shared, but got an input of shape {shape} and "
                f"shared_axes={self.shared_axes}."
            )
        sizes = tuple(own.get(axis) or 1 for axis in range(1, len(shape)))
        self.add_weight("alpha", sizes, None, self.alpha_initializer, self.alpha_regularizer, constraint=self.alpha_constraint)
        self.input_spec = InputSpec(ndim=len(shape), axes=own)

    def call(self, inputs: Tensor) -> Tensor:
        alpha = self.weight
        if 1 in inputs.shape:  # alpha must not broadcast it
            check_inputs(self.name, self.input_spec, shape_of(inputs))
        return (_prelu if inputs.dtype is alpha.dtype else _choice_prelu)(inputs, alpha)  # they differ under autocast

    def input_shape_from_state(self, state: Mapping[str, Tensor]) -> Any:
        return (None, *state["weight"].shape) if "weight" in state else None


@layer_registry.add()
class ELU(Layer):
    """`x` above 0, `alpha * (exp(x) - 1)` below.

    Args:
        alpha: What the output comes near to, negated, far below 0.

    Shape: any -> the same.

    Source: Clevert et al. (2015); Keras 2.2.4 and tf.keras 2.4.0 `ELU`.
    """

    supports_masking = True

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha = as_floatx(alpha, f"alpha of ELU '{self.name}'")

    def call(self, inputs: Tensor) -> Tensor:
        return F.elu(inputs, self.alpha)


@layer_registry.add()
class ThresholdedReLU(Layer):
    """`x` above `theta`, else 0.

    Args:
        theta: The threshold.

    Shape: any -> the same.

    Source: Konda et al. (2014); Keras 2.2.4 and tf.keras 2.4.0 `ThresholdedReLU`.
    """

    supports_masking = True

    def __init__(self, theta: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.theta = as_floatx(theta, f"theta of ThresholdedReLU '{self.name}'")

    def call(self, inputs: Tensor) -> Tensor:
        return F.threshold(inputs, self.theta, 0.0)


@layer_registry.add()
class Softmax(Layer):
    """`exp(x) / sum(exp(x))` along an axis.

    Args:
        axis: The axis along which the outputs add up to 1.

    Shape: any -> the same. `mask`, where it is given to the call: as the inputs, False where the output is to be 0.

    Raises:
        TypeError: an axis that is no int.
        ValueError: an axis that the input lacks.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `Softmax`; the mask: TensorFlow 2.4.
    """

    supports_masking = True

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if isinstance(axis, bool) or not isinstance(axis, int):
            raise TypeError(f"Softmax '{self.name}' needs an axis that is an int, but got {axis!r}. For several axes, flatten them first (Reshape).")
        self.axis = axis

    def build(self, input_shape: Any) -> None:
        shape = as_shape(input_shape)
        if not -len(shape) <= self.axis < len(shape):
            raise ValueError(
                f"Softmax '{self.name}' has axis={self.axis}, but got an input of shape {shape} with the axes 0 to {len(shape) - 1}. "
                "Choose one of these; the batch is axis 0, the last is -1."
            )
        self.input_spec = InputSpec(min_ndim=self.axis + 1 if self.axis >= 0 else -self.axis)

    def call(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is not None:
            far = torch.finfo(torch.float16).min if inputs.dtype is torch.float16 else -1e9
            inputs = inputs + mask.logical_not() * far
        return activations.softmax(inputs, self.axis)

    def compute_mask(self, inputs: Tensor, mask: Any = None) -> Any:
        return mask if mask is None or mask.dim() == 2 else None  # one that says what to leave out of the sums goes no further

    def _may_go_straight(self) -> bool:
        return self.built


Softmax._takes_mask = False  # only a mask that the caller gives; that of the steps goes past


@layer_registry.add()
class ReLU(Layer):
    """`x` above `threshold`, at most `max_value`; `negative_slope * (x - threshold)` below.

    Args:
        max_value: Upper bound, at least 0, or `None`.
        negative_slope: Slope below the threshold, at least 0.
        threshold: Where the slope changes.

    Shape: any -> the same.

    Raises:
        ValueError: a negative bound or slope.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `ReLU`; the latter hands no mask on.
    """

    def __init__(self, max_value: float | None = None, negative_slope: float = 0.0, threshold: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        who = f"ReLU '{self.name}'"
        self.max_value = None if max_value is None else as_floatx(max_value, f"max_value of {who}")
        self.negative_slope = as_floatx(negative_slope, f"negative_slope of {who}")
        self.threshold = as_floatx(threshold, f"threshold of {who}")
        if (self.max_value is not None and self.max_value < 0) or self.negative_slope < 0:
            raise ValueError(f"{who} needs a max_value and a negative_slope of at least 0, but got {max_value!r} and {negative_slope!r}.")
        self.supports_masking = generations.choose("relu.supports_masking")

    def call(self, inputs: Tensor) -> Tensor:
        return activations.relu(inputs, self.negative_slope, self.max_value, self.threshold)


__all__ = ["ELU", "LeakyReLU", "PReLU", "ReLU", "Softmax", "ThresholdedReLU"]
