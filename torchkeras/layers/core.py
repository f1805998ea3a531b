"""Core layers: `Dense`, `Activation`, `ActivityRegularization`, and under Keras' path all the others that Keras counts as such."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from torchkeras import activations, constraints, initializers, regularizers
from torchkeras.layers import layouts
from torchkeras.layers.base import Layer, layer_registry
from torchkeras.layers.dropout import Dropout, SpatialDropout1D, SpatialDropout2D, SpatialDropout3D
from torchkeras.layers.input_spec import InputSpec
from torchkeras.layers.lambda_layer import Lambda
from torchkeras.layers.masking import Masking
from torchkeras.layers.reshaping import Flatten, Permute, RepeatVector, Reshape


@layer_registry.add()
class Dense(Layer):
    """Fully connected layer: `activation(inputs @ kernel + bias)` over the last axis.

    Args:
        units: Size of the output's last axis, at least 1.
        activation: Name or callable; `None` leaves the result linear.
        use_bias: Whether to add a learned `bias`.
        kernel_initializer, bias_initializer: How the weights start.
        kernel_regularizer, bias_regularizer, activity_regularizer: Penalties in the loss.
        kernel_constraint, bias_constraint: Applied after each update.

    Shape:
        inputs (batch, ..., input_dim) -> output (batch, ..., units)
        weight (units, input_dim) as in torch.nn.Linear, seen by Keras code as kernel (input_dim, units); bias (units,)

    Raises:
        ValueError: `units` is below 1, or a later input has another `input_dim`.

    Source: tf.keras 2.4.0 `Dense`; default kernel: Glorot & Bengio (2010), eq. 16.
    """

    keras_weights = {"kernel": ("weight", layouts.dense), "bias": ("bias", layouts.as_is)}
    supports_masking = True

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        try:
            self.units = int(units)
        except (TypeError, ValueError):
            raise ValueError(f"Dense '{self.name}' needs units that are a whole number, but got {units!r}.") from None
        if self.units < 1:
            raise ValueError(f"Dense '{self.name}' needs units of at least 1, but got {units!r}.")
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.input_spec = InputSpec(min_ndim=2)
        self.register_parameter("bias", None)

    def build(self, input_shape: Any) -> None:
        input_dim = input_shape[-1]
        if input_dim is None:
            raise ValueError(f"Dense '{self.name}' needs the size of the input's last axis, but got an input of shape {tuple(input_shape)}.")
        self.add_weight("kernel", (input_dim, self.units), None, self.kernel_initializer, self.kernel_regularizer, constraint=self.kernel_constraint)
        if self.use_bias:
            self.add_weight("bias", (self.units,), None, self.bias_initializer, self.bias_regularizer, constraint=self.bias_constraint)
        self.input_spec = InputSpec(min_ndim=2, axes={-1: input_dim})

    def call(self, inputs: Tensor) -> Tensor:
        return self.activation(F.linear(inputs, self.weight, self.bias))

    def input_shape_from_state(self, state: Any) -> Any:
        return (None, state["weight"].shape[1]) if "weight" in state else None


@layer_registry.add()
class Activation(Layer):
    """An activation function as a layer.

    Args:
        activation: Name or callable.

    Shape: any -> the same.

    Source: tf.keras 2.4.0 `Activation`.
    """

    supports_masking = True

    def __init__(self, activation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = activations.get(activation)

    def call(self, inputs: Tensor) -> Tensor:
        return self.activation(inputs)


@layer_registry.add()
class ActivityRegularization(Layer):
    """Hands its input on and adds a penalty on it to the loss: `l1 * sum(|x|) + l2 * sum(x^2)`.

    Args:
        l1: Factor of the absolute values.
        l2: Factor of the squares.

    Shape: any -> the same.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `ActivityRegularization` (which divides by the batch size).
    """

    supports_masking = True

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Any) -> None:
        super().__init__(activity_regularizer=regularizers.L1L2(l1, l2), **kwargs)
        self.l1 = l1
        self.l2 = l2

    def call(self, inputs: Tensor) -> Tensor:
        return inputs


__all__ = [
    "Activation",
    "ActivityRegularization",
    "Dense",
    "Dropout",
    "Flatten",
    "Lambda",
    "Masking",
    "Permute",
    "RepeatVector",
    "Reshape",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
]
