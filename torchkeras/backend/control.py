"""K functions that choose and repeat: learning phase, `switch`, `map_fn`, folds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from torchkeras.backend.conversion import as_tensor, has_symbolic, recorded
from torchkeras.generations import choose
from torchkeras.layers.base import Layer, layer_registry
from torchkeras.layers.phase import current_phase, fix_phase, fixed_phase
from torchkeras.random import as_dtype


class LearningPhase(int):
    """The learning phase as `K.learning_phase()` gives it: 0 or 1, and an input of `K.function` that sets it."""


def learning_phase() -> int:
    """1 where code runs to train, else 0."""
    fixed = fixed_phase()
    return LearningPhase(current_phase()) if fixed is None else fixed


def set_learning_phase(value: int) -> None:
    """Fix the learning phase for the whole program.

    Args:
        value: 0 (test) or 1 (train).

    Raises:
        ValueError: another value.
    """
    if value not in (0, 1):
        raise ValueError(f"set_learning_phase takes 0 (test) or 1 (train), but got {value!r}.")
    fix_phase(int(value))


@contextmanager
def learning_phase_scope(value: int) -> Iterator[None]:
    """Fix the learning phase inside a `with` block.

    Args:
        value: 0 (test) or 1 (train).

    Raises:
        ValueError: another value.
    """
    before = fixed_phase()
    set_learning_phase(value)
    try:
        yield
    finally:
        fix_phase(before)


@layer_registry.add()
class InTrainPhase(Layer):
    """One of two tensors: the first in training, the second else. `K.in_train_phase` on symbolic tensors makes it.

    Shape: two of one shape -> that shape
    """

    supports_masking = True

    def call(self, inputs: list[Tensor], training: bool | None = None) -> Tensor:
        """The first input in training, else the second."""
        return inputs[0] if training else inputs[1]

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The mask of the first input."""
        return mask[0] if isinstance(mask, (list, tuple)) else mask


def _value(branch: Any) -> Any:
    return branch() if callable(branch) else branch


def in_train_phase(x: Any, alt: Any, training: Any = None) -> Any:
    """`x` in training, else `alt`.

    Args:
        x: A value, or a function without arguments that gives it.
        alt: The other.
        training: Whether this is training: a truth value or a tensor; `None`: the learning phase, which symbolic tensors
            ask for each time the graph runs.
    """
    if isinstance(training, Tensor):
        return switch(training, x, alt)
    chosen, other = (x, alt) if (current_phase() if training is None else training) else (alt, x)
    value = _value(chosen)
    if training is None and fixed_phase() is None and (has_symbolic([value]) or has_symbolic([other])):
        pair = (value, _value(other))
        return InTrainPhase()(list(pair if chosen is x else reversed(pair)))
    return value


def in_test_phase(x: Any, alt: Any, training: Any = None) -> Any:
    """`alt` in training, else `x`; arguments as in `in_train_phase`."""
    return in_train_phase(alt, x, training)


def switch(condition: Any, then_expression: Any, else_expression: Any) -> Any:
    """One of two values, decided by a condition.

    Args:
        condition: A truth value or number: only the branch it chooses runs. A tensor without axes: both branches run, on the
            device, and one is taken. A tensor with axes: decided element by element; an axis of length 1, and what it has
            fewer axes than the values, covers the whole axis (with one axis, Keras 1 and 2 choose rows, and tf.keras
            lines it up with the last axis).
        then_expression: A value, or a function without arguments that gives it.
        else_expression: The other.

    Raises:
        ValueError: the condition has more axes than the values.
    """
    if isinstance(condition, LearningPhase):
        return in_train_phase(then_expression, else_expression)
    if not isinstance(condition, (Tensor, list, tuple)) and not getattr(condition, "ndim", 0):
        return _value(then_expression if condition else else_expression)
    return _select(condition, _value(then_expression), _value(else_expression))


