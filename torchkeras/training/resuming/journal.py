"""Calls of code whose state cannot be seen, so that they can be made again with the same outcome."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torchkeras.training.resuming.generators import global_states, kept, own_states, set_global_states, set_own_states
from torchkeras.training.resuming.plain import from_plain, same, to_plain


class Journal:
    """Remembers of calls which generators they drew from, and their states where something else had drawn in between.

    Made again in a new process, one after the other, such calls bring the code to where it was: a generator function to its next
    batch, a Sequence to its order after so many `on_epoch_end`. Where nobody else draws from the same generators the journal
    stays empty but for the first call.

    Args:
        owner: The object whose own generators count, too.
    """

    def __init__(self, owner: Any) -> None:
        self.owner = owner
        self.calls = 0
        self.entries: list[Any] = []  # (call, states of generators before it)
        self._after: dict[str, Any] = {}  # of each generator, its state after the last call that drew from it

    def _states(self, beside: bool = False) -> dict[str, Any]:
        shared = {name: state for name, state in global_states().items() if not beside or not name.startswith(("torch", "cuda"))}
        return {**shared, **{f"own {name}": state for name, state in own_states(self.owner).items()}}

    def call(self, function: Callable[[], Any], beside: bool = False) -> Any:
        """Call a function, and remember.

        Args:
            function: What to call.
            beside: Whether a thread calls it while the model trains: what torch's generators gave meanwhile was not for the function.
        """
        before = self._states(beside)
        try:
            return function()
        finally:
            after = self._states(beside)
            drawn = [name for name, state in before.items() if not same(state, after.get(name))]
            entry = {name: before[name] for name in drawn if name not in self._after or not same(self._after[name], before[name])}
            if entry:
                self.entries.append((self.calls, entry))
            self._after.update({name: after[name] for name in drawn if name in after})
            self.calls += 1

    @property
    def has_torch(self) -> bool:
        """Whether a call drew from torch's generators."""
        return any(name.startswith(("torch", "cuda")) for _, entry in self.entries for name in entry)

    def state(self) -> dict[str, Any]:
        """The journal as plain data."""
        return {"calls": self.calls, "entries": to_plain(self.entries)}

    def replay(self, state: Mapping[str, Any], function: Callable[[], Any]) -> Any:
        """Make the calls of a journal again; what the last one gave. The shared generators are then as before."""
        entries = dict(from_plain(state["entries"]))
        result = None
        with kept():
            for number in range(state["calls"]):
                entry = entries.get(number, {})
                set_global_states({name: value for name, value in entry.items() if not name.startswith("own ")})
                set_own_states(self.owner, {name[4:]: value for name, value in entry.items() if name.startswith("own ")})
                result = function()
            now = self._states()
        self.calls, self.entries = state["calls"], list(entries.items())
        self._after = {name: now[name] for entry in entries.values() for name in entry if name in now}
        return result
