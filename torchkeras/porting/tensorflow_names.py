"""The functions of TensorFlow that Keras programs use and that have a plain meaning in torch."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import torch

from torchkeras import backend as K
from torchkeras import initializers, registry
from torchkeras.porting import tensorflow_arrays as arrays
from torchkeras.porting import tensorflow_settings as settings
from torchkeras.porting.dataset import Dataset
from torchkeras.porting.tape import GradientTape
from torchkeras.porting.tensorflow_types import dtype_name

# TensorFlow's name -> what torch has, for those that are not here
TORCH: Final[dict[str, str]] = {
    "placeholder": "keras.layers.Input, or a plain argument of a function",
    "image": "torchvision.transforms",
    "linalg": "torch.linalg",
    "signal": "torch.fft",
    "train": "torch.optim and torch.save",
    "distribute": "torchrun with torch.distributed",
    "io": "the builtin open, or torch.utils.data",
    "summary": "torch.utils.tensorboard.SummaryWriter",
    "scatter_nd": "torch.Tensor.scatter",
    "py_function": "a plain Python call",
    "einsum": "torch.einsum",
    "cond": "torch.where, or a Python if",
    "while_loop": "a Python while",
}


def _reduction(function: Callable[..., Any]) -> Callable[..., Any]:
    def reduce(input_tensor: Any, axis: Any = None, keepdims: bool = False, name: str | None = None) -> Any:
        return function(input_tensor, axis=axis, keepdims=keepdims)

    reduce.__doc__ = f"tf.reduce_...: `{function.__name__}` along axes."
    return reduce


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)  # configs know an activation such as tf.nn.relu by its name
    def call(*args: Any, **kwargs: Any) -> Any:
        kwargs.pop("name", None)
        return function(*args, **kwargs)

    return call


def cast(x: Any, dtype: Any, name: str | None = None) -> Any:
    """A tensor as another type."""
    return K.cast(x, dtype_name(dtype))


def constant(value: Any, dtype: Any = None, shape: Any = None, name: str | None = None) -> Any:
    """A tensor of given values."""
    made = K.constant(value, dtype=None if dtype is None else dtype_name(dtype))
    return made if shape is None else made.expand(tuple(shape)) if made.dim() == 0 else made.reshape(tuple(shape))


def convert_to_tensor(value: Any, dtype: Any = None, name: str | None = None) -> Any:
    """A tensor of what is given."""
    made = torch.as_tensor(value)
    return made if dtype is None else made.to(getattr(torch, dtype_name(dtype)))


def argmax(input: Any, axis: int = 0, name: str | None = None) -> Any:
    """Place of the largest value along an axis."""
    return K.argmax(input, axis=axis)


def concat(values: Any, axis: int, name: str | None = None) -> Any:
    """Tensors one after the other along an axis."""
    return K.concatenate(list(values), axis=axis)


def one_hot(indices: Any, depth: int, name: str | None = None) -> Any:
    """Vectors of zeros with a one at each index."""
    return K.one_hot(indices, depth)


def expand_dims(input: Any, axis: int = -1, name: str | None = None) -> Any:
    """A new axis of size 1."""
    return K.expand_dims(input, axis)


def softmax(logits: Any, axis: int = -1, name: str | None = None) -> Any:
    """Exponentials that sum to 1 along an axis."""
    return K.softmax(logits, axis=axis)


def clip_by_value(t: Any, clip_value_min: Any, clip_value_max: Any, name: str | None = None) -> Any:
    """Values within bounds."""
    return K.clip(t, clip_value_min, clip_value_max)


def matmul(a: Any, b: Any, transpose_a: bool = False, transpose_b: bool = False, name: str | None = None) -> Any:
    """Product of matrices, with the axes before them alike."""
    a, b = (a.transpose(-1, -2) if transpose_a else a), (b.transpose(-1, -2) if transpose_b else b)
    return torch.matmul(a, b)


def set_seed(seed: int) -> None:
    """Fix what torch and NumPy draw from here on."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)


def random_normal(shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = "float32", seed: int | None = None, name: Any = None) -> Any:
    """Draws of a normal distribution."""
    return K.random_normal(shape, mean=mean, stddev=stddev, dtype=dtype_name(dtype), seed=seed)


def random_uniform(shape: Any, minval: float = 0.0, maxval: float = 1.0, dtype: Any = "float32", seed: int | None = None, name: Any = None) -> Any:
    """Draws between two bounds."""
    return K.random_uniform(shape, minval=minval, maxval=maxval, dtype=dtype_name(dtype), seed=seed)


def variable(initial_value: Any, trainable: bool = True, dtype: Any = None, name: str | None = None) -> Any:
    """A variable of a tensor's or function's value."""
    value = initial_value() if callable(initial_value) else initial_value
    return K.variable(value, dtype=None if dtype is None else dtype_name(dtype), name=name)


