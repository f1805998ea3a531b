"""Recorded torch functions as text: operators, slices, methods and functions as a person would write them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from torchkeras.exporting.table import Call
from torchkeras.exporting.texts import literal, short
from torchkeras.exporting.writer import Made
from torchkeras.layers.op_arguments import Kept, OwnSize, Slot
from torchkeras.layers.symbolic import map_structure
from torchkeras.layers.torch_functions import Attribute, OnCopy, name_of_function
from torchkeras.layers.torch_ops import TorchOp

_BINARY = {
    "+": "add", "-": "sub subtract", "*": "mul multiply", "/": "div divide true_divide truediv", "//": "floor_divide floordiv",
    "%": "remainder mod", "**": "pow", "@": "matmul", "<": "lt less", "<=": "le less_equal", ">": "gt greater", ">=": "ge greater_equal",
    "==": "eq", "!=": "ne not_equal", "&": "and", "|": "or", "^": "xor",
}  # fmt: skip
OPERATORS = {name: sign for sign, names in _BINARY.items() for name in names.split()}
# functions of each entry by itself, whose other arguments are numbers
_BY_SIGN = {name for name in OPERATORS if name != "matmul"}
_NAMED = """
neg negative abs absolute exp log sqrt rsqrt square tanh sigmoid relu sin cos clamp maximum minimum reciprocal erf sign elu selu gelu silu mish
softplus leaky_relu relu6 hardtanh
"""
POINTWISE = _BY_SIGN | {f"r{name}" for name in _BY_SIGN} | set(_NAMED.split())
_REFLECTED = {f"__r{name}__": sign for name, sign in OPERATORS.items()}
_UNARY = {"neg": "-{0}", "negative": "-{0}", "__neg__": "-{0}", "__invert__": "~{0}", "__abs__": "{0}.abs()"}


def operation(call: Call) -> Made:
    """What a recorded torch function makes of its inputs; functions of each entry by itself leave the order of the axes as it is.

    Raises:
        ExportError: as `operation_text`.
    """
    values, layer = call.several, call.layer
    constants: list[Any] = []
    map_structure((layer._args, layer._kwargs), lambda part: constants.append(part) if isinstance(part, (Kept, OwnSize)) else None)
    name = name_of_function(layer.function) or ""
    moved = all(value.moved for value in values) and len({value.rank for value in values}) == 1
    if moved and not constants and name.rpartition(".")[2].strip("_") in POINTWISE:
        return Made(operation_text(replace(call, inputs=[value._replace(moved=False) for value in values])), True)
    return Made(operation_text(call))


def operation_text(call: Call) -> str:
    """The text of a recorded torch function on its inputs.

    Raises:
        ExportError: a function that is not torch's, or an argument that no text can hold.
    """
    layer: TorchOp = call.layer
    function = layer.function
    name = name_of_function(function) or _resolved(function)
    if name is None or not name.startswith("torch."):
        what = f"K.{name[2:]}" if name is not None and name.startswith("K.") else repr(function)
        call.refuse(f"it applies {what}, which is no function of torch. Write it with torch functions.")
    args = [_argument(call, part) for part in layer._args]
    kwargs = {key: _argument(call, part) for key, part in layer._kwargs.items() if not _is_default(function, key, part)}
    base = str(name).rpartition(".")[2]
    if isinstance(function, Attribute):
        return f"{args[0]}.{base}"
    if isinstance(function, OnCopy):
        if base.startswith("__"):
            call.refuse("it writes into a part of a tensor (x[...] = value). Use torch.where or torch.cat, which give a new one.")
        return _called(f"{args[0]}.clone().{base}", args[1:], kwargs)
    if base == "__getitem__":
        return f"{args[0]}[{_index(call, layer._args[1])}]"
    plain = base.strip("_")
    if not kwargs and len(args) == 1 and base in _UNARY:
        return _UNARY[base].format(args[0])
    if not kwargs and len(args) == 2:
        if base in _REFLECTED:
            return f"{args[1]} {_REFLECTED[base]} {args[0]}"
        if plain in OPERATORS and (base == plain or base == f"__{plain}__"):
            return f"{args[0]} {OPERATORS[plain]} {args[1]}"
    if base.startswith("__"):
        return _called(str(name), args, kwargs)
    if str(name).startswith("torch.Tensor."):
        return _called(f"{args[0]}.{base}", args[1:], kwargs) if args else _called(str(name), args, kwargs)
    return _called(short(str(name)), args, kwargs)


def raw_call(call: Call, part: str, args: Any, kwargs: Mapping[str, Any]) -> str:
    """The text of a call of a raw module; values of the graph stand in its arguments as `Value`."""
    return _called(part, [_argument(call, one) for one in args], {key: _argument(call, one) for key, one in kwargs.items()})


def _resolved(function: Any) -> str | None:
    """The name of a torch function that no config can name, but a text can."""
    found = torch.overrides.resolve_name(function)
    return found if found is not None and found.startswith("torch.") and found.rpartition(".")[2][:1] != "_" else None


def _is_default(function: Any, name: str, value: Any) -> bool:
    """Whether a Python function is given for an argument what it would take anyway."""
    if not inspect.isfunction(function) or isinstance(value, (Slot, Kept, OwnSize)):
        return False
    parameter = inspect.signature(function).parameters.get(name)
    return parameter is not None and type(parameter.default) is type(value) and parameter.default == value


def _called(function: str, args: list[str], kwargs: Mapping[str, str]) -> str:
    return f"{function}({', '.join([*args, *(f'{key}={text}' for key, text in kwargs.items())])})"


def _argument(call: Call, value: Any) -> str:
    """An argument's text; tensors of the graph and constants are looked up."""
    text = _tensor(call, value)
    if text is not None:
        return text
    if isinstance(value, (list, tuple)):
        inside = ", ".join(_argument(call, part) for part in value)
        return f"[{inside}]" if isinstance(value, list) else f"({inside}{',' if len(value) == 1 else ''})"
    if isinstance(value, slice):
        return f"slice({', '.join(_argument(call, part) for part in (value.start, value.stop, value.step))})"
    try:
        return literal(value)
    except TypeError:
        return call.refuse(f"it was recorded with the argument {value!r:.80}, which no text can hold.")


