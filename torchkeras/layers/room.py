"""How many numbers the weights of a model may have while it is made of a file: a config of a few bytes can ask for terabytes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar


class Room:
    """What is left, and the error for a layer that asks for more.

    Args:
        numbers: How many numbers there is room for.
        refuse: Makes the error of a text that says which layer asks for which shape.
    """

    def __init__(self, numbers: int, refuse: Callable[[str], Exception]) -> None:
        self.numbers = numbers
        self.refuse = refuse


_room: ContextVar[Room | None] = ContextVar("torchkeras_room_for_weights", default=None)


@contextmanager
def room_for(numbers: int, refuse: Callable[[str], Exception]) -> Iterator[None]:
    """Inside, layers may make weights of so many numbers altogether.

    Args:
        numbers: How many.
        refuse: Makes the error of a text that says which layer asks for which shape.
    """
    token = _room.set(Room(numbers, refuse))
    try:
        yield
    finally:
        _room.reset(token)


def take(shape: Sequence[int], who: str) -> None:
    """Ask for room before a tensor is made; outside of files there always is.

    Args:
        shape: The tensor's shape.
        who: Whose it is, for the message.

    Raises:
        Exception: what the `refuse` of `room_for` makes, where there is too little room.
    """
    room = _room.get()
    if room is None:
        return
    room.numbers -= math.prod(shape)
    if room.numbers < 0:
        raise room.refuse(f"{who} asks for the shape {tuple(shape)}")
