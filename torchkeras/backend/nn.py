"""K functions of neural nets: activations, dropout, normalization of vectors, top-k."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from torchkeras import activations
from torchkeras.backend.conversion import as_axes, as_size, as_tensor, recorded
from torchkeras.backend.random import stream

# squared norms below this count as this, as in TensorFlow's l2_normalize
_SMALLEST_SQUARED_NORM = 1e-12


@recorded
def relu(x: Any, alpha: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Tensor:
    """Rectifier: `x` above `threshold`, at most `max_value`; `alpha * (x - threshold)` below."""
    return activations.relu(as_tensor(x), alpha, max_value, threshold)


@recorded
def elu(x: Any, alpha: float = 1.0) -> Tensor:
    """`x` above 0, `alpha * (exp(x) - 1)` below."""
    return activations.elu(as_tensor(x), alpha)


@recorded
def softmax(x: Any, axis: int = -1) -> Tensor:
    """`exp(x) / sum(exp(x))` along an axis."""
    x = as_tensor(x)
    return torch.softmax(x, axis) if x.ndim < 2 else activations.softmax(x, axis)


@recorded
def softplus(x: Any) -> Tensor:
    """`log(exp(x) + 1)`."""
    return activations.softplus(as_tensor(x))


@recorded
def softsign(x: Any) -> Tensor:
    """`x / (|x| + 1)`."""
    return activations.softsign(as_tensor(x))


@recorded
def sigmoid(x: Any) -> Tensor:
    """`1 / (1 + exp(-x))`."""
    return activations.sigmoid(as_tensor(x))


@recorded
def hard_sigmoid(x: Any) -> Tensor:
    """`0.2 * x + 0.5`, kept within 0 and 1."""
    return activations.hard_sigmoid(as_tensor(x))


@recorded
def tanh(x: Any) -> Tensor:
    """Hyperbolic tangent."""
    return torch.tanh(as_tensor(x))


@recorded
def dropout(x: Any, level: float, noise_shape: Any = None, seed: int | None = None) -> Tensor:
    """A random share of the elements set to 0 and the rest made greater to match, whatever the learning phase.

    Args:
        x: A tensor.
        level: Share that is dropped, 0 up to, but without, 1.
        noise_shape: Shape of the random choice; where it has a 1, the whole axis shares one fate; `None` in it stands for
            the size that `x` has.
        seed: Draw from a stream of numbers of its own, which goes on from call to call.

    Raises:
        ValueError: a level outside of that range, or a noise shape of another number of axes.
        TypeError: `x` holds no floats.
    """
    if not 0 <= level < 1:
        raise ValueError(f"dropout takes a level from 0 up to, but without, 1, but got {level!r}.")
    x = as_tensor(x)
    if not x.is_floating_point():
        raise TypeError(f"dropout takes floats, but got {x.dtype}. Use K.cast_to_floatx(x).")
    if level == 0:
        return x
    if noise_shape is None and seed is None:
        return F.dropout(x, level)
    if noise_shape is not None and len(noise_shape) != x.ndim:
        raise ValueError(f"dropout needs a noise_shape with one size for each axis of the shape {tuple(x.shape)}, but got {noise_shape!r}.")
    shape = x.shape if noise_shape is None else [own if dim is None else as_size(dim) for dim, own in zip(noise_shape, x.shape, strict=True)]
    kept = torch.empty(shape, device=x.device).uniform_(generator=stream(seed, x.device)) >= level
    return x * kept / (1 - level)


@recorded
def l2_normalize(x: Any, axis: Any = None) -> Tensor:
    """`x` scaled to length 1 along an axis, a list of them, or all; what is 0 stays 0."""
    x = as_tensor(x)
    axes = as_axes(axis)
    squared = x.square().sum(dim=axes or tuple(range(x.ndim)), keepdim=True)
    return x * squared.clamp(min=_SMALLEST_SQUARED_NORM).rsqrt()


@recorded
def in_top_k(predictions: Any, targets: Any, k: int) -> Tensor:
    """Whether fewer than `k` classes are ahead of the right one, which classes that tie with it are not.

    A row that holds a NaN or an infinite number, or whose target is no class, is `False`.

    Shape: predictions (batch, classes), targets (batch,) -> (batch,) of truth values
    """
    predictions = as_tensor(predictions)
    targets = as_tensor(targets).to(predictions.device).long()
    known = (targets >= 0) & (targets < predictions.shape[1])
    right = predictions.gather(1, targets.clamp(0, predictions.shape[1] - 1).unsqueeze(1))
    ahead = (predictions > right).sum(1)
    return (ahead < as_size(k)) & predictions.isfinite().all(1) & known
