"""K functions that draw random numbers.

Without a seed they draw from torch's generator of the device, which `torch.manual_seed` fixes. A seed names a stream of its own,
which goes on from call to call, so that every training step sees other numbers; `K.clear_session` starts all streams anew.
"""

from __future__ import annotations

import math
from typing import Any, Final

import torch
from torch import Tensor

from torchkeras import random
from torchkeras.backend.conversion import as_sizes, device_for, recorded
from torchkeras.backend.keras1 import keras1_spelling
from torchkeras.backend.variables import Variable, variable
from torchkeras.layers.symbolic import in_trial
from torchkeras.random import as_dtype

_TWO_SIGMA: Final = math.erf(math.sqrt(2.0))  # probability of a standard normal to fall within two sigma

_streams: dict[tuple[int, torch.device], torch.Generator] = {}


def stream(seed: int | None, device: torch.device) -> torch.Generator | None:
    """The stream of numbers of a seed on a device; torch's own (`None`) without a seed."""
    if seed is None or in_trial() or device.type == "meta":
        return None
    key = (int(seed), device)
    if key not in _streams:
        _streams[key] = torch.Generator(device).manual_seed(int(seed))
    return _streams[key]


def reset_streams() -> None:
    """Start the stream of every seed anew."""
    _streams.clear()


def _room(shape: Any, dtype: Any) -> Tensor:
    # half types are drawn in them too: a step has no time for float32 and back
    return torch.empty(as_sizes(shape), dtype=as_dtype(dtype), device=device_for(shape))


def _scaled(drawn: Tensor, factor: Any, shift: Any) -> Tensor:
    plain = not isinstance(factor, Tensor) and not isinstance(shift, Tensor)
    return drawn.mul_(factor).add_(shift) if plain else drawn * factor + shift


@keras1_spelling
@recorded
def random_normal(shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, seed: int | None = None) -> Tensor:
    """Normal numbers.

    Args:
        shape: Shape of the result.
        mean: Their mean.
        stddev: Their standard deviation.
        dtype: Float type; `None`: `floatx()`.
        seed: Draw from a stream of its own.
    """
    room = _room(shape, dtype)
    return _scaled(room.normal_(generator=stream(seed, room.device)), stddev, mean)


@keras1_spelling
@recorded
def random_uniform(shape: Any, minval: Any = 0.0, maxval: Any = 1.0, dtype: Any = None, seed: int | None = None) -> Tensor:
    """Numbers from `minval` up to, but without, `maxval`, all equally probable; whole ones for an integer type.

    Args:
        shape: Shape of the result.
        minval: Lower bound.
        maxval: Upper bound.
        dtype: A type; `None`: `floatx()`.
        seed: Draw from a stream of its own.
    """
    room = _room(shape, dtype)
    draws = stream(seed, room.device)
    if not room.is_floating_point():
        return room.random_(int(minval), int(maxval), generator=draws)
    return _scaled(room.uniform_(generator=draws), maxval - minval, minval)


@recorded
def random_bernoulli(shape: Any, p: Any = 0.0, dtype: Any = None, seed: int | None = None) -> Tensor:
    """Ones with probability `p`, else zeros.

    Args:
        shape: Shape of the result.
        p: Probability, 0 to 1.
        dtype: Type; `None`: `floatx()`.
        seed: Draw from a stream of its own.
    """
    room = torch.empty(as_sizes(shape), device=device_for(shape))
    return (room.uniform_(generator=stream(seed, room.device)) < p).to(as_dtype(dtype))


# the name before tf.keras 2.4
random_binomial = random_bernoulli


@recorded
def truncated_normal(shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: int | None = None) -> Tensor:
    """Normal numbers, none further than two `stddev` from the mean.

    Args:
        shape: Shape of the result.
        mean: Mean of the normal numbers.
        stddev: Their standard deviation before the cut.
        dtype: Float type; `None`: `floatx()`.
        seed: Draw from a stream of its own.
    """
    wanted = as_dtype(dtype)
    room = torch.empty(as_sizes(shape), dtype=torch.float64 if wanted == torch.float64 else torch.float32, device=device_for(shape))
    drawn = room.uniform_(-_TWO_SIGMA, _TWO_SIGMA, generator=stream(seed, room.device)).erfinv_().mul_(math.sqrt(2.0) * stddev).add_(mean)
    return drawn.clamp_(mean - 2 * stddev, mean + 2 * stddev).to(wanted)  # rounding may lead over the edge


def random_uniform_variable(
    shape: Any, low: float, high: float, dtype: Any = None, name: str | None = None, seed: int | None = None
) -> Variable | Tensor:
    """A variable with numbers from `low` up to `high`.

    Args:
        shape: Shape of the variable.
        low: Lower bound.
        high: Upper bound.
        dtype: Float type; `None`: `floatx()`.
        name: Its name.
        seed: The same seed gives the same numbers each time; `None`: as the chosen release's initial values.
    """
    return variable(random.uniform(as_sizes(shape), low, high, dtype, random.generator(seed)), as_dtype(dtype), name)


def random_normal_variable(
    shape: Any, mean: float, scale: float, dtype: Any = None, name: str | None = None, seed: int | None = None
) -> Variable | Tensor:
    """A variable with normal numbers.

    Args:
        shape: Shape of the variable.
        mean: Their mean.
        scale: Their standard deviation.
        dtype: Float type; `None`: `floatx()`.
        name: Its name.
        seed: The same seed gives the same numbers each time; `None`: as the chosen release's initial values.
    """
    return variable(random.normal(as_sizes(shape), mean, scale, dtype, random.generator(seed)), as_dtype(dtype), name)
