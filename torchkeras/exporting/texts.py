"""Python text of plain values, of activations and of torch's own modules."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from torchkeras import activations
from torchkeras.exporting.writer import Made, Value, Writer, refuse
from torchkeras.layers.torch_functions import name_of_function

# elementwise activations, by the text of what they are applied to
ELEMENTWISE: dict[Any, str] = {
    activations.linear: "{0}",
    activations.relu: "torch.relu({0})",
    activations.relu6: "F.relu6({0})",
    activations.sigmoid: "torch.sigmoid({0})",
    activations.tanh: "torch.tanh({0})",
    activations.elu: "F.elu({0})",
    activations.selu: "F.selu({0})",
    activations.softplus: "F.softplus({0}, threshold=40.0)",
    activations.softsign: "F.softsign({0})",
    activations.hard_sigmoid: "F.hardsigmoid(1.2 * {0})",
    activations.hardsigmoid: "F.hardsigmoid({0})",
    activations.exponential: "torch.exp({0})",
    activations.swish: "F.silu({0})",
    activations.gelu: "F.gelu({0})",
    activations.mish: "F.mish({0})",
    activations.leaky_relu: "F.leaky_relu({0}, 0.2)",
}
ALONG_LAST: dict[Any, str] = {activations.softmax: "torch.softmax({0}, {1})", activations.log_softmax: "torch.log_softmax({0}, {1})"}


def literal(value: Any) -> str:
    """Python text of a plain value.

    Raises:
        TypeError: it has none.
    """
    if isinstance(value, np.generic):
        return literal(value.item())
    if isinstance(value, bool) or value is None or isinstance(value, (int, str)):
        return repr(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else f'float("{value}")'
    if isinstance(value, (torch.dtype, torch.memory_format)):
        return str(value)
    if isinstance(value, torch.device):
        return repr(str(value))
    if value is Ellipsis:
        return "..."
    if isinstance(value, slice):
        return f"slice({literal(value.start)}, {literal(value.stop)}, {literal(value.step)})"
    if isinstance(value, (tuple, torch.Size)):
        return f"({', '.join(map(literal, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{literal(key)}: {literal(part)}" for key, part in value.items()) + "}"
    raise TypeError(f"{value!r:.80} has no text")


def one_or_all(numbers: Any) -> str:
    """A tuple of equal numbers as one of them."""
    values = tuple(numbers)
    return repr(values[0]) if len(set(values)) == 1 else repr(values)


def activate(writer: Writer, layer: Any, function: Callable[..., Any], made: Made, rank: int, hint: str) -> Made:
    """What an activation makes of a result.

    Args:
        writer: Takes modules that serve as activations.
        layer: The layer, for messages.
        function: The activation.
        made: What it is applied to.
        rank: Number of its axes.
        hint: Name of the layer in the model.

    Raises:
        ExportError: a function that torch does not have.
    """
    if function in ELEMENTWISE:
        return Made(ELEMENTWISE[function].format(made.text), made.moved)
    if function in ALONG_LAST:
        return Made(ALONG_LAST[function].format(made.text, 1 if made.moved else -1), made.moved)
    plain = as_keras(made, rank)
    if isinstance(function, nn.Module):
        return Made(f"{writer.given(function, f'{hint}_activation', module_text(function))}({plain})")
    name = name_of_function(function)
    if name is not None and name.startswith("torch.") and "Tensor" not in name:
        return Made(f"{short(name)}({plain})")
    return refuse(layer, f"its activation {function!r} is no function of torch. Give the activation as a name, a torch function or an nn.Module.")


def as_keras(made: Made, rank: int) -> str:
    """The text of a result in Keras' layout."""
    return Value(made.text, (None,) * rank, made.moved).text


def short(name: str) -> str:
    """A function's full name as the text has it."""
    prefix = "torch.nn.functional."
    return f"F.{name.removeprefix(prefix)}" if name.startswith(prefix) else name


def module_text(module: nn.Module) -> str | None:
    """Python text that makes a module like one of torch's own; `None` where that is not known to be so."""
    kind = type(module)
    if not kind.__module__.startswith("torch.nn.modules.") or getattr(nn, kind.__name__, None) is not kind or module._forward_hooks:
        return None
    if len(list(module.named_parameters())) != len(list(module.named_parameters(remove_duplicate=False))):
        return None  # parts of it share a parameter
    if kind is nn.Sequential:
        parts = [module_text(part) for part in module.children()]
        plain = None not in parts and list(module._modules) == [str(number) for number in range(len(parts))]
        return f"nn.Sequential({', '.join(map(str, parts))})" if plain else None
    arguments = []
    for name, parameter in inspect.signature(kind.__init__).parameters.items():
        if name in ("self", "device", "dtype") or parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        value = getattr(module, name, parameter.default)
        value = value is not None if isinstance(value, torch.Tensor) or (name == "bias" and not isinstance(value, bool)) else value
        if value is parameter.empty:
            return None
        if parameter.default is parameter.empty or value != parameter.default:
            try:
                text = literal(value)
            except TypeError:
                return None
            arguments.append(text if parameter.default is parameter.empty else f"{name}={text}")
    text = f"nn.{kind.__name__}({', '.join(arguments)})"
    return text if _makes_the_like(text, module) else None


def _makes_the_like(text: str, module: nn.Module) -> bool:
    """Whether a text makes a module with the arguments and the weights' shapes of another."""
    try:
        with torch.device("meta"):
            made = eval(text, {"nn": nn, "torch": torch})  # our own text: names and plain values of a torch module
    except Exception:
        return False
    ours, theirs = ({name: tuple(tensor.shape) for name, tensor in one.state_dict().items()} for one in (made, module))
    return repr(made) == repr(module) and ours == theirs


__all__ = ["Made", "activate", "as_keras", "literal", "module_text", "one_or_all", "short"]
