"""The place in data that come batch by batch: loaders, generators and other iterables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torchkeras.training.resuming.generators import global_states, kept, own_states, set_global_states, set_own_states
from torchkeras.training.resuming.journal import Journal
from torchkeras.training.resuming.passes import Allowance
from torchkeras.training.resuming.plain import from_plain, to_plain

NOTHING = object()  # what a source gives after its last batch


def tells_state(source: Any) -> bool:
    """Whether a source says by itself where it stands, by `state_dict()` and `load_state_dict(state)`."""
    return hasattr(source, "state_dict") and hasattr(source, "load_state_dict")


def parts_of(source: Any) -> list[Any]:
    """A source and what it is made of: the samplers and the data set of a loader."""
    names = ("sampler", "batch_sampler", "dataset")
    found = [source, *(getattr(source, name, None) for name in names), getattr(getattr(source, "batch_sampler", None), "sampler", None)]
    return list({id(part): part for part in found if part is not None}.values())


def _part_state(part: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"generators": own_states(part)}
    if tells_state(part):
        found["state"] = part.state_dict()
    if hasattr(part, "set_epoch") and isinstance(getattr(part, "epoch", None), int):  # torch's DistributedSampler
        found["epoch"] = part.epoch
    return found


def _set_part(part: Any, state: Mapping[str, Any]) -> None:
    set_own_states(part, state["generators"])
    if "state" in state:
        part.load_state_dict(state["state"])
    if "epoch" in state:
        part.set_epoch(state["epoch"])


class Reads:
    """The place in a source that is read batch after batch.

    By what the source can do, in this order:

    - `state_dict()` and `load_state_dict(state)`: the source itself says where it stands, and goes on from there.
    - an iterator with `seek(number)`: it goes on with the batch of that number, counted from 0 over all that it ever gave.
    - any other iterator, such as a generator: its batches up to the place are made again and dropped (a `Journal` sees to it that they
      draw the same random numbers), which takes as long as making them took.
    - what can be iterated anew, such as a DataLoader: the states of the generators before the pass are put back, those of its samplers and
      data set included, and the batches of this pass up to the place are read again and dropped.

    Args:
        source: The source.
        position: Where to begin; `None`: at the beginning.
    """

    def __init__(self, source: Any, position: Mapping[str, Any] | None) -> None:
        self.source = source
        self.once = hasattr(source, "__next__")
        self.kind = "state" if tells_state(source) else "passes" if not self.once else "seek" if hasattr(source, "seek") else "reads"
        self.taken = 0  # in this pass; of an iterator, at all
        self.looked = 0  # batches that were read to look at, and wait to be taken
        self.open = False
        self.began: Any = None
        self.journal = Journal(source)
        self.allowance = Allowance()
        self.waiting = position

    # -- reading

    def begin(self, make: Callable[[], Iterator[Any]]) -> Iterator[Any]:
        """A new pass; of an iterator there is one alone."""
        if self.kind == "state" and self.began is None:
            self.began = {"state": to_plain(self.source.state_dict())}  # a batch may be looked at before the first is taken
        elif self.kind == "passes":
            self.began = {"generators": global_states(), "parts": [_part_state(part) for part in parts_of(self.source)]}
        self.taken = 0 if not self.once else self.taken
        self.open = True
        return make()

    def read(self, source: Iterator[Any], by_thread: bool = False) -> Any:
        """The next batch of an iterator, remembered where it has to be read again."""
        return self.journal.call(lambda: next(source, NOTHING), by_thread) if self.kind == "reads" else next(source, NOTHING)

    def reading(self, source: Iterator[Any]) -> Iterator[Any]:
        """An iterator, read by the loop."""
        while (batch := self.read(source)) is not NOTHING:
            yield batch

    def counted(self, batches: Iterator[Any]) -> Iterator[Any]:
        """Batches as they are taken."""
        for batch in batches:
            self.looked = 0
            self.taken += 1
            yield batch

    # -- the place

    def position(self) -> dict[str, Any]:
        """The place as plain data."""
        found: dict[str, Any] = {"kind": self.kind, "taken": self.taken, "looked": self.looked, "open": self.open}
        if self.kind == "state":
            found["state"] = (
                to_plain(self.source.state_dict(), f"the state_dict of {type(self.source).__name__}") if self.taken else self.began["state"]
            )
        elif self.kind == "reads":
            found["journal"] = self.journal.state()
        elif self.kind == "passes":
            found["began"] = to_plain(self.began)
            found["now"] = to_plain([_part_state(part) for part in parts_of(self.source)])
        return found

    def go(self, make: Callable[[], Iterator[Any]]) -> tuple[Any, bool, Iterator[Any] | None]:
        """Go to the place that waits.

        Args:
            make: Begins a pass.

        Returns:
            A batch to look at (`NOTHING`: there is none), whether it also is the next one to be taken, and the rest of the pass; `None`: a new
            one is to begin.

        Raises:
            ValueError: the place is of another kind of source.
        """
        position, self.waiting = self.waiting, None
        assert position is not None
        if position["kind"] != self.kind:
            raise ValueError(
                f"The saved state cannot go on with a {type(self.source).__name__}: its place was kept by {position['kind']!r}, "
                f"and would be by {self.kind!r} now. Start the run with the data that it had, or remove the saved state."
            )
        self.taken, self.looked, self.open = position["taken"], position["looked"], position["open"]
        return {"state": self._to_state, "seek": self._to_number, "reads": self._by_reading, "passes": self._by_passing}[self.kind](position, make)

    def _to_state(self, position: Mapping[str, Any], make: Callable[[], Iterator[Any]]) -> tuple[Any, bool, None]:
        state = from_plain(position["state"])
        self.began, self.looked = {"state": position["state"]}, 0
        with kept():  # a batch is made to be looked at, and once more in its turn
            self.source.load_state_dict(state)
            given = next(iter(self.source), NOTHING)
        self.source.load_state_dict(from_plain(position["state"]))
        return given, False, None

    def _to_number(self, position: Mapping[str, Any], make: Callable[[], Iterator[Any]]) -> tuple[Any, bool, None]:
        self.looked = 0
        with kept(self.source):
            self.source.seek(self.taken)
            given = next(self.source, NOTHING)
        self.source.seek(self.taken)
        return given, False, None

    def _by_reading(self, position: Mapping[str, Any], make: Callable[[], Iterator[Any]]) -> tuple[Any, bool, Iterator[Any]]:
        source = iter(self.source)
        given = self.journal.replay(position["journal"], lambda: next(source, NOTHING))
        return given, bool(self.looked), make()

    def _by_passing(self, position: Mapping[str, Any], make: Callable[[], Iterator[Any]]) -> tuple[Any, bool, Iterator[Any] | None]:
        parts, began, now = parts_of(self.source), from_plain(position["began"]), from_plain(position["now"])
        given: Any = NOTHING
        with kept():
            if began is not None and self.open:
                self.began = began
                set_global_states(began["generators"])
                for part, state in zip(parts, began["parts"], strict=True):
                    _set_part(part, state)
            epoch = make()
            for _ in range(self.taken + self.looked if self.open else 1):
                given = next(epoch, NOTHING)
        for part, state in zip(parts, now, strict=True):
            if self.open:
                set_own_states(part, state["generators"])
            else:
                _set_part(part, state)
        return given, bool(self.looked), epoch if self.open else None
