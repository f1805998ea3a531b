"""Layers that make one tensor of several, and the functions of the same names."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from torchkeras.layers.base import Layer, has_mask, layer_registry


class _Merge(Layer):
    """Base of the layers that take a list of tensors; a subclass of a user's own writes `_merge_function`.

    Shape: list of tensors, by default of one shape or such as broadcast to one; a tensor with fewer axes gets axes of 1 after the batch.

    Raises:
        ValueError: something else than a list of at least two tensors, other batch sizes, or shapes that do not broadcast.
    """

    supports_masking = True
    exactly_two: ClassVar[bool] = False

    def build(self, input_shape: Any) -> None:
        self._check_list(input_shape)
        self.check_shapes([tuple(shape) for shape in input_shape])

    def _check_list(self, inputs: Any) -> None:
        who, needs = f"{type(self).__name__} '{self.name}'", "exactly 2 inputs" if self.exactly_two else "at least 2 inputs"
        if not isinstance(inputs, list) or not all(isinstance(one, (tuple, Tensor)) for one in inputs):
            raise ValueError(
                f"{who} should be called on a list of {needs}, but got one: {inputs if isinstance(inputs, tuple) else type(inputs).__name__}."
            )
        if len(inputs) < 2 or (self.exactly_two and len(inputs) > 2):
            raise ValueError(f"{who} should be called on a list of {needs}, but got {len(inputs)}.")

    def check_shapes(self, shapes: list[tuple[int | None, ...]]) -> None:
        """Refuse shapes that cannot be merged."""
        if len({shape[0] for shape in shapes} - {None}) > 1:
            raise ValueError(f"{type(self).__name__} '{self.name}' needs inputs of one batch size, but got the shapes {shapes}.")
        rank = max(map(len, shapes))
        aligned = [(1,) * (rank - len(shape)) + shape[1:] for shape in shapes]
        for sizes in zip(*aligned, strict=True):
            if len(set(sizes) - {None, 1}) > 1:
                raise ValueError(f"{type(self).__name__} '{self.name}' cannot broadcast inputs of the shapes {shapes} to one shape.")

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        if isinstance(inputs, Tensor):  # its samples would be taken for the inputs
            self._check_list(inputs)
        rank = inputs[0].dim()
        for one in inputs:
            if one.dim() != rank:
                return self._merge_function(_of_one_rank(inputs))
        return self._merge_function(inputs)

    def _merge_function(self, inputs: Sequence[Tensor]) -> Tensor:
        """The result for tensors of one rank."""
        raise NotImplementedError(f"{type(self).__name__} should override _merge_function().")

    def compute_mask(self, inputs: Any, mask: Any = None) -> Tensor | None:
        """The steps that every masked input counts."""
        return functools.reduce(torch.logical_and, [one for one in self._masks(inputs, mask) if one is not None]) if has_mask(mask) else None

    def _may_go_straight(self) -> bool:
        return self.built

    def _masks(self, inputs: Any, mask: Any) -> list[Tensor | None]:
        if not isinstance(mask, (list, tuple)) or len(mask) != len(inputs):
            raise ValueError(
                f"{type(self).__name__} '{self.name}' needs a list of one mask (or None) for each of its {len(inputs)} inputs, but got {mask!r}."
            )
        return list(mask)


def _of_one_rank(inputs: Sequence[Tensor]) -> list[Tensor]:
    """The inputs, with axes of 1 after the batch where one has fewer axes than another."""
    rank = max(one.dim() for one in inputs)
    return [one.reshape(one.shape[0], *(1,) * (rank - one.dim()), *one.shape[1:]) for one in inputs]


@layer_registry.add()
class Add(_Merge):
    """Sum of the inputs.

    Shape: list of (batch, ...) that broadcast -> (batch, ...).

    Source: Keras 2.2.4 and tf.keras 2.4.0 `Add`.
    """

    def _merge_function(self, inputs: Sequence[Tensor]) -> Tensor:
        return functools.reduce(torch.add, inputs)


@layer_registry.add()
class Subtract(_Merge):
    """The first input less the second.

    Shape: list of two (batch, ...) that broadcast -> (batch, ...).

    Source: Keras 2.2.4 and tf.keras 2.4.0 `Subtract`.
    """

    exactly_two = True

    def _merge_function(self, inputs: Sequence[Tensor]) -> Tensor:
        return inputs[0] - inputs[1]


@layer_registry.add()
class Multiply(_Merge):
    """Product of the inputs, element by element.

    Shape: list of (batch, ...) that broadcast -> (batch, ...).

    Source: Keras 2.2.4 and tf.keras 2.4.0 `Multiply`.
    """

    def _merge_function(self, inputs: Sequence[Tensor]) -> Tensor:
        return functools.reduce(torch.mul, inputs)


@layer_registry.add()
class Average(_Merge):
    """Mean of the inputs.

    Shape: list of (batch, ...) that broadcast -> (batch, ...).

    Source: Keras 2.2.4 and tf.keras 2.4.0 `Average`.
    """

    def _merge_function(self, inputs: Sequence[Tensor]) -> Tensor:
        return functools.reduce(torch.add, inputs) / len(inputs)


@layer_registry.add()
class Maximum(_Merge):
    """The largest of the inputs, element by element.

    Shape: list of (batch, ...) that broadcast -> (batch, ...).

    Source: Keras 2.2.4 and tf.keras 2.4.0 `Maximum`.
    """

    def _merge_function(self, inputs: Sequence[Tensor]) -> Tensor:
        return functools.reduce(torch.maximum, inputs)


@layer_registry.add()
class Minimum(_Merge):
    """The smallest of the inputs, element by element.

    Shape: list of (batch, ...) that broadcast -> (batch, ...).

    Source: Keras 2.2.4 and tf.keras 2.4.0 `Minimum`.
    """

    def _merge_function(self, inputs: Sequence[Tensor]) -> Tensor:
        return functools.reduce(torch.minimum, inputs)


@layer_registry.add()
class Concatenate(_Merge):
    """The inputs one after the other along an axis.

    Args:
        axis: The axis, counted with the batch.

    Shape: list of tensors that agree in all other axes -> one with the sizes of that axis added up.

    Raises:
        ValueError: shapes that differ in another axis.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `Concatenate`.
    """

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def check_shapes(self, shapes: list[tuple[int | None, ...]]) -> None:
        rank = len(shapes[0])
        fits = all(len(shape) == rank for shape in shapes) and -rank <= self.axis < rank
        others = [sizes for axis, sizes in enumerate(zip(*shapes, strict=False)) if axis != self.axis % rank]
        if not fits or any(len(set(sizes) - {None}) > 1 for sizes in others):
            raise ValueError(f"Concatenate '{self.name}' needs inputs whose shapes match except for axis {self.axis}, but got the shapes {shapes}.")

    def _merge_function(self, inputs: Sequence[Tensor]) -> Tensor:
        return torch.cat(tuple(inputs), self.axis)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Tensor | None:
        if not has_mask(mask):
            return None
        masks = self._masks(inputs, mask)
        axis, rank = self.axis % inputs[0].dim(), next(one.dim() for one in masks if one is not None)
        if axis >= rank:  # the inputs lie side by side in what a mask does not tell apart
            return super().compute_mask(inputs, mask)
        whole = [
            one if one is not None else torch.ones(x.shape[:rank], dtype=torch.bool, device=x.device) for one, x in zip(masks, inputs, strict=True)
        ]
        joined = torch.cat(whole, axis)
        return joined.all(-1) if rank == inputs[0].dim() else joined


@layer_registry.add()
class Dot(_Merge):
    """Dot product of the samples of two inputs along an axis of each.

    Args:
        axes: The axis, counted with the batch, or one for each input.
        normalize: Scale the inputs to length 1 along the axis before: the cosine of the angle.

    Shape:
        (batch, *a, k, *b) and (batch, *c, k, *d) -> (batch, *a, *b, *c, *d); with nothing left but the batch, (batch, 1)

    Raises:
        ValueError: axes of different sizes, or the batch axis.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `Dot`.
    """

    exactly_two = True

    def __init__(self, axes: int | Sequence[int], normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        pair = [axes] * 2 if isinstance(axes, int) else axes
        if not isinstance(pair, (list, tuple)) or not all(isinstance(axis, int) for axis in pair):
            raise TypeError(f"Dot '{self.name}' needs axes that are an int or two of them, but got {axes!r}.")
        if len(pair) != 2 or 0 in pair:
            raise ValueError(f"Dot '{self.name}' needs one axis for each of two inputs, not the batch axis 0, but got axes={axes!r}.")
        self.axes = axes
        self.normalize = normalize
        self._pair = (pair[0], pair[1])

    def check_shapes(self, shapes: list[tuple[int | None, ...]]) -> None:
        for shape, axis in zip(shapes, self._pair, strict=True):
            if not 0 < (axis if axis >= 0 else axis + len(shape)) < len(shape):
                raise ValueError(
                    f"Dot '{self.name}' has axes={self.axes!r}, but got inputs of the shapes {shapes}: there is no such axis beside the batch."
                )
        sizes = [shape[axis] for shape, axis in zip(shapes, self._pair, strict=True)]
        if len(set(sizes) - {None}) > 1:
            raise ValueError(
                f"Dot '{self.name}' needs axes of the same size, but axes={self.axes!r} of the shapes {shapes} have {sizes[0]} and {sizes[1]}."
            )

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        if isinstance(inputs, Tensor):
            self._check_list(inputs)
        first, second = inputs
        if not self.normalize and first.dim() == second.dim() == 2:
            return (first * second).sum(1, keepdim=True)
        axes = [axis % one.dim() for axis, one in zip(self._pair, inputs, strict=True)]
        if self.normalize:  # TensorFlow keeps the square above 1e-12
            first, second = F.normalize(first, dim=axes[0], eps=1e-6), F.normalize(second, dim=axes[1], eps=1e-6)
        if first.dim() == second.dim() == 2:
            return (first * second).sum(1, keepdim=True)
        first, second = first.movedim(axes[0], -1), second.movedim(axes[1], 1)
        rest = (*first.shape[1:-1], *second.shape[2:])
        # (batch, a b, k) and (batch, k, c d); both are views where the tensors have three axes
        product = first.reshape(first.shape[0], -1, first.shape[-1]) @ second.reshape(*second.shape[:2], -1)
        return product.reshape(first.shape[0], *rest)

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        return None


def _merged(layer: Callable[..., Layer], inputs: Sequence[Any], **kwargs: Any) -> Any:
    return layer(**kwargs)(list(inputs))


def add(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """Sum of the inputs: `Add(**kwargs)(inputs)`."""
    return _merged(Add, inputs, **kwargs)


def subtract(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """The first input less the second: `Subtract(**kwargs)(inputs)`."""
    return _merged(Subtract, inputs, **kwargs)


def multiply(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """Product of the inputs, element by element: `Multiply(**kwargs)(inputs)`."""
    return _merged(Multiply, inputs, **kwargs)


def average(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """Mean of the inputs: `Average(**kwargs)(inputs)`."""
    return _merged(Average, inputs, **kwargs)


def maximum(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """The largest of the inputs, element by element: `Maximum(**kwargs)(inputs)`."""
    return _merged(Maximum, inputs, **kwargs)


def minimum(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """The smallest of the inputs, element by element: `Minimum(**kwargs)(inputs)`."""
    return _merged(Minimum, inputs, **kwargs)


def concatenate(inputs: Sequence[Any], axis: int = -1, **kwargs: Any) -> Any:
    """The inputs one after the other along an axis: `Concatenate(axis, **kwargs)(inputs)`."""
    return _merged(Concatenate, inputs, axis=axis, **kwargs)


def dot(inputs: Sequence[Any], axes: int | Sequence[int], normalize: bool = False, **kwargs: Any) -> Any:
    """Dot product of two inputs along an axis of each: `Dot(axes, normalize, **kwargs)(inputs)`."""
    return _merged(Dot, inputs, axes=axes, normalize=normalize, **kwargs)


__all__ = [
    "Add",
    "Average",
    "Concatenate",
    "Dot",
    "Maximum",
    "Minimum",
    "Multiply",
    "Subtract",
    "add",
    "average",
    "concatenate",
    "dot",
    "maximum",
    "minimum",
    "multiply",
    "subtract",
]
