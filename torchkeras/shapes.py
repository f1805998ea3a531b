"""Shape arithmetic in plain Python; `None` stands for an unknown dimension."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Shape = tuple[int | None, ...]


def as_shape(shape: Iterable[int | None] | int) -> Shape:
    """A tuple of ints and `None` from a tuple, list, torch.Size or single number."""
    if isinstance(shape, int):
        return (shape,)
    return tuple(None if dim is None else int(dim) for dim in shape)


def known_size(shape: Sequence[int | None], who: str) -> int:
    """Product of all dimensions.

    Raises:
        ValueError: one of them is unknown.
    """
    size = 1
    for dim in shape:
        if dim is None:
            raise ValueError(f"{who} needs every dimension known, but got the shape {tuple(shape)}.")
        size *= dim
    return size


def merge_unknown(first: Sequence[int], second: Sequence[int]) -> Shape:
    """The shape whose dimensions are known where two trial shapes agree."""
    return tuple(a if a == b else None for a, b in zip(first, second, strict=True))


def conv_output_length(length: int | None, kernel: int, padding: str, stride: int, dilation: int = 1) -> int | None:
    """Length of one spatial axis after a convolution or a pool ("same", "valid", "causal" or "full")."""
    if length is None:
        return None
    reach = (kernel - 1) * dilation + 1
    size = {"same": length, "causal": length, "valid": length - reach + 1, "full": length + reach - 1}[padding]
    return (size + stride - 1) // stride


def same_padding(length: int, kernel: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """Padding (near side, far side) of one axis for "same": TensorFlow pads the far side more."""
    reach = (kernel - 1) * dilation + 1
    total = max((-(-length // stride) - 1) * stride + reach - length, 0)
    return total // 2, total - total // 2
