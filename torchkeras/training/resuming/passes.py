"""Where a run stands in its data: how a pass over them began, and how many of its batches were taken."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from torchkeras.training.resuming.generators import global_states, kept, set_global_states
from torchkeras.training.resuming.plain import from_plain, to_plain

T = TypeVar("T")


class Allowance:
    """How many batches may be made ahead: up to the next save, so that then nothing is under way."""

    def __init__(self) -> None:
        self.left = 0

    def take(self, most: int) -> int:
        """So many of what is left, at least one; they are then gone."""
        count = max(1, min(self.left, most))
        self.left = max(0, self.left - count)
        return count


class Pass:
    """The place in data at hand: the states of the generators before the order was drawn, and the batches taken since.

    The order itself is not kept: it is drawn again from the same states.

    Args:
        data: What the samples are, for the comparison with another run.
        position: Where to begin; `None`: at the beginning.
        carried: Gives what an order is made of besides random numbers, such as the order before.
        carry: Takes it back.

    Raises:
        ValueError: the position is of other data.
    """

    def __init__(self, data: Mapping[str, Any], position: Mapping[str, Any] | None, carried: Callable[[], Any], carry: Callable[[Any], None]) -> None:
        self.data = dict(data)
        self.carried, self.carry = carried, carry
        self.taken = 0
        self.open = False
        self.began: Any = None
        self.waiting = position if position is not None and position["open"] else None
        if position is not None:
            check_data(self.data, position["data"])

    def begin(self, draw: Callable[[], T]) -> tuple[T, int]:
        """This pass's order, and the batch to begin with.

        Args:
            draw: Draws an order.
        """
        position, self.waiting = self.waiting, None
        self.open = True
        if position is None:
            self.began = {"generators": global_states(), "carried": self.carried()}
            self.taken = 0
            return draw(), 0
        self.began = from_plain(position["began"])
        self.taken = position["taken"]
        with kept():
            set_global_states(self.began["generators"])
            self.carry(self.began["carried"])
            return draw(), self.taken

    def counted(self, batches: Iterator[T]) -> Iterator[T]:
        """The batches of a pass, counted."""
        for batch in batches:
            self.taken += 1
            yield batch

    def position(self) -> dict[str, Any]:
        """The place as plain data."""
        return {"data": self.data, "open": self.open, "taken": self.taken, "began": to_plain(self.began)}


def check_data(here: Mapping[str, Any], there: Any) -> None:
    """Compare what is known of the data with that of a saved position.

    Raises:
        ValueError: they differ.
    """
    for name in sorted({*here, *there}):
        if here.get(name) != there.get(name):
            raise ValueError(
                f"The saved state cannot go on with these data: {name} was {there.get(name)!r}, and is {here.get(name)!r} now. "
                "Start the run with the data and arguments that it had, or remove the saved state to begin anew."
            )
