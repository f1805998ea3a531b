"""The learning phase: what Keras code asks for when it does not take `training` as an argument.

It is that of the innermost layer whose code runs (`layer.training`), unless the user fixed one for the whole program.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from torchkeras.generations import choose

fixed: list[int | None] = [None]  # what the user fixed for the whole program


class _Running(threading.local):
    """In each thread, `training` of the layers whose code runs, innermost last."""

    def __init__(self) -> None:
        self.phases: list[bool] = []


_running = _Running()


def fixed_phase() -> int | None:
    """What the user fixed for the whole program: 0, 1 or nothing."""
    return fixed[0]


def fix_phase(value: int | None) -> None:
    """Fix the learning phase for the whole program, or (`None`) leave it to the layers again."""
    fixed[0] = value


def outside() -> bool:
    """Whether no layer or training loop says in which phase the code runs."""
    return not _running.phases


def mode_for(training: bool) -> bool:
    """The mode that `train(training)` brings: Keras 1 and 2 build a fixed phase into their graphs, so that it rules there too."""
    return bool(fixed[0]) if fixed[0] is not None and choose("backend.fixed_phase") == "everywhere" else training


def current_phase() -> int:
    """1 where code runs to train, else 0.

    Keras 1 and 2 build the fixed phase into the graph, so that it rules inside of layers too; in tf.keras it rules where no layer does.
    """
    if fixed[0] is not None and (outside() or choose("backend.fixed_phase") == "everywhere"):
        return fixed[0]
    return int(_running.phases[-1]) if _running.phases else 0


@contextmanager
def running(training: bool) -> Iterator[None]:
    """Run a layer's code in a learning phase."""
    _running.phases.append(bool(training))
    try:
        yield
    finally:
        _running.phases.pop()


def with_phase(call: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator for the `call` of a layer: the code in it runs in the learning phase of its `training`.

    A call from outside of all layers and loops first forgets the losses that earlier ones added.
    """

    @functools.wraps(call)
    def enter(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        phases = _running.phases  # of this thread: looked up once
        if not phases and getattr(type(self), "clears_losses", False):
            self.clear_losses()  # type: ignore[operator]
        training = kwargs.get("training")
        phases.append(self.training if training is None else bool(training))
        try:
            return call(self, *args, **kwargs)
        finally:
            phases.pop()

    return enter
