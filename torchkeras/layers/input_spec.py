"""What a layer asks of its inputs, checked at the door."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torchkeras.shapes import Shape, as_shape


class InputSpec:
    """Expected rank, shape and axis sizes of one input.

    Args:
        dtype: Name of the type; kept, not checked.
        shape: Expected shape, `None` where any size will do.
        ndim: Expected number of dimensions.
        max_ndim: Largest number of dimensions.
        min_ndim: Smallest number of dimensions.
        axes: Expected size of single axes.
        min_axes: Least size of single axes.

    Source: Keras 2.2.4 `keras.engine.InputSpec`.
    """

    def __init__(
        self,
        dtype: Any = None,
        shape: Any = None,
        ndim: int | None = None,
        max_ndim: int | None = None,
        min_ndim: int | None = None,
        axes: Mapping[int, int | None] | None = None,
        *,
        min_axes: Mapping[int, int] | None = None,
    ) -> None:
        self.dtype = dtype
        self.shape = None if shape is None else as_shape(shape)
        self.ndim = len(self.shape) if self.shape is not None else ndim
        self.max_ndim = max_ndim
        self.min_ndim = min_ndim
        self.axes = {int(axis): size for axis, size in (axes or {}).items()}
        self.min_axes = dict(min_axes or {})

    def __repr__(self) -> str:
        parts = (("ndim", self.ndim), ("min_ndim", self.min_ndim), ("max_ndim", self.max_ndim), ("axes", self.axes or None))
        return f"InputSpec({', '.join(f'{name}={value}' for name, value in parts if value is not None)})"

    def complaint(self, shape: Shape) -> str | None:
        """What is wrong with an input of this shape, or `None`."""
        if self.ndim is not None and len(shape) != self.ndim:
            return f"expected ndim={self.ndim}, found ndim={len(shape)}"
        if self.max_ndim is not None and len(shape) > self.max_ndim:
            return f"expected max_ndim={self.max_ndim}, found ndim={len(shape)}"
        if self.min_ndim is not None and len(shape) < self.min_ndim:
            return f"expected min_ndim={self.min_ndim}, found ndim={len(shape)}"
        for axis, size in self.axes.items():
            if size is not None and -len(shape) <= axis < len(shape) and shape[axis] not in (size, None):
                return f"expected axis {axis} of input shape to have value {size}, found {shape[axis]}"
        for axis, least in self.min_axes.items():
            found = shape[axis]
            if found is not None and found < least:
                return f"expected axis {axis} of input shape to have at least {least} entries, found {found}"
        for size, found in zip(self.shape or (), shape, strict=False):
            if size is not None and found is not None and size != found:
                return f"expected shape={self.shape}, found shape={shape}"
        return None


def check_inputs(layer_name: str, specs: Any, shapes: Any) -> None:
    """Compare the shapes of a layer's inputs with its `input_spec`.

    Raises:
        ValueError: another number of inputs, or one that does not fit.
    """
    if specs is None:
        return
    wanted = specs if isinstance(specs, (list, tuple)) else [specs]
    got = shapes if isinstance(shapes, list) else [shapes]
    if len(wanted) != len(got):
        raise ValueError(f"Layer '{layer_name}' expects {len(wanted)} inputs, but it received {len(got)} of shapes {got}.")
    for number, (spec, shape) in enumerate(zip(wanted, got, strict=True)):
        complaint = spec.complaint(shape) if isinstance(spec, InputSpec) else None
        if complaint:
            raise ValueError(
                f"Input {number} of layer '{layer_name}' is incompatible with the layer: {complaint}. Full shape received: {tuple(shape)}. "
                "Reshape the input, or use a new layer for it."
            )
