"""`EinsumDense`: a dense layer over any axes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from torchkeras import activations, constraints, initializers, regularizers
from torchkeras.layers import layouts
from torchkeras.layers.base import Layer, layer_registry
from torchkeras.layers.input_spec import InputSpec
from torchkeras.shapes import Shape, as_shape

_FORM = re.compile(r"(?P<left>\.\.\.)?(?P<inputs>[a-zA-Z]+)(?P<right>\.\.\.)?,(?P<kernel>[a-zA-Z]+)->(\.\.\.)?(?P<outputs>[a-zA-Z]+)(\.\.\.)?")


@layer_registry.add()
class EinsumDense(Layer):
    """`activation(einsum(equation, inputs, kernel) + bias)`.

    Args:
        equation: What einsum does with the inputs and the kernel: "ab,bc->ac" is a dense layer on vectors, "...x,xy->...y" one on
            the last axis of anything. Either no axis is left out, or those before or after the named ones are.
        output_shape: Sizes of the output's axes without the batch and the axes left out; a number for one.
        activation: Name or callable; `None` leaves the result linear.
        bias_axes: The output's axes that have a bias; `None`: no bias.
        kernel_initializer, bias_initializer: How the weights start.
        kernel_regularizer, bias_regularizer, activity_regularizer: Penalties in the loss.
        kernel_constraint, bias_constraint: Applied after each update.

    Shape:
        as the equation says; kernel has the sizes of its axes, bias those of the output's axes from the first of `bias_axes` on,
        with 1 for the axes that are not among them; in torch's words weight and bias

    Raises:
        ValueError: an equation of another form, or sizes that do not fit it.

    Source: tf.keras 2.4.0 `layers.experimental.EinsumDense`.
    """

    keras_weights = {"kernel": ("weight", layouts.as_is), "bias": ("bias", layouts.as_is)}
    _checks_inputs = True  # einsum would spread an axis of size 1
    config_omits = ("output_shape",)  # a layer's attribute of that name is the shape of what it made

    def __init__(
        self,
        equation: str,
        output_shape: int | Sequence[int | None],
        activation: Any = None,
        bias_axes: str | None = None,
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
        form = _FORM.fullmatch(equation)
        if form is None or bool(form["left"]) != bool(form[5]) or bool(form["right"]) != bool(form[7]) or (form["left"] and form["right"]):
            raise ValueError(f"EinsumDense '{self.name}' takes equations 'ab,bc->ac', '...ab,bc->...ac' or 'ab...,bc->ac...', but got {equation!r}.")
        self.equation = equation
        self.partial_output_shape = [output_shape] if isinstance(output_shape, int) else list(output_shape)
        self.bias_axes = bias_axes
        self._left, self._right = bool(form["left"]), bool(form["right"])
        self._inputs, self._kernel, self._outputs = form["inputs"], form["kernel"], form["outputs"]
        self._check_letters()
        self.activation = activations.get(activation)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.register_parameter("bias", None)

    def _check_letters(self) -> None:
        for letters, what, known in (
            (self._outputs, "the output", self._inputs + self._kernel),
            (self._kernel, "the kernel", self._inputs + self._outputs),
            (self.bias_axes or "", "bias_axes", self._outputs),
        ):
            strange = [letter for letter in letters if letter not in known]
            if strange:
                raise ValueError(
                    f"EinsumDense '{self.name}': axis {strange[0]!r} of {what} has no size from any other part of the equation {self.equation!r}."
                )

    def build(self, input_shape: Any) -> None:
        shape = as_shape(input_shape)
        sizes = self._sizes(shape)
        kernel = [self._known(sizes, letter, shape) for letter in self._kernel]
        self.add_weight("kernel", kernel, None, self.kernel_initializer, self.kernel_regularizer, constraint=self.kernel_constraint)
        elided = len(shape) - len(self._inputs)
        if self.bias_axes is not None:
            reach = self._outputs[min(self._outputs.find(letter) for letter in self.bias_axes) :]
            bias = [self._known(sizes, letter, shape) if letter in self.bias_axes else 1 for letter in reach] + [1] * (elided * self._right)
            self.add_weight("bias", bias, None, self.bias_initializer, self.bias_regularizer, constraint=self.bias_constraint)
        first = -len(self._inputs) if self._left else 0
        axes = {first + place: sizes[letter] for place, letter in enumerate(self._inputs) if letter in self._kernel}
        self.input_spec = InputSpec(min_ndim=len(self._inputs), max_ndim=None if self._left or self._right else len(self._inputs), axes=axes)

    def _known(self, sizes: Mapping[str, int | None], letter: str, shape: Shape) -> int:
        size = sizes[letter]
        if size is None:
            raise ValueError(
                f"EinsumDense '{self.name}' needs to know the size of axis {letter!r} of {self.equation!r}, but got an input of {shape}."
            )
        return size

    def _sizes(self, shape: Shape) -> dict[str, int | None]:
        """The size of each axis that has a letter."""
        who, elided = f"EinsumDense '{self.name}'", len(shape) - len(self._inputs)
        if elided < 0 or (elided and not self._left and not self._right):
            raise ValueError(f"{who} cannot read an input of shape {shape} as the first part of {self.equation!r}: it has another number of axes.")
        start = elided if self._left else 0
        found = dict(zip(self._inputs, shape[start:], strict=False))
        batch_is_named = not (self._left and elided)
        outputs = [shape[0], *self.partial_output_shape] if batch_is_named else self.partial_output_shape
        if len(outputs) != len(self._outputs):
            raise ValueError(
                f"{who} needs in output_shape one size for each axis of {self._outputs!r}"
                + (" but the batch" if batch_is_named else "")
                + f", but got {self.partial_output_shape}."
            )
        for letter, size in zip(self._outputs, outputs, strict=True):
            if letter in found and size is not None and found[letter] is not None and size != found[letter]:
                raise ValueError(
                    f"{who}: axis {letter!r} of {self.equation!r} is {found[letter]} in the input of shape {shape}, "
                    f"but {size} in output_shape={self.partial_output_shape}."
                )
            if found.get(letter) is None:
                found[letter] = size
        return found

    def call(self, inputs: Tensor) -> Tensor:
        outputs = torch.einsum(self.equation, inputs, self.weight)
        return self.activation(outputs if self.bias is None else outputs + self.bias)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "output_shape": self.partial_output_shape}

    def input_shape_from_state(self, state: Mapping[str, Tensor]) -> Any:
        if "weight" not in state:
            return None
        sizes: dict[str, int] = dict(zip(self._kernel, state["weight"].shape, strict=True))
        elided = 1 if self._left or self._right else 0
        if self.bias_axes is not None and "bias" in state:
            reach = self._outputs[min(self._outputs.find(letter) for letter in self.bias_axes) :]
            bias = state["bias"].shape
            sizes.update({letter: size for letter, size in zip(reach, bias, strict=False) if letter in self.bias_axes})
            elided = len(bias) - len(reach) if self._right else elided
        named = [sizes.get(letter) for letter in self._inputs]
        return (*(None,) * elided, *named) if self._left else (*named, *(None,) * elided)


__all__ = ["EinsumDense"]