def _tensor(call: Call, value: Any) -> str | None:
    inputs = call.several
    if isinstance(value, Slot):
        return inputs[value.index].text
    if isinstance(value, OwnSize):
        return f"{inputs[value.index].name}.shape[{inputs[value.index].axis(value.dim)}]"
    if isinstance(value, Kept):
        return _kept(call, value)
    text = getattr(value, "text", None)  # a Value of the graph
    return text if isinstance(text, str) and hasattr(value, "moved") else None


def _kept(call: Call, value: Kept) -> str:
    """A parameter or constant that the function was given."""
    stored = getattr(call.layer, value.name)
    text = call.writer.tensor(call.layer, call.key, stored, suffix=value.name.removeprefix("constant_") if value.name != "constant_0" else "constant")
    if value.shared is None or (isinstance(stored, nn.Parameter) and value.shared.layout.to_keras(stored, value.shared.shape) is stored):
        return text
    order = getattr(value.shared.layout, "order", None)
    if order is None:
        call.refuse(f"it uses the weight {value.shared.name!r} of another layer in Keras' layout, which is none of torch's.")
    return f"{text}.permute({', '.join(map(str, order))})"  # type: ignore[arg-type]


def _index(call: Call, index: Any) -> str:
    parts = index if isinstance(index, tuple) else (index,)
    text = ", ".join(_index_part(call, part) for part in parts)
    return f"{text}," if isinstance(index, tuple) and len(parts) == 1 and text else text or "()"


def _index_part(call: Call, part: Any) -> str:
    if not isinstance(part, slice):
        return _argument(call, part)
    start, stop, step = ("" if one is None else _argument(call, one) for one in (part.start, part.stop, part.step))
    return f"{start}:{stop}{f':{step}' if step else ''}"
