"""Raw nn.Modules called on symbolic tensors become one node each.

While a graph is being built, `nn.Module.__call__` is a door of ours (torch.fx traces by the same means); the module itself is
the node's layer, so that its parameters train and train/eval switches it. Once no graph is open, torch's own `__call__` is back.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin

from torchkeras.layers.naming import name_of
from torchkeras.layers.nodes import Node
from torchkeras.layers.symbolic import KerasTensor, in_trial, raw_call, real_tensors, run_trial, run_trials, shapes_text, symbolic_leaves
from torchkeras.layers.under_way import is_layer, late, told

torch_call = nn.Module.__call__  # torch's own: rooms that are imported while a graph is open take it from here
_open: dict[int, weakref.ref[KerasTensor]] = {}  # symbolic tensors that no model has taken up yet


def watch_modules(tensors: Iterable[KerasTensor]) -> None:
    """Record calls of raw modules on symbolic tensors, as long as one of these lives and is in no model yet."""
    for tensor in tensors:
        key = id(tensor)
        _open[key] = weakref.ref(tensor, lambda _, key=key: _forget((key,)))  # type: ignore[misc]
    if _open:
        nn.Module.__call__ = _door  # type: ignore[method-assign]


def stop_watching(tensors: Iterable[KerasTensor] = ()) -> None:
    """A model has taken these tensors up. Once no graph is open, module calls are torch's own again."""
    late.call = None
    _forget(id(tensor) for tensor in tensors)


def _forget(keys: Iterable[int]) -> None:
    for key in keys:
        _open.pop(key, None)
    if not _open:
        _close()


def _close() -> None:
    if nn.Module.__call__ is _door:  # else torch.fx is tracing: it puts the door back, which then closes itself
        nn.Module.__call__ = torch_call  # type: ignore[method-assign]


@contextlib.contextmanager
def not_watching() -> Iterator[None]:
    """Module calls at full speed inside a `with` block, whatever graphs are open."""
    _close()
    try:
        yield
    finally:
        watch_modules(())


def is_plain_door(module: nn.Module) -> bool:
    """Whether calling a module is torch's own `__call__`, be it behind our door."""
    return type(module).__call__ in (torch_call, _door)


def _door(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
    if torch.compiler.is_compiling() or in_trial() or not symbolic_leaves((args, kwargs)) or raw_call() is not None:
        if not _open:
            _close()
        return torch_call(self, *args, **kwargs)
    return record_call(self, args, kwargs)


def record_call(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Make a node of a raw module's call: find the outputs' shapes, remember the call.

    Raises:
        ValueError: the module cannot be run on inputs of these shapes, or gives no tensor.
    """
    try:
        _initialize_lazy(module, args, kwargs)
        structure = run_trials(_in_inference(module), args, kwargs)
    except Exception as error:
        raise ValueError(
            f"Module '{name_of(module)}' ({type(module).__name__}) could not be run on symbolic inputs of shape {shapes_text((args, kwargs))}: "
            f"{told(error, module)}. Check the shapes; a module whose code needs real values cannot be part of a graph: call it in a Layer or a "
            "subclassed Model that has compute_output_shape()."
        ) from error
    leaves = symbolic_leaves(structure)
    if not leaves:
        raise ValueError(f"Module '{name_of(module)}' ({type(module).__name__}) gave {structure!r:.80} for a symbolic input; a graph needs tensors.")
    Node(module, args, kwargs, structure)
    watch_modules(leaves)
    return structure


def _initialize_lazy(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Let torch's lazy modules make their parameters: real ones, from the shapes of a trial."""
    lazy = [part for part in module.modules() if isinstance(part, LazyModuleMixin) and part.has_uninitialized_params()]  # type: ignore[misc]
    if not lazy:
        return

    def initialize(part: Any, inputs: Any, keywords: Any) -> None:
        with real_tensors():
            part.initialize_parameters(*inputs, **keywords)

    hooks = [part.register_forward_pre_hook(initialize, prepend=True, with_kwargs=True) for part in lazy]  # type: ignore[attr-defined]
    try:
        run_trial(module._call_impl, args, kwargs, 0)
    finally:
        for hook in hooks:
            hook.remove()


def _in_inference(module: nn.Module) -> Callable[..., Any]:
    """A call of the module in inference mode, past our door and past code that torch.compile made for real tensors."""

    def run(*args: Any, **kwargs: Any) -> Any:
        with unchanged(module):
            module.eval()
            return getattr(module, "_orig_mod", module)._call_impl(*args, **kwargs)

    return run


@contextlib.contextmanager
def unchanged(module: nn.Module) -> Iterator[None]:
    """Undo what a trial does to a module: its mode, and what its code keeps, which would be tensors without values."""
    modes = {part: part.training for part in module.modules()}
    # layers of this library build themselves in their first trial
    before = [(part, dict(part.__dict__), _tables(part)) for part in modes if not is_layer(part)]
    try:
        yield
    finally:
        for part, attributes, tables in before:
            part.__dict__.clear()
            part.__dict__.update(attributes)
            for name, table in tables.items():
                part.__dict__[name].clear()
                part.__dict__[name].update(table)
        for part, training in modes.items():
            part.training = training


def _tables(module: nn.Module) -> Mapping[str, dict[str, Any]]:
    return {name: dict(module.__dict__[name]) for name in ("_parameters", "_buffers", "_modules")}
