"""Calls of raw nn.Modules that began while the door of `raw_modules` was shut: on a symbolic tensor of a finished model.

Such a call shows at its first operation, when the module's code is already running. It is recorded there as a whole; then the code that
runs goes on, and where it makes what the recorded call has as an output, it is given that very symbolic tensor.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FrameType
from typing import Any

from torchkeras.layers.naming import name_of
from torchkeras.layers.raw_modules import record_call, unchanged
from torchkeras.layers.symbolic import KerasTensor, map_leaves, paired, raw_call, run_trial, symbolic_leaves
from torchkeras.layers.under_way import late


class LateCall:
    """One such call: counts the operations of its code.

    Args:
        frame: Python's frame of the call.
    """

    def __init__(self, frame: FrameType) -> None:
        self.frame = frame  # kept, so that no other frame gets its id
        self.count = 0
        self.places: dict[Any, KerasTensor] = {}  # (operation, result) -> output of the recorded call

    def record(self) -> None:
        """Record the whole call, and find out which operations make its outputs."""
        module, args, kwargs = (self.frame.f_locals[name] for name in ("self", "args", "kwargs"))
        structure = record_call(module, args, kwargs)
        # a run whose results remember which operation made them; sizes are numbers, since torch code computes with them
        again, keywords = map_leaves((args, kwargs), lambda leaf: KerasTensor.of((leaf.trials[0], leaf.trials[0])))
        with unchanged(module):
            practised = symbolic_leaves(module.forward(*again, **keywords))
        outputs = symbolic_leaves(structure)
        if len(practised) != len(outputs):
            raise ValueError(
                f"Module '{name_of(module)}' ({type(module).__name__}) gives {len(practised)} outputs in training mode, but {len(outputs)} in "
                "inference mode. Call its eval() before it is called on a symbolic tensor."
            )
        self.places = {leaf.place: output for leaf, output in zip(practised, outputs, strict=True) if leaf.place is not None}
        self.count = 0

    def step(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The result of one operation."""
        number, self.count = self.count, self.count + 1
        first = run_trial(function, args, kwargs, 0)
        results = paired(first, first)
        for place, leaf in enumerate(symbolic_leaves(results)):
            leaf.place = (number, place)
        return map_leaves(results, lambda leaf: self.places.get(leaf.place, leaf))


def in_late_call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any] | None:
    """The result, in a tuple, of an operation in the code of a raw module; `None` where no raw module is being called."""
    frame = raw_call()
    if frame is None:
        late.call = None
        return None
    if late.call is None or late.call.frame is not frame:
        late.call = LateCall(frame)
        late.call.record()
    return (late.call.step(function, args, kwargs),)
