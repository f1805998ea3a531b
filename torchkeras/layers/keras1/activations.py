"""`ParametricSoftplus` and `SReLU` of Keras 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from torchkeras import initializers
from torchkeras.layers import layouts
from torchkeras.layers.base import Layer, layer_registry


def _shape_of_weights(layer: Layer, input_shape: Any, shared_axes: Sequence[int]) -> tuple[int, ...]:
    """One weight a value of a sample, but one for all along shared axes, which are counted from 1."""
    rank = len(input_shape)
    if not all(0 < axis < rank for axis in shared_axes):
        raise ValueError(f"{type(layer).__name__} '{layer.name}' has shared_axes={list(shared_axes)}, but got an input of shape {input_shape}.")
    return tuple(1 if axis in shared_axes else input_shape[axis] for axis in range(1, rank))


def _axes(shared_axes: Any) -> list[int]:
    return [] if shared_axes is None else [shared_axes] if isinstance(shared_axes, int) else list(shared_axes)


@layer_registry.add()
class ParametricSoftplus(Layer):
    """`alpha * log(1 + exp(beta * x))` with learned alpha and beta for each value, or shared along axes.

    Args:
        alpha_initializer, beta_initializer: The numbers they start with.
        shared_axes: Axes along which they are shared, counted from 1.

    Shape: any -> the same; alphas, betas: a sample's, with 1 for the shared axes.

    Raises:
        ValueError: an axis that the input lacks.

    Source: McFarland et al. (2013); Keras 1.2.2 `ParametricSoftplus`.
    """

    keras_weights = {"alphas": ("alphas", layouts.as_is), "betas": ("betas", layouts.as_is)}
    supports_masking = True

    def __init__(self, alpha_initializer: float = 0.2, beta_initializer: float = 5.0, shared_axes: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha_initializer, self.beta_initializer = initializers.Constant(alpha_initializer), initializers.Constant(beta_initializer)
        self.shared_axes = _axes(shared_axes)

    def build(self, input_shape: Any) -> None:
        shape = _shape_of_weights(self, input_shape, self.shared_axes)
        self.add_weight("alphas", shape, None, self.alpha_initializer)
        self.add_weight("betas", shape, None, self.beta_initializer)

    def call(self, inputs: Tensor) -> Tensor:
        return F.softplus(self.betas * inputs) * self.alphas

    def get_config(self) -> dict[str, Any]:
        starts = {"alpha_initializer": self.alpha_initializer.value, "beta_initializer": self.beta_initializer.value}
        return {**super().get_config(), **starts}


@layer_registry.add()
class SReLU(Layer):
    """Three straight pieces: slope `a_left` below `t_left`, 1 up to `t_left + |t_right|`, `a_right` beyond; all four are learned.

    Args:
        t_left_initializer, a_left_initializer, t_right_initializer, a_right_initializer: How the weights start.
        shared_axes: Axes along which they are shared, counted from 1.

    Shape: any -> the same; weights: a sample's, with 1 for the shared axes.

    Raises:
        ValueError: an axis that the input lacks.

    Source: Jin et al. (2015); Keras 1.2.2 `SReLU`.
    """

    keras_weights = {name: (name, layouts.as_is) for name in ("t_left", "a_left", "t_right", "a_right")}
    supports_masking = True

    def __init__(
        self,
        t_left_initializer: Any = "zeros",
        a_left_initializer: Any = "glorot_uniform",
        t_right_initializer: Any = "glorot_uniform",
        a_right_initializer: Any = "ones",
        shared_axes: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.t_left_initializer = initializers.get(t_left_initializer)
        self.a_left_initializer = initializers.get(a_left_initializer)
        self.t_right_initializer = initializers.get(t_right_initializer)
        self.a_right_initializer = initializers.get(a_right_initializer)
        self.shared_axes = _axes(shared_axes)

    def build(self, input_shape: Any) -> None:
        shape = _shape_of_weights(self, input_shape, self.shared_axes)
        self.add_weight("t_left", shape, None, self.t_left_initializer)
        self.add_weight("a_left", shape, None, self.a_left_initializer)
        self.add_weight("t_right", shape, None, self.t_right_initializer)
        self.add_weight("a_right", shape, None, self.a_right_initializer)

    def call(self, inputs: Tensor) -> Tensor:
        left, right = self.t_left, self.t_left + self.t_right.abs()
        below = left + self.a_left * (inputs - left)
        beyond = right + self.a_right * (inputs - right)
        return torch.where(inputs <= left, below, torch.where(inputs >= right, beyond, inputs))
