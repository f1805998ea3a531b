"""What layers over steps, images and volumes share: their arguments and their axes.

torch's kernels want (batch, channels, *space). A channels-last tensor, permuted, is that in torch's channels-last memory
format, which the kernels run on without a copy, and faster than on contiguous memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from torchkeras import config
from torchkeras.layers.base import Layer

# orders of axes: from (batch, *space, channels) to (batch, channels, *space), and back
TO_TORCH = {1: (0, 2, 1), 2: (0, 3, 1, 2), 3: (0, 4, 1, 2, 3)}
TO_KERAS = {1: (0, 2, 1), 2: (0, 2, 3, 1), 3: (0, 2, 3, 4, 1)}


class SpatialLayer(Layer):
    """A layer over inputs with `rank` axes of space, beside a batch and a channel axis."""

    rank: ClassVar[int]
    data_format: str
    _channels_first: bool

    @property
    def _who(self) -> str:
        """The layer, as errors call it."""
        return f"{type(self).__name__} '{self.name}'"

    def _set_data_format(self, value: str | None) -> None:
        """Keep the data format, the global one for `None`.

        Raises:
            ValueError: an unknown data format.
        """
        try:
            self.data_format = config.normalize_data_format(value)
        except ValueError as error:
            raise ValueError(f"{self._who}: {error}") from None
        self._channels_first = self.data_format == "channels_first"

    @property
    def _space(self) -> tuple[int, ...]:
        """The axes of space, counted from the end, since there may be several batch axes."""
        last = 0 if self._channels_first else -1
        return tuple(range(last - self.rank, last))

    @property
    def _channel_axis(self) -> int:
        """The axis of channels, counted from the end."""
        return -1 - self.rank if self._channels_first else -1

    def _channels_of(self, input_shape: Sequence[int | None]) -> int:
        """The number of channels of an input.

        Raises:
            ValueError: it is unknown.
        """
        channels = input_shape[self._channel_axis]
        if channels is None:
            raise ValueError(
                f"{self._who} needs the size of the channel axis ({self._channel_axis} for data_format={self.data_format!r}), "
                f"but got an input of shape {tuple(input_shape)}. Give the number of channels in the input's shape."
            )
        return channels


def whole_numbers(value: Any, count: int, argument: str, who: str, *, least: int = 1) -> tuple[int, ...]:
    """An argument such as `kernel_size`: one number for every axis, or one for each.

    Raises:
        ValueError: another number of entries, or one that is no whole number of at least `least`.
    """
    entries = tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else (value,) * count
    wrong = len(entries) != count or any(isinstance(entry, bool) or not _is_whole(entry) or entry < least for entry in entries)
    if wrong:
        wanted = f"a whole number of at least {least}" + (f" or a tuple of {count} of them" if count > 1 else "")
        raise ValueError(f"{who} takes for `{argument}` {wanted}, but got {value!r}.")
    return tuple(int(entry) for entry in entries)


def _is_whole(entry: Any) -> bool:
    try:
        return int(entry) == entry
    except (TypeError, ValueError):
        return False


def pairs(value: Any, count: int, argument: str, who: str) -> tuple[tuple[int, int], ...]:
    """An argument such as `padding` of ZeroPadding2D: a number, a number for each axis, or (near, far) for each axis.

    Raises:
        ValueError: of another form, or negative.
    """
    entries = tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else (value,) * count
    try:
        if len(entries) != count:
            raise ValueError
        near_far = [whole_numbers(entry, 2, argument, who, least=0) for entry in entries]
    except ValueError:
        raise ValueError(
            f"{who} takes for `{argument}` a whole number of at least 0, a tuple of {count} of them (the same on both sides), "
            f"or a tuple of {count} tuples (near side, far side), but got {value!r}."
        ) from None
    return tuple((near, far) for near, far in near_far)


def choice(value: Any, known: Sequence[str], argument: str, who: str) -> str:
    """A text argument, in lower case.

    Raises:
        ValueError: not one of the known ones.
    """
    text = str(value).lower()
    if text not in known:
        raise ValueError(f"{who} takes for `{argument}` one of {list(known)}, but got {value!r}.")
    return text
