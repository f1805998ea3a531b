"""`to_torch`: a model as a plain torch module, and as the Python text of one."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from torch import Tensor, fx, nn

from torchkeras.exporting.graph import structure_text, write_graph
from torchkeras.exporting.writer import ExportError, Part, Value, Writer, identifier
from torchkeras.graph.network import Network
from torchkeras.shapes import Shape

_HEAD = '''"""{name}: a plain PyTorch module, written by torchkeras.

    module = {name}({arguments})
    module.load_state_dict(torch.load("weights.pt", weights_only=True))
    module.eval()
"""

import torch
from torch import nn
from torch.nn import functional as F


class {name}(nn.Module):
    """Takes {takes}; gives {gives}."""

'''


def to_torch(model: Any, *, source: bool = False) -> Any:
    """A plain torch module that computes what a model computes: torch.nn parts only, with copies of the weights.

    The module and its Python text come from one description. Data keep the layout that the model takes: where that has the channels last, the
    module permutes views. Masks, regularizers, constraints, compile arguments and hooks stay behind; inputs must have the type that the
    model declares.

    Args:
        model: A built `Sequential` or functional model; raw nn.Modules and torch operations in it are kept.
        source: Also give the text of a module of the same parts, which runs alone: `Class()` takes the state dict of the module. A raw module
            that no text can make is an argument of `Class(...)`.

    Returns:
        The module, a `torch.fx.GraphModule` in the model's mode (training or inference) and on its device; with `source=True`, (module, text).

    Raises:
        ExportError: the model is subclassed or not built, or a layer has no plain form; the message names it and says why.
    """
    if not isinstance(model, Network):
        raise TypeError(f"to_torch() takes a model of layers, but got {type(model).__name__}.")
    writer = Writer()
    inputs = _inputs(writer, model)
    values = write_graph(writer, model, inputs)
    text = _class_text(writer, model, inputs, values)
    module = _made(writer, text, identifier_of(model))
    weight = next((tensor for tensor in model.state_dict().values() if isinstance(tensor, Tensor)), None)
    module.to(weight.device if weight is not None else "cpu")
    module.train(model.training)
    return (module, text) if source else module


def identifier_of(model: Any) -> str:
    """The class name of a model's module: "my_net" -> "MyNet"."""
    words = identifier(model.name).strip("_").split("_")
    return identifier("".join(word[:1].upper() + word[1:] for word in words if word) or "Net")


def _inputs(writer: Writer, model: Network) -> list[Value]:
    try:
        record = model._graph()
    except AttributeError as error:
        raise ExportError(f"to_torch() needs a graph of layers: {error}") from None
    hints = ["x"] if len(record.inputs) == 1 else [key.removesuffix("_input") for key in record.input_keys]
    values = [Value(writer.fresh(hint), tuple(record.infos[number].shape)) for hint, number in zip(hints, record.inputs, strict=True)]
    for value in values:
        writer.hold(value.name)
    writer.inputs = {value.name for value in values} if len(values) > 1 else set()
    return values


def _class_text(writer: Writer, model: Network, inputs: list[Value], values: list[Value]) -> str:
    record = model._graph()
    name = identifier_of(model)
    given = {part.path: identifier(part.path.replace(".", "_")) for part in writer.parts.values() if part.text is None}
    shapes = [record.infos[number].shape for number in record.output_numbers()]
    head = _HEAD.format(
        name=name,
        arguments=", ".join(f"{argument}=..." for argument in given.values()),
        takes=", ".join(f"{value.name} {_shape_text(value.shape)}" for value in inputs),
        gives=", ".join(map(_shape_text, shapes)),
    )
    arguments = "".join(f", {argument}: nn.Module" for argument in given.values())
    lines = [f"    def __init__(self{arguments}) -> None:", "        super().__init__()"]
    lines += [f"        {line}" for line in _init_lines(writer, given)]
    texts = dict(zip(record.output_numbers(), [value.text for value in values], strict=True))
    kind = " -> torch.Tensor" if len(values) == 1 and not isinstance(record.outputs, (list, tuple, Mapping)) else ""
    lines += ["", f"    def forward(self{''.join(f', {value.name}: torch.Tensor' for value in inputs)}){kind}:"]
    lines += [f"        {line}" for line in writer.lines]
    lines.append(f"        return {structure_text(record.outputs, texts)}")
    return head + "\n".join(lines) + "\n"


def _shape_text(shape: Shape) -> str:
    return f"({', '.join('?' if size is None else str(size) for size in shape)}{',' if len(shape) == 1 else ''})"


def _init_lines(writer: Writer, given: Mapping[str, str]) -> list[str]:
    lines: list[str] = []
    boxes: set[str] = set()
    for part in writer.parts.values():
        scope, _, name = part.path.rpartition(".")
        names = scope.split(".") if scope else []
        for depth in range(len(names)):
            box = ".".join(names[: depth + 1])
            if box not in boxes:
                boxes.add(box)
                lines.append(f"self.{box} = nn.Module()")
        if part.buffer:
            lines.append(f"self.{scope + '.' if scope else ''}register_buffer({name!r}, {part.text})")
        else:
            lines.append(f"self.{part.path} = {given[part.path] if part.text is None else part.text}")
        lines += _frozen_lines(part)
    return lines + [f"{place} = {first}" for place, first in writer.ties]


def _frozen_lines(part: Part) -> list[str]:
    trained = [name for name in part.state if name not in part.frozen and not name.endswith(("running_mean", "running_var", "num_batches_tracked"))]
    if part.frozen and not trained:
        return [f"self.{part.path}.requires_grad_(False)"]
    return [f"self.{part.path}.get_parameter({name!r}).requires_grad_(False)" if "." in name else f"self.{part.path}.{name}.requires_grad_(False)"
            for name in part.frozen]  # fmt: skip


def _made(writer: Writer, text: str, name: str) -> fx.GraphModule:
    """The module of a text, with the weights; an fx graph, so that copies and pickles of it need no class of ours."""
    namespace: dict[str, Any] = {"__name__": "plain_module"}
    exec(compile(text, f"<to_torch: {name}>", "exec", dont_inherit=True), namespace)  # written above: names are identifiers, values literals
    memo: dict[int, Any] = {}
    given = [copy.deepcopy(part.module, memo) for part in writer.parts.values() if part.text is None]
    made: nn.Module = namespace[name](*given)
    state = {f"{part.path}.{key}" if key else part.path: value for part in writer.parts.values() for key, value in part.state.items()}
    missing, unexpected = made.load_state_dict({key: value.detach() for key, value in state.items()}, strict=False)
    left = [key for key in missing if not any(key.startswith(f"{part.path}.") for part in writer.parts.values() if part.text is None)]
    if left or unexpected:
        raise RuntimeError(f"to_torch() wrote a module whose weights do not fit: without values {left}, without a place {unexpected}.")
    tracer = fx.Tracer()
    tracer.is_leaf_module = lambda module, path: True  # type: ignore[method-assign, assignment]
    tracer.proxy_buffer_attributes = True
    return fx.GraphModule(made, tracer.trace(made), class_name=name)


__all__ = ["to_torch"]
