"""`MaxoutDense`, `Highway` and `TimeDistributedDense` of Keras 1."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from torchkeras import activations, constraints, initializers, regularizers
from torchkeras.layers import layouts
from torchkeras.layers.base import Layer, layer_registry
from torchkeras.layers.core import Dense
from torchkeras.layers.input_spec import InputSpec


@layer_registry.add()
class TimeDistributedDense(Dense):
    """A Dense layer on each step: what Dense does since Keras 1.1. The arguments are Dense's.

    Shape: inputs (batch, steps, input_dim) -> output (batch, steps, units).

    Source: Keras 1.2.2 `TimeDistributedDense`.
    """


class _Kernels(Layer):
    """The arguments that the dense layers of Keras 1 share."""

    def __init__(
        self,
        kernel_initializer: Any = "glorot_uniform",
        use_bias: bool = True,
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.use_bias = use_bias
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)


@layer_registry.add()
class MaxoutDense(_Kernels):
    """The largest of several linear functions of the input, each with weights of its own.

    Args:
        units: Size of the output.
        features: Number of linear functions to take the largest of.
        kernel_initializer, kernel_regularizer, kernel_constraint: Of the kernel.
        use_bias, bias_regularizer, bias_constraint: Of the bias, which starts at zero.
        activity_regularizer: Penalty on the output.

    Shape:
        inputs (batch, input_dim) -> output (batch, units)
        kernel (features, input_dim, units), bias (features, units)

    Raises:
        ValueError: sizes below 1.

    Source: Goodfellow et al. (2013), Maxout Networks; Keras 1.2.2 `MaxoutDense`.
    """

    keras_weights = {"kernel": ("weight", layouts.as_is), "bias": ("bias", layouts.as_is)}

    def __init__(
        self,
        units: int,
        features: int = 4,
        kernel_initializer: Any = "glorot_uniform",
        use_bias: bool = True,
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            kernel_initializer,
            use_bias,
            kernel_regularizer,
            bias_regularizer,
            activity_regularizer,
            kernel_constraint,
            bias_constraint,
            **kwargs,
        )
        if int(units) < 1 or int(features) < 1:
            raise ValueError(f"MaxoutDense '{self.name}' needs units and features of at least 1, but got {units!r} and {features!r}.")
        self.units, self.features = int(units), int(features)
        self.register_parameter("bias", None)
        self.input_spec = InputSpec(ndim=2)

    def build(self, input_shape: Any) -> None:
        shape = (self.features, input_shape[-1], self.units)
        self.add_weight("kernel", shape, None, self.kernel_initializer, self.kernel_regularizer, constraint=self.kernel_constraint)
        if self.use_bias:
            self.add_weight("bias", (self.features, self.units), None, "zeros", self.bias_regularizer, constraint=self.bias_constraint)
        self.input_spec = InputSpec(ndim=2, axes={-1: input_shape[-1]})

    def call(self, inputs: Tensor) -> Tensor:
        outputs = torch.einsum("bi,fio->bfo", inputs, self.weight)
        return (outputs if self.bias is None else outputs + self.bias).amax(1)


@layer_registry.add()
class Highway(_Kernels):
    """A mix of the input and of a dense layer's output, by a learned gate for each value.

    Args:
        activation: Of the dense layer.
        kernel_initializer: Of both kernels.
        kernel_regularizer, kernel_constraint: Of the dense layer's kernel.
        use_bias, bias_regularizer, bias_constraint: Of the biases; the dense layer's starts at zero, the gate's at one.
        activity_regularizer: Penalty on the output.

    Shape:
        inputs (batch, dim) -> output (batch, dim)
        kernel, kernel_carry (dim, dim), bias, bias_carry (dim,)

    Source: Srivastava et al. (2015), Highway Networks; Keras 1.2.2 `Highway`.
    """

    keras_weights = {
        "kernel": ("weight", layouts.dense),
        "kernel_carry": ("weight_carry", layouts.dense),
        "bias": ("bias", layouts.as_is),
        "bias_carry": ("bias_carry", layouts.as_is),
    }

    def __init__(
        self,
        activation: Any = None,
        kernel_initializer: Any = "glorot_uniform",
        use_bias: bool = True,
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            kernel_initializer,
            use_bias,
            kernel_regularizer,
            bias_regularizer,
            activity_regularizer,
            kernel_constraint,
            bias_constraint,
            **kwargs,
        )
        self.activation = activations.get(activation)
        self.register_parameter("bias", None)
        self.register_parameter("bias_carry", None)
        self.input_spec = InputSpec(ndim=2)

    def build(self, input_shape: Any) -> None:
        dim = input_shape[-1]
        self.add_weight("kernel", (dim, dim), None, self.kernel_initializer, self.kernel_regularizer, constraint=self.kernel_constraint)
        self.add_weight("kernel_carry", (dim, dim), None, self.kernel_initializer)
        if self.use_bias:
            self.add_weight("bias", (dim,), None, "zeros", self.bias_regularizer, constraint=self.bias_constraint)
            self.add_weight("bias_carry", (dim,), None, "ones")
        self.input_spec = InputSpec(ndim=2, axes={-1: dim})

    def call(self, inputs: Tensor) -> Tensor:
        gate = torch.nn.functional.linear(inputs, self.weight_carry, self.bias_carry).sigmoid()
        return inputs.lerp(self.activation(torch.nn.functional.linear(inputs, self.weight, self.bias)), gate)
