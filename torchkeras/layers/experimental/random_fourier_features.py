"""`RandomFourierFeatures`: a random map under which a dot product is nearly a kernel."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from torchkeras import constraints, initializers
from torchkeras.layers import layouts
from torchkeras.layers.base import Layer, layer_registry
from torchkeras.layers.input_spec import InputSpec
from torchkeras.shapes import as_shape

_KERNELS = ("gaussian", "laplacian")


@layer_registry.add()
class RandomFourierFeatures(Layer):
    """`cos(inputs @ (kernel / scale) + bias)` with a random kernel and bias that are not trained.

    Args:
        output_dim: Number of features, at least 1.
        kernel_initializer: How the kernel is drawn: "gaussian", "laplacian" (the kernels of the same names are approximated), or an initializer.
        scale: Width of the kernel, above 0; `None`: sqrt(input_dim / 2) for "gaussian", otherwise 1.
        trainable: Whether the scale is trained.
        name: Unique name.

    Shape:
        inputs (batch, input_dim) -> (batch, output_dim)
        kernel_scale (1,), unscaled_kernel (input_dim, output_dim), bias (output_dim,)

    Raises:
        ValueError: an argument out of its range; later, an input of another size.

    Source: Rahimi & Recht (2007); tf.keras 2.4.0 `layers.experimental.RandomFourierFeatures`.
    """

    keras_weights = {name: (name, layouts.as_is) for name in ("kernel_scale", "unscaled_kernel", "bias")}

    def __init__(
        self,
        output_dim: int,
        kernel_initializer: Any = "gaussian",
        scale: float | None = None,
        trainable: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(trainable=trainable, name=name, **kwargs)
        who = f"RandomFourierFeatures '{self.name}'"
        if output_dim < 1:
            raise ValueError(f"{who} needs an output_dim of at least 1, but got {output_dim!r}.")
        if scale is not None and not scale > 0:
            raise ValueError(f"{who} needs a scale above 0, but got {scale!r}.")
        if isinstance(kernel_initializer, str):
            if kernel_initializer.lower() not in _KERNELS:
                raise ValueError(f"{who} knows the kernels {list(_KERNELS)}, but got {kernel_initializer!r}. Give an initializer for another one.")
        else:
            kernel_initializer = initializers.get(kernel_initializer)
        self.output_dim = int(output_dim)
        self.kernel_initializer = kernel_initializer
        self.scale = scale
        self.input_spec = InputSpec(ndim=2)

    def build(self, input_shape: Any) -> None:
        size = as_shape(input_shape)[1]
        if size is None:
            raise ValueError(f"RandomFourierFeatures '{self.name}' needs the size of the input's last axis, but got an input of {input_shape}.")
        kind = self.kernel_initializer.lower() if isinstance(self.kernel_initializer, str) else None
        if self.scale is None:
            self.scale = math.sqrt(size / 2) if kind == "gaussian" else 1.0
        self.add_weight("kernel_scale", (1,), None, initializers.Constant(self.scale), constraint=constraints.get("non_neg"))
        draw = {"gaussian": initializers.RandomNormal(stddev=1.0), "laplacian": _cauchy}.get(kind or "", self.kernel_initializer)
        self.add_weight("unscaled_kernel", (size, self.output_dim), None, draw, trainable=False)
        self.add_weight("bias", (self.output_dim,), None, initializers.RandomUniform(0.0, 2 * math.pi), trainable=False)
        self.input_spec = InputSpec(ndim=2, axes={1: size})

    def call(self, inputs: Tensor) -> Tensor:
        kernel = self.unscaled_kernel / self.kernel_scale
        return torch.cos(inputs.to(kernel.dtype) @ kernel + self.bias)

    def input_shape_from_state(self, state: Mapping[str, Tensor]) -> Any:
        return (None, state["unscaled_kernel"].shape[0]) if "unscaled_kernel" in state else None


def _cauchy(shape: Sequence[int], dtype: Any = None) -> Tensor:
    """Standard Cauchy numbers: the Fourier transform of the Laplacian kernel."""
    uniform = initializers.RandomUniform(0.0, 1.0)(shape, dtype)
    return torch.tan(math.pi * (uniform - 0.5))


__all__ = ["RandomFourierFeatures"]
