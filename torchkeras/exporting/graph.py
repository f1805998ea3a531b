"""A model's graph, step by step, into the description of a plain module."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from torch import nn

from torchkeras.exporting import attention, merges, norms, plain, recurrent, space  # noqa: F401  they fill the table
from torchkeras.exporting.operations import operation, raw_call
from torchkeras.exporting.table import EMITTERS, Call
from torchkeras.exporting.texts import module_text
from torchkeras.exporting.writer import ExportError, Made, Value, Writer, refuse
from torchkeras.graph.network import Network
from torchkeras.graph.record import Record, Step, fill, flat_values
from torchkeras.graph.record import Value as Place
from torchkeras.layers.base import Layer
from torchkeras.layers.lambda_layer import Lambda
from torchkeras.layers.multi_head_attention import MultiHeadAttention
from torchkeras.layers.torch_ops import TorchOp
from torchkeras.layers.wrappers import TimeDistributed

ATTENTION_INPUTS = ("query", "value", "key")


def write_graph(writer: Writer, network: Network, inputs: list[Value]) -> list[Value]:
    """Write the calls of a graph's layers.

    Args:
        writer: Takes the parts and lines.
        network: The model.
        inputs: Its inputs, each held once for it.

    Returns:
        The outputs, in the order of `record.output_numbers()`.

    Raises:
        ExportError: a layer that has no plain form.
    """
    record = network._graph()
    outputs = record.output_numbers()
    steps = _needed(record, outputs)
    uses = Counter(number for step in steps for number in set(step.inputs))
    uses.update(outputs)
    values: dict[int, Value] = dict(zip(record.inputs, inputs, strict=True))
    for step in steps:
        layer = network._modules[step.key]
        assert layer is not None
        _check_masks(record, step, layer, network)
        for number in set(step.inputs):
            uses[number] -= 1
        done = [values[number] for number in dict.fromkeys(step.inputs) if uses[number] <= 0]
        made = _write_step(writer, layer, step, values, record, done)
        results = [(number, one) for number, one in zip(flat_values(step.structure), made, strict=True) if uses[number] > 0]
        for number, one in results:  # the text of one of several may still need the inputs
            values[number] = _assigned(writer, step.key, one, record.infos[number].shape, done if len(results) == 1 else [])
        _release(writer, done)
    for number, count in Counter(outputs).items():
        for _ in range(count - 1):
            writer.hold(values[number].name)
    return [values[number] for number in outputs]


def _needed(record: Record, outputs: list[int]) -> list[Step]:
    """The steps that the outputs need: losses and metrics beside them are left out."""
    wanted, steps = set(outputs), []
    for step in reversed(record.steps):
        if wanted & set(step.outputs):
            wanted |= set(step.inputs)
            steps.append(step)
    return steps[::-1]


def _check_masks(record: Record, step: Step, layer: nn.Module, network: Network) -> None:
    if not isinstance(layer, Layer) or not layer._takes_mask or type(layer).__name__ == "Softmax":
        return
    masked = [number for number in step.inputs if record.infos[number].masked]
    if masked:
        maker = record.infos[masked[0]].key
        refuse(layer, f"it heeds a mask (by way of '{maker}'), and a plain module carries none. Export the model without Masking and mask_zero.")


def _write_step(writer: Writer, layer: nn.Module, step: Step, values: dict[int, Value], record: Record, done: list[Value]) -> list[Made | Value]:
    args, kwargs = fill((step.args, step.kwargs), values.__getitem__)
    if not isinstance(layer, Layer):
        found = _raw(writer, layer, step, args, kwargs)
    else:
        found = _layer(writer, layer, step.key, args, kwargs, done)
    if isinstance(layer, TorchOp) or not isinstance(layer, Layer):  # a structure of results in one text
        return _taken_apart(writer, step, found)
    return list(found) if isinstance(found, list) else [found]


def _assigned(writer: Writer, key: str, made: Made | Value, shape: Any, done: list[Value]) -> Value:
    """A result in a variable: that of an input which nobody needs any more, or a new one."""
    if isinstance(made, Value):  # of a model inside, which holds it already
        return made
    if made.text.isidentifier():
        writer.hold(made.text)
        return Value(made.text, tuple(shape), made.moved)
    names = dict.fromkeys(value.name for value in done if value.name not in writer.inputs)
    _release(writer, done)
    name = next((name for name in names if writer.is_free(name)), None) or writer.fresh(key)
    writer.line(f"{name} = {made.text}")
    writer.hold(name)
    return Value(name, tuple(shape), made.moved)


def _release(writer: Writer, done: list[Value]) -> None:
    while done:
        writer.release(done.pop().name)


def _layer(writer: Writer, layer: Layer, key: str, args: Any, kwargs: Mapping[str, Any], done: list[Value]) -> Any:
    if isinstance(layer, TorchOp):
        return operation(Call(writer, layer, key, args[0]))
    if kwargs.get("training") is False and not writer.in_inference:
        writer.in_inference = True
        try:
            return _layer(writer, layer, key, args, kwargs, done)
        finally:
            writer.in_inference = False
    for name, value in kwargs.items():
        if value is not None and value is not False and name not in ("initial_state", "inputs", *ATTENTION_INPUTS):
            refuse(layer, f"it was called with {name}={value!r:.60}, which a plain module does not take.")
    inputs: Any = args[0] if args else kwargs.get("inputs")
    if isinstance(layer, MultiHeadAttention):
        inputs = [value for value in (*args, *(kwargs.get(name) for name in ATTENTION_INPUTS)) if value is not None]
    elif any(value is not None and value is not False for value in args[1:]):
        refuse(layer, "it was called with more than its inputs.")
    if isinstance(layer, Network):
        return _nested(writer, layer, key, inputs, done)
    if type(layer) is TimeDistributed:
        return _time_distributed(writer, layer, key, inputs)
    emitter = EMITTERS.get(type(layer))
    if emitter is None:
        refuse(layer, _why_not(layer))
    if isinstance(inputs, tuple) and not isinstance(inputs, Value):
        inputs = list(inputs)
    return emitter(Call(writer, layer, key, inputs, kwargs))


def _why_not(layer: Layer) -> str:
    if isinstance(layer, Lambda):
        name = getattr(layer.function, "__name__", repr(layer.function))
        return f"it calls the Python function {name}. Write the torch operations themselves in the graph."
    if any(isinstance(layer, known) for known in EMITTERS):
        return "its class is derived from a layer that has one, and may compute something else."
    return "its class has no like among torch's modules. Replace it by layers or torch operations that have one."


def _nested(writer: Writer, network: Network, key: str, inputs: Any, done: list[Value]) -> list[Value]:
    """A model inside: its layers' calls stand in the text, its parts under its name."""
    if network._record_ is None:
        refuse(network, "it is subclassed: its call() is code.")
    given = list(inputs.values()) if isinstance(inputs, Mapping) else [inputs] if isinstance(inputs, Value) else list(inputs)
    if isinstance(inputs, Mapping):
        given = [inputs[name] for name in network._input_names_in or network.input_names]
    for value in given:
        writer.hold(value.name)
    _release(writer, done)
    outer, writer.scope = writer.scope, (*writer.scope, _scope_name(writer, network, key))
    try:
        return write_graph(writer, network, given)
    finally:
        writer.scope = outer


