"""Running a record: the forward pass of a functional model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from torchkeras.graph.record import Record, Step, Value, fill
from torchkeras.layers.base import Layer, get_mask, has_mask, set_mask

_module_call = nn.Module.__call__


class Plan:
    """A record made ready to run: which steps are plain calls of one tensor, and whether the whole is a chain of such.

    It looks layers up by their keys at each run, so replacing a child module of the model is honoured.
    """

    def __init__(self, record: Record, modules: Mapping[str, Any]) -> None:
        self.record = record
        self.count = len(record.infos)
        self.masked = record.masked
        self.steps: list[tuple[str, Any, Any, Step]] = [(step.key, *_plain(step, modules.get(step.key)), step) for step in record.steps]
        self.chain = self._as_chain()
        self.single_output = record.outputs.number if isinstance(record.outputs, Value) else None

    def __reduce__(self) -> Any:
        return (type(None), ())  # derived: made anew by the copy

    def __deepcopy__(self, memo: Any) -> None:
        return None

    def _as_chain(self) -> list[str] | None:
        """The keys of the layers, where each step takes just what the one before gave."""
        record = self.record
        if len(record.inputs) != 1 or not isinstance(record.outputs, Value) or self.masked:
            return None
        now = record.inputs[0]
        for _, source, target, _ in self.steps:
            if source is None or source != now:
                return None
            now = target
        return [key for key, *_ in self.steps] if now == record.outputs.number else None

    def run(self, modules: Mapping[str, Any], inputs: list[Any]) -> Any:
        """The outputs for plain inputs, where no mask is about."""
        if self.chain is not None:
            value = inputs[0]
            for key in self.chain:
                value = _module_call(modules[key], value)
            return value
        values: list[Any] = [None] * self.count
        for number, value in zip(self.record.inputs, inputs, strict=True):
            values[number] = value
        for key, source, target, step in self.steps:
            module = modules[key]
            if source is not None:
                values[target] = _module_call(module, values[source])
            else:
                args, kwargs = fill((step.args, step.kwargs), values.__getitem__)
                if isinstance(module, Layer):
                    kwargs = module.fill(kwargs, None)
                _store(values, step.structure, _call(module, args, kwargs))
        if self.single_output is not None:
            return values[self.single_output]
        return fill(self.record.outputs, values.__getitem__)

    def run_masked(self, modules: Mapping[str, Any], inputs: list[Any], input_masks: list[Any]) -> Any:
        """The outputs, with their masks hung on them."""
        values: list[Any] = [None] * self.count
        masks: list[Any] = [None] * self.count
        for number, value, mask in zip(self.record.inputs, inputs, input_masks, strict=True):
            values[number], masks[number] = value, mask
        for key, _, _, step in self.steps:
            module = modules[key]
            args, kwargs = fill((step.args, step.kwargs), values.__getitem__)
            if not isinstance(module, Layer):
                _store(values, step.structure, module(*args, **kwargs))
                continue
            first = step.args[0] if step.args else next(iter(step.kwargs.values()), None)
            in_masks = kwargs["mask"] if kwargs.get("mask") is not None else fill(first, masks.__getitem__)
            inputs_now = args[0] if args else next(iter(kwargs.values()), None)
            filled = module.fill(kwargs, in_masks)
            output = _call(module, args, filled)
            _store(values, step.structure, output)
            if has_mask(in_masks) or module._masks_itself:
                out_masks = get_mask(output) if module.hangs_masks else module.compute_mask(inputs_now, in_masks)
                _store(masks, step.structure, out_masks)
        outputs = fill(self.record.outputs, values.__getitem__)
        out_masks = fill(self.record.outputs, masks.__getitem__)
        for part, mask in zip(outputs.values(), out_masks.values(), strict=True) if isinstance(outputs, dict) else [(outputs, out_masks)]:
            set_mask(part, mask)
        return outputs


def _call(module: nn.Module, args: Any, kwargs: Any) -> Any:
    """Call a module past the door of `Layer`, which the plan has done the work of, unless the class has a door of its own."""
    return _module_call(module, *args, **kwargs) if type(module).__call__ in _DOORS else module(*args, **kwargs)


_DOORS = (Layer.__call__, nn.Module.__call__)


def _plain(step: Step, module: nn.Module | None) -> tuple[int | None, int | None]:
    """(source, target) where the step calls a module on one tensor for one tensor; else (None, None)."""
    plain = len(step.args) == 1 and isinstance(step.args[0], Value) and not step.kwargs and isinstance(step.structure, Value)
    if not plain or (isinstance(module, Layer) and module._takes_training and not module.resolves_training):
        return None, None
    if module is not None and type(module).__call__ not in _DOORS:
        return None, None
    return step.args[0].number, step.structure.number


def _store(values: list[Any], structure: Any, result: Any) -> None:
    if isinstance(structure, Value):
        values[structure.number] = result
    elif isinstance(structure, (list, tuple)):
        parts = result if isinstance(result, (list, tuple)) else [result] * len(structure)
        for place, part in zip(structure, parts, strict=False):
            _store(values, place, part)
    elif isinstance(structure, Mapping):
        for name, place in structure.items():
            _store(values, place, result[name] if isinstance(result, Mapping) else result)


__all__ = ["Plan"]