@recorded
def _select(condition: Any, first: Any, second: Any) -> Any:
    """Elements of the first where the condition holds, else of the second; both may be structures of tensors."""
    condition = as_tensor(condition).to(torch.bool)
    firsts, structure = pytree.tree_flatten(first)
    seconds = pytree.tree_leaves(second)
    return pytree.tree_unflatten([_select_one(condition, a, b) for a, b in zip(firsts, seconds, strict=True)], structure)


def _select_one(condition: Tensor, first: Any, second: Any) -> Tensor:
    known = first if isinstance(first, Tensor) else second if isinstance(second, Tensor) else None
    first, second = as_tensor(first, like=known), as_tensor(second, like=known)
    if condition.ndim > first.ndim:
        raise ValueError(
            f"switch needs a condition with no more axes than the values, but got the shapes {tuple(condition.shape)} and {tuple(first.shape)}."
        )
    if condition.ndim == 0:
        if first.shape != second.shape:
            # only one shape can come out, so the condition has to be read
            return first if bool(condition) else second
    elif condition.ndim > 1 or choose("backend.switch_vector") == "rows":
        condition = condition.reshape(condition.shape + (1,) * (first.ndim - condition.ndim))
    return torch.where(condition, first, second)


def _rows(elems: Any, who: str) -> list[Any]:
    """The elements along the first axis: structures like `elems`.

    Raises:
        ValueError: no elements, or different numbers of them.
    """
    leaves, structure = pytree.tree_flatten(elems)
    tensors = [as_tensor(leaf) for leaf in leaves]
    counts = {tensor.shape[0] if tensor.ndim else 0 for tensor in tensors}
    if len(counts) != 1 or 0 in counts:
        raise ValueError(f"{who} needs tensors with one length above 0 along axis 0, but got the shapes {[tuple(t.shape) for t in tensors]}.")
    return [pytree.tree_unflatten(list(row), structure) for row in zip(*(tensor.unbind(0) for tensor in tensors), strict=True)]


@recorded
def map_fn(fn: Callable[[Any], Any], elems: Any, name: str | None = None, dtype: Any = None) -> Any:
    """Results of a function for each element along the first axis, stacked.

    Args:
        fn: Takes one element and gives a tensor, or a structure of tensors.
        elems: A tensor, or a structure of tensors of one length.
        name: A label in TensorFlow's graph, without meaning here.
        dtype: Type of the results, or a structure of types; `None`: as `fn` gives them.

    Raises:
        ValueError: no elements, or different numbers of them.
    """
    results = [fn(row) for row in _rows(elems, "map_fn")]
    structure = pytree.tree_structure(results[0])
    stacked = [torch.stack([as_tensor(part) for part in parts]) for parts in zip(*map(pytree.tree_leaves, results), strict=True)]
    if dtype is not None:
        types = pytree.tree_leaves(dtype)
        types = types * len(stacked) if len(types) == 1 else types
        stacked = [one.to(as_dtype(kind)) for one, kind in zip(stacked, types, strict=True)]
    return pytree.tree_unflatten(stacked, structure)


def _fold(fn: Callable[[Any, Any], Any], rows: list[Any], initializer: Any) -> Any:
    start = rows.pop(0) if initializer is None else pytree.tree_map(as_tensor, initializer)
    for row in rows:
        start = fn(start, row)
    return start


@recorded
def foldl(fn: Callable[[Any, Any], Any], elems: Any, initializer: Any = None, name: str | None = None) -> Any:
    """Elements along the first axis brought together from the first to the last.

    Args:
        fn: Takes what came out so far and the next element, and gives what comes out.
        elems: A tensor, or a structure of tensors of one length.
        initializer: What to begin with; `None`: the first element.
        name: A label in TensorFlow's graph, without meaning here.

    Raises:
        ValueError: no elements, or different numbers of them.
    """
    return _fold(fn, _rows(elems, "foldl"), initializer)


@recorded
def foldr(fn: Callable[[Any, Any], Any], elems: Any, initializer: Any = None, name: str | None = None) -> Any:
    """Elements along the first axis brought together from the last to the first; arguments as in `foldl`."""
    return _fold(fn, _rows(elems, "foldr")[::-1], initializer)
