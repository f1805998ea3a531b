"""Initial values of weights.

An initializer is called with a shape in Keras' layout (`(input_dim, units)`, `(rows, cols, channels, filters)`) and
gives a CPU tensor. One with a `seed` draws the same numbers at every call, as in each Keras release (Keras 1 and 2 start a new
stream from the seed for each variable, tf.keras draws statelessly): two layers of one shape that share it start equal.
Without a seed the numbers come from torch's global generator, or under Keras 1 and 2 from `np.random`.

Source: `keras.initializations` (1.2.2), `keras.initializers` (2.2.4, tf.keras 2.4.0).
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from torchkeras import random
from torchkeras.generations import BY_GENERATION, choose, resolve
from torchkeras.registry import Registry, deserialize_object, serialize_object

Dtype = torch.dtype | str | None
T = TypeVar("T", bound=type)

INITIALIZERS = Registry("initializer")


def _named(*names: str) -> Callable[[T], T]:
    """Register a class under its own name, the one TensorFlow 2 wrote to some files, and `names` (both spellings)."""

    def register(cls: T) -> T:
        return INITIALIZERS.add(f"{cls.__name__}V2", *names, *(f"{name}V2" for name in names))(cls)

    return register


class Initializer:
    """Base of all initializers: `initializer(shape, dtype=None) -> Tensor`."""

    def __call__(self, shape: Sequence[int], dtype: Dtype = None) -> Tensor:
        """New values of `shape` (Keras layout); `dtype` defaults to floatx."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(shape, dtype=None).")

    def get_config(self) -> dict[str, Any]:
        """Arguments that make an equal initializer."""
        return {}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Initializer:
        """The initializer of a config; the `dtype` that TensorFlow 1 wrote plays no part."""
        return cls(**{name: value for name, value in config.items() if name != "dtype"})


@_named("zeros", "zero")
class Zeros(Initializer):
    """All values 0."""

    def __call__(self, shape: Sequence[int], dtype: Dtype = None) -> Tensor:
        """Zeros of `shape`."""
        return torch.zeros(tuple(shape), dtype=random.as_dtype(dtype), device="cpu")


@_named("ones", "one")
class Ones(Initializer):
    """All values 1."""

    def __call__(self, shape: Sequence[int], dtype: Dtype = None) -> Tensor:
        """Ones of `shape`."""
        return torch.ones(tuple(shape), dtype=random.as_dtype(dtype), device="cpu")


@_named("constant")
class Constant(Initializer):
    """Given values.

    Args:
        value: A number, or an array with as many values as the weight has.

    Raises:
        ValueError: (when called) the array has another number of values.
    """

    def __init__(self, value: Any = 0) -> None:
        self.value = value

    def __call__(self, shape: Sequence[int], dtype: Dtype = None) -> Tensor:
        """`value` in the form of `shape`."""
        shape = tuple(shape)
        value = torch.as_tensor(self.value, dtype=random.as_dtype(dtype), device="cpu").detach()
        if value.numel() == 1:
            return value.reshape(()).expand(shape).clone()
        if value.numel() != math.prod(shape):
            raise ValueError(f"Constant has {value.numel()} values, but the weight of shape {shape} needs {math.prod(shape)}, or a single one.")
        return value.reshape(shape).clone()

    def get_config(self) -> dict[str, Any]:
        """`value` as it was given."""
        return {"value": self.value}


class _Random(Initializer):
    """What random initializers share: the seed, and where unseeded numbers come from."""

    def __init__(self, seed: int | None = None) -> None:
        if seed is not None:
            try:
                seed = operator.index(seed)
            except TypeError:
                raise TypeError(f"{type(self).__name__} takes a whole number or None as seed, but got {seed!r}.") from None
        self.seed = seed
        self._source = choose("random.source")

    def _generator(self) -> torch.Generator | None:
        return random.generator(self.seed, self._source)


