"""Activation functions: plain functions of a torch Tensor.

While gradients are recorded, and inside `leaving_logits`, `softmax` and `sigmoid` leave their input on the result; `logits_of`
finds it there, so that a cross-entropy can use the fused form of the logits instead of the logarithm of probabilities.

Source: `keras.activations` (1.2.2, 2.2.4, tf.keras 2.4.0). `gelu`, `silu`, `mish`, `relu6`, `leaky_relu` and `log_softmax`
are Keras 3's.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.compiler import is_compiling
from torch.nn import functional as F

from torchkeras.ops import short_rows
from torchkeras.registry import Registry, deserialize_object, serialize_object

Activation = Callable[[Tensor], Tensor]

ACTIVATIONS = Registry("activation function")


_always_leaves: list[bool] = [False]


@contextmanager
def leaving_logits() -> Iterator[None]:
    """Inside, `softmax` and `sigmoid` leave their input on the result without gradients too: evaluation then gives the losses of training."""
    before, _always_leaves[0] = _always_leaves[0], True
    try:
        yield
    finally:
        _always_leaves[0] = before


def _leaves(x: Tensor) -> bool:
    if is_compiling() or x.is_inference():  # inference tensors do not tell whether they were changed
        return False
    return _always_leaves[0] or (torch.is_grad_enabled() and x.requires_grad)


def logits_of(y_pred: Tensor, activation: str | None = None) -> Tensor | None:
    """The tensor that `softmax` or `sigmoid` made `y_pred` from, if it is still known and still true.

    Args:
        y_pred: A result of `softmax` or `sigmoid`.
        activation: Accept only this one, "softmax" or "sigmoid".

    Returns:
        The logits, or `None`: made otherwise or without gradients, changed in place since, or somebody watches
        the gradient of the probabilities themselves (a hook or `retain_grad`), which must then be computed.
    """
    origin = getattr(y_pred, "_keras_origin", None)
    if origin is None:
        return None
    name, logits, version, own_version = origin
    if activation is not None and activation != name:
        return None
    if logits._version != version or y_pred._version != own_version or y_pred.retains_grad or y_pred._backward_hooks:
        return None
    return logits


def hand_on_logits(y: Tensor, view: Tensor) -> None:
    """Leave on a view of `y` that only divides its first axis what `softmax` or `sigmoid` left on `y`."""
    origin = getattr(y, "_keras_origin", None)
    if origin is not None and logits_of(y) is not None:
        _remember(view, origin[1].unflatten(0, view.shape[: 1 + view.dim() - y.dim()]), origin[0])


def _remember(y: Tensor, x: Tensor, name: str) -> None:
    # versions tell later whether either was changed in place; y refers to x, never x to y
    y._keras_origin = (name, x, x._version, y._version)  # type: ignore[attr-defined]


@ACTIVATIONS.add()
def softmax(x: Tensor, axis: int = -1) -> Tensor:
    """`exp(x) / sum(exp(x))` along `axis`.

    Unlike the Keras releases, which normalize a matrix along its last axis whatever `axis` says, `axis` is followed.

    Raises:
        ValueError: `x` has fewer than two axes.
    """
    if x.ndim < 2:
        raise ValueError(f"softmax needs a tensor of at least two axes, but got the shape {tuple(x.shape)}.")
    if axis != -1 or is_compiling():
        return torch.softmax(x, axis)
    y = short_rows.softmax(x)
    if (_always_leaves[0] or (x.requires_grad and torch.is_grad_enabled())) and not x.is_inference():  # _leaves(x), without its frame
        y._keras_origin = ("softmax", x, x._version, y._version)  # type: ignore[attr-defined]
    return y


@ACTIVATIONS.add()
def sigmoid(x: Tensor) -> Tensor:
    """`1 / (1 + exp(-x))`."""
    y = torch.sigmoid(x)
    if _leaves(x):
        _remember(y, x, "sigmoid")
    return y


@ACTIVATIONS.add()
def linear(x: Tensor) -> Tensor:
    """`x` itself."""
    return x


@ACTIVATIONS.add()
def relu(x: Tensor, alpha: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Tensor:
    """Rectifier: `x` above `threshold`, at most `max_value`; `alpha * (x - threshold)` below.

    Args:
        x: Any tensor.
        alpha: Slope below the threshold.
        max_value: Upper bound, or `None`.
        threshold: Where the slope changes; above 0 the function jumps there.
    """
    if alpha == 0 and threshold == 0:
        if max_value is None:
            return torch.relu(x)
        # hardtanh's gradient is 0 at exactly 0, as a rectifier's is
        return F.relu6(x) if max_value == 6 else torch.relu(x).clamp(max=max_value)
    if threshold == 0 and max_value is None:
        return F.leaky_relu(x, alpha)
    positive = F.threshold(x, threshold, 0.0) if threshold != 0 else torch.relu(x)
    if max_value is not None:
        positive = positive.clamp(0, max_value)
    return positive if alpha == 0 else positive - alpha * torch.relu(threshold - x)


@ACTIVATIONS.add()
def elu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """`x` above 0, `alpha * (exp(x) - 1)` below. Source: Clevert et al. (2015)."""
    return F.elu(x, alpha)


@ACTIVATIONS.add()
def selu(x: Tensor) -> Tensor:
    """Scaled `elu` that keeps mean 0 and variance 1. Source: Klambauer et al. (2017)."""
    return F.selu(x)


@ACTIVATIONS.add()
def softplus(x: Tensor) -> Tensor:
    """`log(exp(x) + 1)`."""
    return F.softplus(x, threshold=40.0)  # torch's default of 20 cuts off what float64 still resolves


@ACTIVATIONS.add()
def softsign(x: Tensor) -> Tensor:
    """`x / (|x| + 1)`."""
    return F.softsign(x)


@ACTIVATIONS.add()
def tanh(x: Tensor) -> Tensor:
    """Hyperbolic tangent."""
    return torch.tanh(x)


@ACTIVATIONS.add()
def hard_sigmoid(x: Tensor) -> Tensor:
    """`0.2 * x + 0.5`, kept within 0 and 1."""
    return (0.2 * x + 0.5).clamp(0, 1)  # torch's fused kernel, of slope 1/6, cannot be differentiated twice


@ACTIVATIONS.add()
def exponential(x: Tensor) -> Tensor:
    """`exp(x)`."""
    return torch.exp(x)


@ACTIVATIONS.add()
def hardsigmoid(x: Tensor) -> Tensor:
    """`x / 6 + 0.5` kept within 0 and 1: what torch, and Keras from release 3 on, call a hard sigmoid."""
    return F.hardsigmoid(x)


@ACTIVATIONS.add("silu")
def swish(x: Tensor) -> Tensor:
    """`x * sigmoid(x)`. Source: Ramachandran et al. (2017)."""
    return F.silu(x)


silu = swish


@ACTIVATIONS.add()
def gelu(x: Tensor, approximate: bool = False) -> Tensor:
    """`x` times the normal distribution function of it, exactly or by tanh. Source: Hendrycks & Gimpel (2016)."""
    return F.gelu(x, approximate="tanh" if approximate else "none")


@ACTIVATIONS.add()
def mish(x: Tensor) -> Tensor:
    """`x * tanh(softplus(x))`. Source: Misra (2019)."""
    return F.mish(x)


@ACTIVATIONS.add()
def relu6(x: Tensor) -> Tensor:
    """`x` kept within 0 and 6."""
    return F.relu6(x)


@ACTIVATIONS.add()
def leaky_relu(x: Tensor, negative_slope: float = 0.2) -> Tensor:
    """`x` above 0, `negative_slope * x` below."""
    return F.leaky_relu(x, negative_slope)


@ACTIVATIONS.add()
def log_softmax(x: Tensor, axis: int = -1) -> Tensor:
    """Logarithm of `softmax(x, axis)`."""
    return torch.log_softmax(x, axis)


def serialize(activation: Any) -> Any:
    """Name of an activation function, or `{"class_name", "config"}` of an object that has a config.

    Raises:
        ValueError: neither a named function nor an object with a config, such as an instance of a torch.nn module.
    """
    if isinstance(activation, nn.Module) and not hasattr(activation, "get_config"):
        raise ValueError(
            f"The activation {activation!r} cannot be written to a config. Pass a name or a function, "
            "or write a function of your own and register it as a custom object."
        )
    return serialize_object(activation)


def deserialize(name: Any, custom_objects: Mapping[str, Any] | None = None) -> Activation:
    """The activation of a name or a config.

    Raises:
        ValueError: an unknown name.
    """
    return deserialize_object(name, ACTIVATIONS, custom_objects)


def get(identifier: Any) -> Activation:
    """The activation that a name, a config or a callable stands for; `linear` for `None`.

    Args:
        identifier: `None`, a name, a config, a function, or an nn.Module (its class is made without arguments).

    Raises:
        ValueError: an unknown name, or nothing of those.
    """
    if identifier is None:
        return linear
    if callable(identifier) and not inspect.isclass(identifier):
        return identifier
    return deserialize(identifier)
