"""Random numbers: one call that seeds everything, and the draws that initial values are made of.

Source: `keras.backend.random_uniform`, `random_normal`, `truncated_normal`; `keras.utils.set_random_seed` (Keras 3).
"""

from __future__ import annotations

import math
import operator
import random
from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor

from torchkeras.config import FLOAT_TYPES, float_dtype
from torchkeras.generations import choose

# std of a standard normal that is cut at two sigma: scipy.stats.truncnorm.std(-2, 2)
TRUNCATED_STD: Final = 0.87962566103423978
_TWO_SIGMA: Final = math.erf(math.sqrt(2.0))  # probability of a standard normal to fall within two sigma


def set_random_seed(seed: int) -> None:
    """Seed Python's `random`, NumPy's legacy generator and torch on every device.

    Args:
        seed: From 0 to 2**32 - 1, what NumPy takes.

    Raises:
        TypeError: no whole number.
        ValueError: out of that range.
    """
    try:
        seed = operator.index(seed)
    except TypeError:
        raise TypeError(f"set_random_seed takes a whole number, but got {seed!r}.") from None
    if not 0 <= seed < 2**32:
        raise ValueError(f"set_random_seed takes a number from 0 to {2**32 - 1}, but got {seed!r}.")
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def generator(seed: int | None = None, source: str | None = None) -> torch.Generator | None:
    """What to draw from on the CPU: a private generator, or `None` for torch's global one.

    Args:
        seed: Seed of the private generator; the same seed draws the same numbers each time.
        source: Where randomness comes from without a seed: "torch" (`torch.manual_seed` fixes it) or "numpy" (a seed is
            drawn from `np.random`, as Keras 1 and 2 do, so `np.random.seed` fixes it). `None`: as the chosen release.
    """
    if seed is None:
        if (source or choose("random.source")) == "torch":
            return None
        seed = int(np.random.randint(10_000_000))
    return torch.Generator().manual_seed(seed)


def as_dtype(dtype: torch.dtype | str | None) -> torch.dtype:
    """A torch dtype from one, from its name, or from `None` (floatx).

    Raises:
        ValueError: no dtype has that name.
    """
    if dtype is None:
        return float_dtype()
    if isinstance(dtype, torch.dtype):
        return dtype
    name = dtype if isinstance(dtype, str) else np.dtype(dtype).name
    found = getattr(torch, name, None)
    if not isinstance(found, torch.dtype):
        raise ValueError(f"{dtype!r} is not the name of a dtype. Give one such as 'float32', or a torch.dtype.")
    return found


def uniform(
    shape: Sequence[int], low: float, high: float, dtype: torch.dtype | str | None = None, generator: torch.Generator | None = None
) -> Tensor:
    """Uniform numbers in [low, high) on the CPU; whole ones where `dtype` is integer."""
    dtype = as_dtype(dtype)
    if not dtype.is_floating_point:
        return torch.randint(int(low), int(high), tuple(shape), dtype=dtype, device="cpu", generator=generator)
    return _empty(shape, dtype).uniform_(low, high, generator=generator).to(dtype)


def normal(
    shape: Sequence[int], mean: float, stddev: float, dtype: torch.dtype | str | None = None, generator: torch.Generator | None = None
) -> Tensor:
    """Normal numbers on the CPU."""
    dtype = _floating(dtype, "A normal distribution")
    return _empty(shape, dtype).normal_(mean, stddev, generator=generator).to(dtype)


def truncated_normal(
    shape: Sequence[int], mean: float, stddev: float, dtype: torch.dtype | str | None = None, generator: torch.Generator | None = None
) -> Tensor:
    """Normal numbers on the CPU, none further than two `stddev` from the mean.

    TensorFlow draws again what lies outside; the inverse distribution function gives the same distribution
    in one pass, in about half of the time.
    """
    dtype = _floating(dtype, "A truncated normal distribution")
    drawn = _empty(shape, dtype).uniform_(-_TWO_SIGMA, _TWO_SIGMA, generator=generator)
    # rounding may lead a hair's breadth over the edge
    return drawn.erfinv_().mul_(math.sqrt(2.0) * stddev).add_(mean).clamp_(mean - 2 * stddev, mean + 2 * stddev).to(dtype)


def _floating(dtype: torch.dtype | str | None, who: str) -> torch.dtype:
    dtype = as_dtype(dtype)
    if not dtype.is_floating_point:
        raise ValueError(f"{who} needs a float dtype, one of {sorted(FLOAT_TYPES)}, but got {dtype}.")
    return dtype


def _empty(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Room on the CPU, whatever the default device; half types are drawn in float32."""
    return torch.empty(tuple(shape), dtype=torch.float64 if dtype == torch.float64 else torch.float32, device="cpu")