def _scope_name(writer: Writer, network: Network, key: str) -> str:
    known = writer._made.get((id(network), "scope"))
    if known is None:
        path = writer._path(key)
        known = writer._made[(id(network), "scope")] = path.rpartition(".")[2]
        writer._kept_alive.append(network)
    return known


def _time_distributed(writer: Writer, layer: TimeDistributed, key: str, x: Value) -> Any:
    """A layer on each step: the steps count as samples while it runs."""
    inner = layer.layer
    if getattr(inner, "stateful", False):
        refuse(layer, f"the layer '{getattr(inner, 'name', key)}' in it is stateful.")
    if type(inner).__name__ == "Dense" and isinstance(inner, Layer):  # works on the last axis, however many there are before
        return _layer(writer, inner, key, (x,), {}, [])
    name = x.text if x.text.isidentifier() else writer.assign(f"{key}_input", x.text)
    flat = Value(writer.assign(f"{key}_steps", f"{name}.flatten(0, 1)"), (None, *x.shape[2:]))
    writer.hold(flat.name)
    if isinstance(inner, Layer):
        found = _layer(writer, inner, key, (flat,), {}, [flat])
    else:
        found = raw_call(Call(writer, inner, key, flat), writer.given(inner, key, module_text(inner)), (flat,), {})
    if isinstance(found, list):
        if len(found) != 1:
            refuse(layer, "the layer in it gives several tensors.")
        found = found[0]
    if isinstance(found, Made):
        found = Value(writer.assign(f"{key}_steps", found.text), _inner_shape(layer, x), found.moved)
    text = found if isinstance(found, str) else found.text
    return Made(f"{text}.unflatten(0, ({name}.shape[0], {name}.shape[1]))")


def _inner_shape(layer: TimeDistributed, x: Value) -> tuple[int | None, ...]:
    shape = layer.compute_output_shape(x.shape)
    return (None, *tuple(shape)[2:])


def _raw(writer: Writer, module: nn.Module, step: Step, args: Any, kwargs: Mapping[str, Any]) -> Made:
    inside = next((part for part in module.modules() if isinstance(part, Layer)), None)
    if inside is not None:
        raise ExportError(
            f"to_torch() has no plain torch form for module '{step.key}' ({type(module).__name__}): the torchkeras layer "
            f"'{inside.name}' is inside of it. Put such layers into the graph itself."
        )
    call = Call(writer, module, step.key, [])
    return Made(raw_call(call, writer.given(module, step.key, module_text(module)), args, kwargs))


def _taken_apart(writer: Writer, step: Step, made: Made) -> list[Made | Value]:
    """Each result out of a text that gives a structure of them."""
    if isinstance(step.structure, Place):
        return [made]
    name = writer.assign(f"{step.key}_results", made.text)
    found: list[Made | Value] = []

    def visit(part: Any, access: str) -> None:
        if isinstance(part, Place):
            found.append(Made(access))
        elif isinstance(part, (list, tuple)):
            for number, inner in enumerate(part):
                visit(inner, f"{access}[{number}]")
        elif isinstance(part, Mapping):
            for key, inner in part.items():
                visit(inner, f"{access}[{key!r}]")

    visit(step.structure, name)
    return found


def structure_text(structure: Any, texts: Mapping[int, str]) -> str:
    """The text of a structure of values, such as a model's outputs."""
    if isinstance(structure, Place):
        return texts[structure.number]
    if isinstance(structure, Mapping):
        return "{" + ", ".join(f"{key!r}: {structure_text(part, texts)}" for key, part in structure.items()) + "}"
    inside = ", ".join(structure_text(part, texts) for part in structure)
    return f"[{inside}]" if isinstance(structure, list) else f"({inside}{',' if len(structure) == 1 else ''})"


__all__ = ["structure_text", "write_graph"]
