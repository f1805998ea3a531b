"""Raw nn.Modules called on symbolic tensors become one node each.

A global forward hook, held only while a graph is being built, sees such a call; the module itself is the node's layer, so that
its parameters train and train/eval switches it.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Iterable, Iterator
from typing import Any

from torch import nn
from torch.nn.modules import module as torch_module

from torchkeras.layers.symbolic import KerasTensor, Node, in_trial, map_leaves, run_trials, symbolic_leaves

_handles: list[Any] = []
_open: dict[int, weakref.ref[KerasTensor]] = {}  # symbolic tensors that no model has taken up yet
_outermost: list[tuple[nn.Module, Any]] = []


def watch_modules(tensors: Iterable[KerasTensor]) -> None:
    """Look for raw modules called on symbolic tensors, as long as one of these lives and is in no model yet."""
    for tensor in tensors:
        key = id(tensor)
        _open[key] = weakref.ref(tensor, lambda _, key=key: _open.pop(key, None))  # type: ignore[misc]
    if not _handles:
        _handles.append(torch_module.register_module_forward_pre_hook(_before))
        _handles.append(torch_module.register_module_forward_hook(_after, always_call=True))


def stop_watching(tensors: Iterable[KerasTensor] = ()) -> None:
    """A model has taken these tensors up. Once no graph is open, the hooks go: module calls are at full speed again."""
    for tensor in tensors:
        _open.pop(id(tensor), None)
    if not _open:
        _remove()


def _remove() -> None:
    while _handles:
        _handles.pop().remove()


@contextlib.contextmanager
def not_watching() -> Iterator[None]:
    """Module calls at full speed inside a `with` block, whatever graphs are open."""
    _remove()
    try:
        yield
    finally:
        if _open:
            watch_modules(())


# a Layer records its own calls; `_weight_specs` marks one, since this room cannot import it
def _before(module: nn.Module, args: Any) -> Any:
    if _outermost or in_trial() or "_weight_specs" in module.__dict__ or not symbolic_leaves(args):
        return None
    _outermost.append((module, args))
    # inside, sizes are numbers: the module's Python code may compute with them. The true result is found afterwards, in `_after`
    return map_leaves(args, lambda leaf: KerasTensor.of((leaf.trials[0], leaf.trials[0])))


def _after(module: nn.Module, args: Any, output: Any) -> Any:
    if not _outermost or _outermost[-1][0] is not module:
        return None
    _, called_with = _outermost.pop()
    if not symbolic_leaves(output):
        return None  # the module raised, or made nothing of its input
    structure = run_trials(_evaluated(module), called_with, {})
    Node(module, called_with, {}, structure)
    return structure


def _evaluated(module: nn.Module) -> Any:
    def run(*args: Any) -> Any:
        training = {part: part.training for part in module.modules()}
        module.eval()
        try:
            return module(*args)
        finally:
            for part, was in training.items():
                part.training = was

    return run


def inside_module() -> bool:
    """Whether a raw module is running on symbolic tensors: what it calls is not recorded one by one."""
    return bool(_outermost)
