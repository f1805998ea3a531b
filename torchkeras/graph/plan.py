"""Running a record: the forward pass of a functional model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from torchkeras.graph.record import Record, Step, Value, fill
from torchkeras.layers.base import Layer, get_mask, has_mask, set_mask
from torchkeras.layers.raw_modules import is_plain_door

_module_call = nn.Module.__call__
# how a step is called: on one tensor, on a list of them (both for one tensor), or in any other way
_ONE, _LIST, _OTHER = range(3)


class Call:
    """One step, made ready to run.

    Args:
        step: The step of the record.
        module: The module that it calls now; another one of the same class may stand in its place later.
        last: The values that no later step takes.
    """

    source: Any  # number of the value, or numbers of the values, that it is called on
    target: Any  # number of the value that it gives
    __slots__ = ("done", "form", "key", "own_door", "source", "step", "takes_mask", "takes_training", "target")

    def __init__(self, step: Step, module: nn.Module | None, last: tuple[int, ...]) -> None:
        self.step, self.key, self.done = step, step.key, last
        self.takes_training = isinstance(module, Layer) and module._takes_training and not module.resolves_training
        self.takes_mask = isinstance(module, Layer) and module._takes_mask
        # a class may have a `__call__` of its own: it is not passed by
        self.own_door = module is not None and type(module).__call__ is not Layer.__call__ and not is_plain_door(module)
        first = step.args[0] if len(step.args) == 1 and not step.kwargs and not self.own_door else None
        self.form, self.source, self.target = _OTHER, None, None
        if isinstance(step.structure, Value):
            self.target = step.structure.number
            if isinstance(first, Value):
                self.form, self.source = _ONE, first.number
            elif type(first) is list and all(isinstance(part, Value) for part in first):
                self.form, self.source = _LIST, tuple(part.number for part in first)

    def run(self, module: nn.Module, values: list[Any], mask: Any = None) -> None:
        """Call the module in the general way, and store what it gives."""
        args, kwargs = fill((self.step.args, self.step.kwargs), values.__getitem__)
        if isinstance(module, Layer):
            kwargs = module.fill(kwargs, mask)
        result = module(*args, **kwargs) if self.own_door else _module_call(module, *args, **kwargs)
        store(values, self.step.structure, result)


class Plan:
    """A record made ready to run: how each step is called, when values can go, and whether the whole is a chain.

    It looks layers up by their keys at each run, so replacing a child module of the model is honoured.
    """

    def __init__(self, record: Record, modules: Mapping[str, Any]) -> None:
        self.record = record
        self.count = len(record.infos)
        self.masked = record.masked
        self.calls = [Call(step, modules.get(step.key), last) for step, last in zip(record.steps, _last_uses(record), strict=True)]
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
        now: Any = record.inputs[0]
        for call in self.calls:
            if call.form != _ONE or call.takes_training or call.source != now:
                return None
            now = call.target
        return [call.key for call in self.calls] if now == record.outputs.number else None

    def run(self, modules: Mapping[str, Any], inputs: list[Any]) -> Any:
        """The outputs for plain inputs, where no mask is about."""
        if self.chain is not None:
            value = inputs[0]
            for key in self.chain:
                value = _module_call(modules[key], value)
            return value
        values = self._start(inputs)
        for call in self.calls:
            module = modules[call.key]
            form = call.form
            if form == _OTHER:
                call.run(module, values)
            else:
                value = values[call.source] if form == _ONE else [values[number] for number in call.source]
                if call.takes_training:
                    values[call.target] = _module_call(module, value, training=module.training)
                else:
                    values[call.target] = _module_call(module, value)
            for number in call.done:
                values[number] = None
        if self.single_output is not None:
            return values[self.single_output]
        return fill(self.record.outputs, values.__getitem__)

    def run_masked(self, modules: Mapping[str, Any], inputs: list[Any], input_masks: list[Any]) -> Any:
        """The outputs, with their masks hung on them."""
        values = self._start(inputs)
        masks = self._start(input_masks)
        for call in self.calls:
            module = modules[call.key]
            if call.form == _ONE:
                value, mask = values[call.source], masks[call.source]
                kwargs = {"training": module.training} if call.takes_training else {}
                if mask is not None and call.takes_mask:
                    kwargs["mask"] = mask
                values[call.target] = output = _module_call(module, value, **kwargs)
                if (mask is not None or getattr(module, "_masks_itself", False)) and isinstance(module, Layer):
                    masks[call.target] = get_mask(output) if module.hangs_masks else module.compute_mask(value, mask)
            elif isinstance(module, Layer):
                _run_masked(call, module, values, masks)
            else:
                call.run(module, values)
            for number in call.done:
                values[number] = masks[number] = None
        outputs = fill(self.record.outputs, values.__getitem__)
        out_masks = fill(self.record.outputs, masks.__getitem__)
        for part, mask in zip(outputs.values(), out_masks.values(), strict=True) if isinstance(outputs, dict) else [(outputs, out_masks)]:
            set_mask(part, mask)
        return outputs

    def _start(self, inputs: list[Any]) -> list[Any]:
        values: list[Any] = [None] * self.count
        for number, value in zip(self.record.inputs, inputs, strict=True):
            values[number] = value
        return values


def _run_masked(call: Call, module: Layer, values: list[Any], masks: list[Any]) -> None:
    """A step that takes several tensors or gives several, with the masks of its first argument."""
    step = call.step
    first = step.args[0] if step.args else next(iter(step.kwargs.values()), None)
    given, inputs = (fill(part, values.__getitem__) for part in (step.kwargs.get("mask"), first))
    in_masks = given if given is not None else fill(first, masks.__getitem__)
    call.run(module, values, in_masks)
    if has_mask(in_masks) or module._masks_itself:
        output = fill(step.structure, values.__getitem__)
        store(masks, step.structure, get_mask(output) if module.hangs_masks else module.compute_mask(inputs, in_masks))


def _last_uses(record: Record) -> list[tuple[int, ...]]:
    """For each step, the values that nothing takes after it."""
    needed = {*record.output_numbers(), *record.inputs}
    found: list[tuple[int, ...]] = []
    for step in reversed(record.steps):
        done = {*step.inputs, *step.outputs} - needed
        needed |= done
        found.append(tuple(done))
    return found[::-1]


def store(values: list[Any], structure: Any, result: Any) -> None:
    """Put the parts of a result where the places in a structure say."""
    if isinstance(structure, Value):
        values[structure.number] = result
    elif isinstance(structure, (list, tuple)):
        parts = result if isinstance(result, (list, tuple)) else [result] * len(structure)
        for place, part in zip(structure, parts, strict=False):
            store(values, place, part)
    elif isinstance(structure, Mapping):
        for name, place in structure.items():
            store(values, place, result[name] if isinstance(result, Mapping) else result)
