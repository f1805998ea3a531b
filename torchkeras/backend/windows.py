"""What convolutions and pools share: where windows lie, and which axis holds the channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from torchkeras.shapes import same_padding


def as_tuple(value: Any, count: int, who: str, what: str) -> tuple[int, ...]:
    """One number for each spatial axis, from one for all or a list.

    Raises:
        ValueError: another number of them.
    """
    numbers = (value,) * count if isinstance(value, int) else tuple(int(one) for one in value)
    if len(numbers) != count:
        raise ValueError(f"{who} takes {what} as {count} numbers, but got {value!r}.")
    return numbers


def check_padding(padding: Any, who: str, known: Sequence[str] = ("valid", "same")) -> str:
    """The padding in lower case.

    Raises:
        ValueError: an unknown one.
    """
    name = str(padding).lower()
    if name not in known:
        raise ValueError(f"{who} takes padding {' or '.join(map(repr, known))}, but got {padding!r}.")
    return name


def check_strides(strides: tuple[int, ...], dilation: tuple[int, ...], who: str) -> None:
    """Refuse what TensorFlow does not compute.

    Raises:
        ValueError: strides and dilation both above 1.
    """
    if max(strides) > 1 and max(dilation) > 1:
        raise ValueError(f"{who} takes strides above 1 or a dilation_rate above 1, not both, but got strides {strides} and dilation_rate {dilation}.")


def channels_to_front(x: Tensor, data_format: str) -> Tensor:
    """(batch, channels, ...) as a view."""
    return x if data_format == "channels_first" else x.movedim(-1, 1)


def channels_back(x: Tensor, data_format: str) -> Tensor:
    """The view back into the data format."""
    return x if data_format == "channels_first" else x.movedim(1, -1)


def window_padding(
    lengths: Sequence[int], window: Sequence[int], strides: Sequence[int], dilation: Sequence[int], padding: str
) -> tuple[tuple[int, int], ...]:
    """(near, far) padding of each spatial axis."""
    if padding == "valid":
        return ((0, 0),) * len(lengths)
    if padding == "causal":
        return tuple(((size - 1) * step, 0) for size, step in zip(window, dilation, strict=True))
    return tuple(same_padding(*each) for each in zip(lengths, window, strides, dilation, strict=True))


def pad_unevenly(x: Tensor, pads: Sequence[tuple[int, int]], value: float = 0.0) -> tuple[Tensor, tuple[int, ...]]:
    """Pad by hand only where near and far side differ.

    Returns:
        The tensor, and what is left for the kernel to pad on both sides.
    """
    if all(near == far for near, far in pads):
        return x, tuple(near for near, _ in pads)
    return F.pad(x, [width for pair in reversed(pads) for width in pair], value=value), (0,) * len(pads)
