"""Running a record: the forward pass of a functional model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from torch import nn

from torchkeras.graph.record import Record, Step, Value, fill
from torchkeras.layers.base import Layer, get_mask, has_mask, set_mask
from torchkeras.layers.raw_modules import is_plain_door, torch_call

# how a step is called: on one tensor, on a list of them (both for one tensor), in any other way, or with the steps after it
_ONE, _LIST, _OTHER, _CHAIN = range(4)


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

    def run_one(self, module: Any, values: list[Any], masks: list[Any] | None) -> None:
        """Call the module on one tensor, and store what it gives; `masks`: where masks are about."""
        value, mask = values[self.source], None if masks is None else masks[self.source]
        kwargs = {"training": module.training} if self.takes_training else {}
        if mask is not None and self.takes_mask:
            kwargs["mask"] = mask
        values[self.target] = output = torch_call(module, value, **kwargs)
        if masks is not None and (mask is not None or getattr(module, "_masks_itself", False)) and isinstance(module, Layer):
            masks[self.target] = get_mask(output) if module.hangs_masks else module.compute_mask(value, mask)

    def run(self, module: nn.Module, values: list[Any], mask: Any = None) -> None:
        """Call the module in the general way, and store what it gives."""
        args, kwargs = fill((self.step.args, self.step.kwargs), values.__getitem__)
        if isinstance(module, Layer):
            kwargs = module.fill(kwargs, mask)
        result = module(*args, **kwargs) if self.own_door else torch_call(module, *args, **kwargs)
        store(values, self.step.structure, result)


class Chain:
    """Several steps, each on what the one before gave and nobody else takes, that run at once where their layers can.

    Args:
        calls: The steps.
    """

    form = _CHAIN

    def __init__(self, calls: list[Call]) -> None:
        self.calls, self.source, self.target = calls, calls[0].source, calls[-1].target
        self.done = tuple({number for call in calls for number in call.done})

    def run(self, modules: Mapping[str, Any], values: list[Any], masks: list[Any] | None) -> None:
        """Call the layers, at once or one by one, and store what the last one gives."""
        layers = [modules[call.key] for call in self.calls]
        together = getattr(layers[-1], "runs_chain", None)
        result = None if together is None else together(layers, values[self.source], None if masks is None else masks[self.source])
        if result is None:
            for call, layer in zip(self.calls, layers, strict=True):
                call.run_one(layer, values, masks)
        else:
            values[self.target], mask = result
            if masks is not None:
                masks[self.target] = mask


class Plan:
    """A record made ready to run: how each step is called, when values can go, and whether the whole is a chain.

    It looks layers up by their keys at each run, so replacing a child module of the model is honoured.
    """

    def __init__(self, record: Record, modules: Mapping[str, Any]) -> None:
        self.record = record
        self.count = len(record.infos)
        self.masked = record.masked
        calls = [Call(step, modules.get(step.key), last) for step, last in zip(record.steps, _last_uses(record), strict=True)]
        self.calls = _with_chains(record, calls, modules)
        # without a mask an Embedding and one layer gain nothing
        several = any(isinstance(call, Chain) and (len(call.calls) > 2 or modules[call.calls[0].key].runs_chain) for call in self.calls)
        self.chain = None if several else self._as_chain(calls)
        self.single_output = record.outputs.number if isinstance(record.outputs, Value) else None

    def __reduce__(self) -> Any:
        return (type(None), ())  # derived: made anew by the copy

    def __deepcopy__(self, memo: Any) -> None:
        return None

    def _as_chain(self, calls: list[Call]) -> list[str] | None:
        """The keys of the layers, where each step takes just what the one before gave."""
        record = self.record
        if len(record.inputs) != 1 or not isinstance(record.outputs, Value) or self.masked:
            return None
        now: Any = record.inputs[0]
        keys: list[str] = []
        for call in calls:
            if call.form != _ONE or call.takes_training or call.source != now:
                return None
            keys.append(call.key)
            now = call.target
        return keys if now == record.outputs.number else None

    def run(self, modules: Mapping[str, Any], inputs: list[Any]) -> Any:
        """The outputs for plain inputs, where no mask is about."""
        if self.chain is not None:
            value = inputs[0]
            for key in self.chain:
                value = torch_call(modules[key], value)
            return value
        values = self._start(inputs)
        for call in self.calls:
            form = call.form
            if isinstance(call, Chain):
                call.run(modules, values, None)
            elif form == _OTHER:
                call.run(modules[call.key], values)
            else:
                module = modules[call.key]
                value = values[call.source] if form == _ONE else [values[number] for number in call.source]
                if call.takes_training:
                    values[call.target] = torch_call(module, value, training=module.training)
                else:
                    values[call.target] = torch_call(module, value)
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
            if isinstance(call, Chain):
                call.run(modules, values, masks)
            elif call.form == _ONE:
                call.run_one(modules[call.key], values, masks)
            elif isinstance(modules[call.key], Layer):
                _run_masked(call, modules[call.key], values, masks)
            else:
                call.run(modules[call.key], values)
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


def _with_chains(record: Record, calls: list[Call], modules: Mapping[str, Any]) -> list[Call | Chain]:
    """The calls, those of recurrent layers in a row as one."""
    uses = Counter(number for step in record.steps for number in step.inputs)
    uses.update(record.output_numbers())
    ends: dict[int, list[Call]] = {}  # by the value that the last of them gives
    began: dict[int, list[Call]] = {}  # by the first of them
    inside: set[int] = set()
    for call in calls:
        module = modules.get(call.key)
        if call.form != _ONE or call.takes_training or not isinstance(module, Layer):
            continue
        before = ends.pop(call.source, None) if module.runs_chain and uses[call.source] == 1 else None
        if before is not None:
            before.append(call)
            inside.add(id(call))
        elif module.runs_chain or module.heads_chain:
            before = began[id(call)] = [call]
        if before is not None:
            ends[call.target] = before
    if all(len(chain) == 1 for chain in began.values()):
        return list(calls)
    long = {first: Chain(chain) for first, chain in began.items() if len(chain) > 1}
    return [long.get(id(call), call) for call in calls if id(call) not in inside]


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