@_named("random_normal", "normal")
class RandomNormal(_Random):
    """Normal distribution.

    Args:
        mean: Its mean.
        stddev: Its standard deviation.
        seed: Makes every call draw the same numbers.
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean = mean
        self.stddev = stddev

    def __call__(self, shape: Sequence[int], dtype: Dtype = None) -> Tensor:
        """Normal numbers of `shape`."""
        return random.normal(shape, self.mean, self.stddev, dtype, self._generator())

    def get_config(self) -> dict[str, Any]:
        """`mean`, `stddev` and `seed`."""
        return {"mean": self.mean, "stddev": self.stddev, "seed": self.seed}


@_named("random_uniform", "uniform")
class RandomUniform(_Random):
    """Uniform distribution over [minval, maxval).

    Args:
        minval: Lower bound.
        maxval: Upper bound.
        seed: Makes every call draw the same numbers.
    """

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.minval = minval
        self.maxval = maxval

    def __call__(self, shape: Sequence[int], dtype: Dtype = None) -> Tensor:
        """Uniform numbers of `shape`."""
        return random.uniform(shape, self.minval, self.maxval, dtype, self._generator())

    def get_config(self) -> dict[str, Any]:
        """`minval`, `maxval` and `seed`."""
        return {"minval": self.minval, "maxval": self.maxval, "seed": self.seed}


@_named("truncated_normal")
class TruncatedNormal(RandomNormal):
    """Normal distribution without what lies further than two `stddev` from the mean.

    The standard deviation of what remains is about 0.88 `stddev`. Arguments as `RandomNormal`.
    """

    def __call__(self, shape: Sequence[int], dtype: Dtype = None) -> Tensor:
        """Truncated normal numbers of `shape`."""
        return random.truncated_normal(shape, self.mean, self.stddev, dtype, self._generator())


def compute_fans(shape: Sequence[int]) -> tuple[float, float]:
    """Inputs and outputs that a weight of Keras-layout `shape` connects: (fan_in, fan_out).

    A kernel `(*window, inputs, outputs)` counts each once for every place of the window. Other shapes, where releases
    differ: one axis is its own length (tf.keras) or the root of it (Keras 2); more than five axes count as kernels
    (tf.keras) or as the root of their size (Keras 2).
    """
    by_length = choose("initializer.fans") == "length"
    if len(shape) >= 2 and (by_length or len(shape) <= 5):
        window = math.prod(shape[:-2])
        return float(window * shape[-2]), float(window * shape[-1])
    size = math.prod(shape) if by_length else math.sqrt(math.prod(shape))
    return float(size), float(size)


@_named("variance_scaling")
class VarianceScaling(_Random):
    """Random values whose variance is `scale / n`, n being the fan that `mode` names (at least 1).

    Args:
        scale: A positive number.
        mode: "fan_in", "fan_out" or "fan_avg", the mean of both.
        distribution: "uniform", "normal" or "truncated_normal" (both cut at two sigma and corrected for it; under Keras
            1.2.2 "normal" is not cut), or "untruncated_normal".
        seed: Makes every call draw the same numbers.

    Raises:
        ValueError: a bad `scale`, `mode` or `distribution`.
    """

    def __init__(self, scale: float = 1.0, mode: str = "fan_in", distribution: str = "normal", seed: int | None = None) -> None:
        super().__init__(seed)
        mode, distribution = mode.lower(), distribution.lower()
        if not scale > 0:
            raise ValueError(f"VarianceScaling takes a scale above 0, but got {scale!r}.")
        if mode not in ("fan_in", "fan_out", "fan_avg"):
            raise ValueError(f"VarianceScaling takes the mode 'fan_in', 'fan_out' or 'fan_avg', but got {mode!r}.")
        if distribution not in ("uniform", "normal", "truncated_normal", "untruncated_normal"):
            raise ValueError(
                f"VarianceScaling takes the distribution 'uniform', 'normal', 'truncated_normal' or 'untruncated_normal', but got {distribution!r}."
            )
        if distribution == "normal":
            distribution = choose("initializer.normal")
        elif distribution == "truncated_normal" and choose("initializer.normal") == "normal":
            distribution = "normal"  # the only name that Keras 2 reads
        self.scale = scale
        self.mode = mode
        self.distribution = distribution

    def __call__(self, shape: Sequence[int], dtype: Dtype = None) -> Tensor:
        """Random numbers of `shape`, scaled by its fans."""
        fan_in, fan_out = compute_fans(shape)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, fan)
        if self.distribution == "uniform":
            limit = math.sqrt(3 * variance)
            return random.uniform(shape, -limit, limit, dtype, self._generator())
        if self.distribution == "untruncated_normal":
            return random.normal(shape, 0.0, math.sqrt(variance), dtype, self._generator())
        return random.truncated_normal(shape, 0.0, math.sqrt(variance) / random.TRUNCATED_STD, dtype, self._generator())

    def get_config(self) -> dict[str, Any]:
        """`scale`, `mode`, `distribution` (in the release's word) and `seed`."""
        return {"scale": self.scale, "mode": self.mode, "distribution": self.distribution, "seed": self.seed}


class _Scaled(VarianceScaling):
    """A fixed choice of `VarianceScaling`: a class of its own in tf.keras, a function that makes the general one in Keras 2."""

    fixed: tuple[float, str, str]

    def __new__(cls, seed: int | None = None) -> Any:
        """This class, or a plain `VarianceScaling` where the chosen release writes that to configs."""
        if choose("initializer.named_classes"):
            return super().__new__(cls)
        return VarianceScaling(*cls.fixed, seed=seed)

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(*self.fixed, seed=seed)

    def get_config(self) -> dict[str, Any]:
        """`seed`."""
        return {"seed": self.seed}


@_named("glorot_uniform")
class GlorotUniform(_Scaled):
    """Uniform with variance 2 / (fan_in + fan_out). Source: Glorot & Bengio (2010), eq. 16."""

    fixed = (1.0, "fan_avg", "uniform")


@_named("glorot_normal")
class GlorotNormal(_Scaled):
    """Truncated normal with variance 2 / (fan_in + fan_out). Source: Glorot & Bengio (2010)."""

    fixed = (1.0, "fan_avg", "normal")


@_named("he_uniform")
class HeUniform(_Scaled):
    """Uniform with variance 2 / fan_in. Source: He et al. (2015)."""

    fixed = (2.0, "fan_in", "uniform")


@_named("he_normal")
class HeNormal(_Scaled):
    """Truncated normal with variance 2 / fan_in. Source: He et al. (2015)."""

    fixed = (2.0, "fan_in", "normal")


@_named("lecun_uniform")
class LecunUniform(_Scaled):
    """Uniform with variance 1 / fan_in. Source: LeCun et al. (1998), Efficient BackProp."""

    fixed = (1.0, "fan_in", "uniform")


@_named("lecun_normal")
class LecunNormal(_Scaled):
    """Truncated normal with variance 1 / fan_in. Source: LeCun et al. (1998); Klambauer et al. (2017)."""

    fixed = (1.0, "fan_in", "normal")


@_named("orthogonal")
class Orthogonal(_Random):
    """Random matrix with orthonormal rows or columns, times `gain`; more axes are flattened to (rest, last).

    Args:
        gain: Factor of the matrix: 1, or 1.1 under Keras 1.2.2.
        seed: Makes every call draw the same numbers.

    Raises:
        ValueError: (when called) a shape with fewer than two axes.

    Source: Saxe et al. (2013).
    """

    def __init__(self, gain: float = BY_GENERATION, seed: int | None = None) -> None:
        super().__init__(seed)
        self.gain = resolve(gain, "orthogonal.gain")

    def __call__(self, shape: Sequence[int], dtype: Dtype = None) -> Tensor:
        """An orthogonal matrix in the form of `shape`."""
        shape = tuple(shape)
        if len(shape) < 2:
            raise ValueError(f"Orthogonal needs a shape of at least two axes, but got {shape}.")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        tall = random.normal((max(rows, columns), min(rows, columns)), 0.0, 1.0, _wide(dtype), self._generator())
        q, r = torch.linalg.qr(tall)
        q *= r.diagonal().sign()  # without this the distribution is not uniform over orthogonal matrices
        q = q if rows >= columns else q.mT
        return q.mul(self.gain).to(random.as_dtype(dtype)).reshape(shape).contiguous()

    def get_config(self) -> dict[str, Any]:
        """`gain` and `seed`."""
        return {"gain": self.gain, "seed": self.seed}


def _wide(dtype: Dtype) -> torch.dtype:
    """The type to factorize in: LAPACK knows no half types."""
    return torch.float64 if random.as_dtype(dtype) == torch.float64 else torch.float32


@_named("identity")
class Identity(Initializer):
    """Identity matrix times `gain`.

    A matrix that is not square has one diagonal, the rest zero (tf.keras), or is a row of identity matrices (Keras 2).

    Args:
        gain: Factor of the matrix.

    Raises:
        ValueError: (when called) a shape without two axes; in Keras 2 also a long side that is no multiple of the short one.
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain
        self._repeats = choose("initializer.identity") == "repeat"

    def __call__(self, shape: Sequence[int], dtype: Dtype = None) -> Tensor:
        """An identity matrix of `shape`."""
        shape = tuple(shape)
        if len(shape) != 2:
            raise ValueError(f"Identity makes matrices only, but got the shape {shape}.")
        rows, columns = shape
        dtype = random.as_dtype(dtype)
        if not self._repeats or rows == columns:
            return torch.eye(rows, columns, dtype=dtype, device="cpu").mul_(self.gain)
        short, long = sorted(shape)
        if long % short:
            raise ValueError(f"Identity needs a long side that is a multiple of the short one, but got the shape {shape}.")
        one = torch.eye(short, dtype=dtype, device="cpu").mul_(self.gain)
        return one.repeat(rows // short, columns // short)

    def get_config(self) -> dict[str, Any]:
        """`gain`."""
        return {"gain": self.gain}


zero = zeros = Zeros
one = ones = Ones
constant = Constant
normal = random_normal = RandomNormal
uniform = random_uniform = RandomUniform
truncated_normal = TruncatedNormal
variance_scaling = VarianceScaling
glorot_uniform = GlorotUniform
glorot_normal = GlorotNormal
he_uniform = HeUniform
he_normal = HeNormal
lecun_uniform = LecunUniform
lecun_normal = LecunNormal
orthogonal = Orthogonal
identity = Identity


def serialize(initializer: Any) -> Any:
    """Config of an initializer: `{"class_name", "config"}`, or a function's name."""
    return serialize_object(initializer)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The initializer of a config or a name.

    Raises:
        ValueError: an unknown name.
    """
    return deserialize_object(config, INITIALIZERS, custom_objects)


def get(identifier: Any) -> Any:
    """The initializer that a name, a config, a class or a callable `(shape, dtype=None)` stands for; `None` stays `None`.

    Raises:
        ValueError: an unknown name, or nothing of those.
    """
    return deserialize(identifier)