_MATH: Final[dict[str, Any]] = {
    **{name: _plain(getattr(K, name)) for name in ("abs", "square", "sqrt", "exp", "log", "sign", "pow", "maximum", "minimum", "equal", "not_equal")},
    **{name: _plain(getattr(K, name)) for name in ("greater", "greater_equal", "less", "less_equal", "sin", "cos", "tanh", "sigmoid", "round")},
    **{
        name: _reduction(getattr(K, name.removeprefix("reduce_")))
        for name in ("reduce_mean", "reduce_sum", "reduce_max", "reduce_min", "reduce_prod")
    },
    "reduce_std": _reduction(K.std),
    "reduce_variance": _reduction(K.var),
    "add": lambda x, y, name=None: x + y,
    "subtract": lambda x, y, name=None: x - y,
    "multiply": lambda x, y, name=None: x * y,
    "divide": lambda x, y, name=None: x / y,
    "argmax": argmax,
    "softplus": _plain(K.softplus),
    "sigmoid": _plain(K.sigmoid),
    "reduce_all": arrays.reduce_all,
    "reduce_any": arrays.reduce_any,
    "top_k": arrays.top_k,
    "logical_and": lambda x, y, name=None: torch.logical_and(x, y),
    "logical_or": lambda x, y, name=None: torch.logical_or(x, y),
    "logical_not": lambda x, name=None: torch.logical_not(x),
    "l2_normalize": _plain(K.l2_normalize),
    "cumsum": _plain(K.cumsum),
    "floor": lambda x, name=None: torch.floor(x),
    "ceil": lambda x, name=None: torch.ceil(x),
    "negative": lambda x, name=None: -x,
    "log1p": lambda x, name=None: torch.log1p(x),
    "rsqrt": lambda x, name=None: torch.rsqrt(x),
    "is_nan": lambda x, name=None: torch.isnan(x),
}
_TYPES: Final[dict[str, Any]] = {
    **{name: getattr(torch, name) for name in ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool")},
}
# path below `tensorflow` -> its names
MODULES: Final[dict[str, dict[str, Any]]] = {
    "": {
        **{name: value for name, value in _MATH.items() if name not in ("log", "reduce_std", "reduce_variance", "softplus")},
        **_TYPES,
        **{name: _plain(getattr(K, name)) for name in ("reshape", "squeeze", "stack", "tile", "zeros", "ones", "zeros_like", "ones_like", "shape")},
        "expand_dims": expand_dims,
        "transpose": lambda a, perm=None, name=None: K.transpose(a) if perm is None else K.permute_dimensions(a, perm),
        "where": lambda condition, x, y, name=None: torch.where(condition, torch.as_tensor(x), torch.as_tensor(y)),
        "cast": cast,
        "clip_by_value": clip_by_value,
        "concat": concat,
        "constant": constant,
        "convert_to_tensor": convert_to_tensor,
        "matmul": matmul,
        "one_hot": one_hot,
        **{name: getattr(arrays, name) for name in ("gather", "split", "unstack", "norm", "identity", "fill", "eye", "linspace", "stop_gradient")},
        "print": arrays.print_tensors,
        "range": arrays.range_,
        "newaxis": None,
        "function": settings.function,
        "executing_eagerly": settings.executing_eagerly,
        "ConfigProto": settings.Settings,
        "GPUOptions": settings.Settings,
        "Session": settings.Session,
        "InteractiveSession": settings.Session,
        "enable_eager_execution": settings.enable_eager_execution,
        "set_random_seed": set_seed,
        "random_normal_initializer": initializers.RandomNormal,
        "random_uniform_initializer": initializers.RandomUniform,
        "zeros_initializer": initializers.Zeros,
        "ones_initializer": initializers.Ones,
        "constant_initializer": initializers.Constant,
        "initializers": initializers,
        "Tensor": torch.Tensor,
        "Variable": variable,
        "GradientTape": GradientTape,
    },
    "math": _MATH,
    "nn": {
        "softmax": softmax,
        **{name: _plain(getattr(K, name)) for name in ("relu", "sigmoid", "tanh", "elu", "softplus", "softsign", "l2_normalize")},
    },
    "random": {"set_seed": set_seed, "normal": random_normal, "uniform": random_uniform, "shuffle": arrays.shuffle},
    "data": {"Dataset": Dataset, "AUTOTUNE": -1},
    "data.experimental": {"AUTOTUNE": -1},
    "config": {"list_physical_devices": settings.list_physical_devices, "set_memory_growth": settings.set_memory_growth},
    "config.experimental": {"list_physical_devices": settings.list_physical_devices, "set_memory_growth": settings.set_memory_growth},
    "test": {"is_gpu_available": settings.is_gpu_available},
    "linalg": {"matmul": matmul, "norm": arrays.norm},
    "compat": {},
    "compat.v1": {
        "ConfigProto": settings.Settings,
        "GPUOptions": settings.Settings,
        "Session": settings.Session,
        "InteractiveSession": settings.Session,
        "set_random_seed": set_seed,
        "enable_eager_execution": settings.enable_eager_execution,
    },
    "compat.v1.keras": {},
    "compat.v1.keras.backend": {"set_session": K.set_session},
    "python": {},
}


def knows(path: str) -> bool:
    """Whether a name below `tensorflow`, such as "random.set_seed", is here; what is taken from an object counts as here."""
    module = ""
    for part in path.split("."):
        inner = f"{module}.{part}".lstrip(".")
        if part in MODULES[module]:
            return True
        if inner not in MODULES:
            return False
        module = inner
    return True


def advice(path: str) -> str:
    """What to use instead of a function of TensorFlow."""
    last = path.split(".")[-1]
    for word in (last, path.split(".")[0]):
        if word in TORCH:
            return f"In torch: {TORCH[word]}."
    if hasattr(torch, last):
        return f"In torch: torch.{last}."
    if hasattr(torch.nn.functional, last):
        return f"In torch: torch.nn.functional.{last}."
    known = [f"tf.{module}.{name}".replace("..", ".") for module, names in MODULES.items() for name in names]
    near = registry.nearest(f"tf.{path}", known)
    return near if near.startswith("Did you mean") else "Write it with torch, or with the functions of keras.backend."
