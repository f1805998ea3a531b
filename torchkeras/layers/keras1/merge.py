"""`Merge` and `merge` of Keras 1."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, Final

import torch
from torch import Tensor

from torchkeras import config
from torchkeras.layers.base import Layer, has_mask, layer_registry
from torchkeras.layers.merge import Dot

MODES: Final[dict[str, Callable[..., Tensor]]] = {
    "sum": lambda inputs: functools.reduce(torch.add, inputs),
    "ave": lambda inputs: functools.reduce(torch.add, inputs) / len(inputs),
    "mul": lambda inputs: functools.reduce(torch.mul, inputs),
    "max": lambda inputs: functools.reduce(torch.maximum, inputs),
}


@layer_registry.add()
class Merge(Layer):
    """Makes one tensor of several, in one of Keras 1's modes.

    Args:
        layers: Layers or models whose outputs are merged at once, such as the branches that a `Sequential` starts with.
        mode: "sum", "mul", "concat", "ave", "cos", "dot", "max", or a function of the list of inputs.
        concat_axis: Axis of "concat", counted with the batch.
        dot_axes: Axis of "dot" and "cos", or one for each input.
        output_shape: Shape that a function gives, without the batch; found out by running it where it is left out.
        output_mask: Mask that goes on from a function, or a function of the masks.
        arguments: Further arguments of the function.
        node_indices, tensor_indices: Which call, and which output, of each of `layers`.
        name: Unique name.

    Shape: list of at least two tensors -> one.

    Raises:
        ValueError: an unknown mode, shapes that do not fit.
        TypeError: something else than a list of at least two.

    Source: Keras 1.2.2 `keras.engine.topology.Merge`.
    """

    supports_masking = True
    config_omits = ("layers", "node_indices", "tensor_indices", "output_shape", "output_mask")

    def __init__(
        self,
        layers: Sequence[Any] | None = None,
        mode: Any = "sum",
        concat_axis: int = -1,
        dot_axes: Any = -1,
        output_shape: Any = None,
        output_mask: Any = None,
        arguments: dict[str, Any] | None = None,
        node_indices: Sequence[int] | None = None,
        tensor_indices: Sequence[int] | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        if not callable(mode) and mode not in (*MODES, "concat", "dot", "cos"):
            raise ValueError(f"Merge '{self.name}' knows the modes {sorted([*MODES, 'concat', 'dot', 'cos'])} and functions, but got mode={mode!r}.")
        self.mode = mode
        self.concat_axis = concat_axis
        self.dot_axes = dot_axes
        self._mask_rule = output_mask
        self.arguments = dict(arguments or {})
        self._wanted_shape = output_shape
        self.__dict__["layers"] = None if layers is None else list(layers)
        if layers is not None:
            self([_output_of(layer, node_indices, tensor_indices, number) for number, layer in enumerate(layers)])

    def build(self, input_shape: Any) -> None:
        if not isinstance(input_shape, list) or len(input_shape) < 2:
            raise TypeError(f"Merge '{self.name}' must be called on a list of at least 2 tensors, but got the shape {input_shape}.")
        if self.mode in ("sum", "mul", "ave", "cos", "max") and len({tuple(shape) for shape in input_shape}) > 1:
            raise ValueError(f"Merge '{self.name}' with mode={self.mode!r} needs inputs of one shape, but got {input_shape}.")
        if self.mode in ("dot", "cos"):
            Dot(self._pair(input_shape)).build(input_shape)

    def _pair(self, shapes: Sequence[Any]) -> tuple[int, int]:
        axes = self.dot_axes
        return (axes % len(shapes[0]), axes % len(shapes[1])) if isinstance(axes, int) else (axes[0], axes[1])

    def call(self, inputs: Any, mask: Any = None) -> Tensor:
        if callable(self.mode):
            more = {"mask": mask} if "mask" in inspect.signature(self.mode).parameters else {}
            return self.mode(list(inputs), **self.arguments, **more)
        if self.mode == "concat":
            return torch.cat(tuple(inputs), self.concat_axis)
        if self.mode in MODES:
            return MODES[self.mode](inputs)
        first, second = inputs
        pair = self._pair([first.shape, second.shape])
        product = _dot(first, second, pair)
        if self.mode == "dot":
            return product
        lengths = (_dot(first, first, (pair[0], pair[0])) * _dot(second, second, (pair[1], pair[1]))).sqrt()
        return (product / lengths.clamp_min(config.epsilon())).unsqueeze(1)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        if callable(self.mode):
            return self._mask_rule(mask) if callable(self._mask_rule) else self._mask_rule
        if not has_mask(mask) or self.mode in ("dot", "cos"):
            return None
        masks = list(mask)
        if self.mode != "concat":
            return functools.reduce(torch.logical_and, [one for one in masks if one is not None])
        whole = [_like_input(one, x) for one, x in zip(masks, inputs, strict=True)]
        return torch.cat(whole, self.concat_axis).all(-1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        if callable(self.mode) and self._wanted_shape is not None:
            if callable(self._wanted_shape):
                return self._wanted_shape(input_shape)
            return (input_shape[0][0], *self._wanted_shape)
        return super().compute_output_shape(input_shape)


def _dot(first: Tensor, second: Tensor, axes: tuple[int, int]) -> Tensor:
    """Sum of products along one axis of each, sample by sample; two matrices give (batch, 1)."""
    if first.dim() == second.dim() == 2:
        return (first * second).sum(1, keepdim=True)
    first, second = first.movedim(axes[0], -1), second.movedim(axes[1], 1)
    rest = (*first.shape[1:-1], *second.shape[2:])
    return (first.reshape(first.shape[0], -1, first.shape[-1]) @ second.reshape(*second.shape[:2], -1)).reshape(first.shape[0], *rest)


def _like_input(mask: Tensor | None, x: Tensor) -> Tensor:
    if mask is None:
        return torch.ones(x.shape, dtype=torch.bool, device=x.device)
    return mask.unsqueeze(-1).expand(x.shape) if mask.dim() < x.dim() else mask


def _output_of(layer: Any, nodes: Sequence[int] | None, tensors: Sequence[int] | None, number: int) -> Any:
    """The symbolic output of one of the layers to merge."""
    if isinstance(layer, Tensor):
        return layer
    node = 0 if nodes is None else nodes[number]
    output = layer.get_output_at(node) if hasattr(layer, "get_output_at") and node else layer.output
    return output[tensors[number]] if tensors is not None and isinstance(output, list) else output


def merge(
    inputs: Sequence[Any],
    mode: Any = "sum",
    concat_axis: int = -1,
    dot_axes: Any = -1,
    output_shape: Any = None,
    output_mask: Any = None,
    arguments: dict[str, Any] | None = None,
    name: str | None = None,
) -> Any:
    """Merge tensors, or the outputs of layers, in one of Keras 1's modes; the arguments are those of `Merge`."""
    tensors = [_output_of(one, None, None, number) for number, one in enumerate(inputs)]
    return Merge(
        mode=mode,
        concat_axis=concat_axis,
        dot_axes=dot_axes,
        output_shape=output_shape,
        output_mask=output_mask,
        arguments=arguments,
        name=name,
    )(tensors)
