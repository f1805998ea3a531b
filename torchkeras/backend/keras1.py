"""How Keras 1 spelled K functions that Keras 2 renamed or whose arguments it changed.

One table for the arguments: a call in Keras 1's words is translated, with one warning for each word. Where the chosen release is
Keras 1, arguments by position come in its order, and kernels for channels first in its layout (channels out, channels in, *window).

Source: `keras.backend.tensorflow_backend` (Keras 1.2.2).
"""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeVar

from torchkeras.backend.conversion import as_tensor
from torchkeras.config import image_data_format
from torchkeras.generations import choose

F = TypeVar("F", bound=Callable[..., Any])

DIM_ORDERINGS: Final[dict[Any, str | None]] = {"th": "channels_first", "tf": "channels_last", "default": None}
_HINT = ""  # place of an argument that only told Theano what torch sees for itself


class Spelling(NamedTuple):
    """Keras 1's signature of a function: today's names in its order, its words for them, the arguments that are kernels."""

    order: tuple[str, ...]
    words: dict[str, str]
    kernels: tuple[str, ...] = ()


_CONVOLUTION = {"border_mode": "padding", "dim_ordering": "data_format", "image_shape": _HINT, "volume_shape": _HINT, "filter_shape": _HINT}
_POOL = Spelling(("x", "pool_size", "strides", "padding", "data_format", "pool_mode"), {"border_mode": "padding", "dim_ordering": "data_format"})
_PADDING = Spelling(("x", "padding", "data_format"), {"dim_ordering": "data_format"})
_CROSSENTROPY = Spelling(("output", "target", "from_logits"), {})

TABLE: Final[dict[str, Spelling]] = {
    "conv1d": Spelling(("x", "kernel", "strides", "padding", _HINT, _HINT), {**_CONVOLUTION, "stride": "strides"}),
    "conv2d": Spelling(
        ("x", "kernel", "strides", "padding", "data_format", _HINT, _HINT, "dilation_rate"),
        {**_CONVOLUTION, "filter_dilation": "dilation_rate"},
        ("kernel",),
    ),
    "conv3d": Spelling(("x", "kernel", "strides", "padding", "data_format", _HINT, _HINT), _CONVOLUTION, ("kernel",)),
    "separable_conv2d": Spelling(
        ("x", "depthwise_kernel", "pointwise_kernel", "strides", "padding", "data_format"), _CONVOLUTION, ("depthwise_kernel", "pointwise_kernel")
    ),
    "pool2d": _POOL,
    "pool3d": _POOL,
    "spatial_2d_padding": _PADDING,
    "spatial_3d_padding": _PADDING,
    "resize_images": Spelling(("x", "height_factor", "width_factor", "data_format"), {"X": "x", "dim_ordering": "data_format"}),
    "resize_volumes": Spelling(("x", "depth_factor", "height_factor", "width_factor", "data_format"), {"X": "x", "dim_ordering": "data_format"}),
    "categorical_crossentropy": _CROSSENTROPY,
    "sparse_categorical_crossentropy": _CROSSENTROPY,
    "binary_crossentropy": _CROSSENTROPY,
    "batch_normalization": Spelling(("x", "mean", "var", "beta", "gamma", "epsilon"), {}),
    "random_normal": Spelling(("shape", "mean", "stddev", "dtype", "seed"), {"std": "stddev"}),
    "random_uniform": Spelling(("shape", "minval", "maxval", "dtype", "seed"), {"low": "minval", "high": "maxval"}),
    "moving_average_update": Spelling(("x", "value", "momentum"), {"variable": "x"}),
    "expand_dims": Spelling(("x", "axis"), {"dim": "axis"}),
    "one_hot": Spelling(("indices", "num_classes"), {"nb_classes": "num_classes"}),
}

_told: set[tuple[str, str]] = set()


def tell(who: str, word: str, now: str) -> None:
    """Warn, once in a program, that Keras 2 has another word."""
    if (who, word) not in _told:
        _told.add((who, word))
        warnings.warn(f"K.{who}: {now} is what Keras 1 called {word!r}.", DeprecationWarning, stacklevel=4)


def keras1_spelling(function: F) -> F:
    """Decorator: the function also takes the arguments of Keras 1, as the table says.

    Raises:
        TypeError: an argument given twice, or too many of them.
    """
    spelling, name = TABLE[function.__name__], function.__name__
    names = tuple(inspect.signature(function).parameters)
    alike = 0
    while not spelling.kernels and names[alike : alike + 1] == spelling.order[alike : alike + 1] != ("data_format",) and alike < len(names):
        alike += 1

    @functools.wraps(function)
    def enter(*args: Any, **kwargs: Any) -> Any:
        old = spelling.words.keys() & kwargs.keys() if kwargs else None
        if not old and (len(args) <= alike or choose("backend.argument_order") == "keras2"):
            return function(*args, **kwargs)
        return function(**_translate(name, spelling, names, args, kwargs))

    return enter  # type: ignore[return-value]


def _translate(name: str, spelling: Spelling, names: tuple[str, ...], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments under today's names."""
    keras1 = choose("backend.argument_order") == "keras1"
    order = spelling.order if keras1 else names
    if len(args) > len(order):
        raise TypeError(f"K.{name} takes at most {len(order)} arguments by position, but got {len(args)}.")
    given = dict(zip(order, args, strict=False))
    old_format = keras1 and "data_format" not in kwargs
    for word, value in kwargs.items():
        now = spelling.words.get(word, word)
        if word in spelling.words and now != _HINT:
            tell(name, word, now)
            old_format = old_format or word == "dim_ordering"
        if now in given and now != _HINT:
            raise TypeError(f"K.{name} got two values for {now!r}.")
        given[now] = value
    given.pop(_HINT, None)
    if old_format:
        asked = given.get("data_format")
        given["data_format"] = DIM_ORDERINGS.get(asked, asked) if "data_format" in names else None
        if (given["data_format"] or image_data_format()) == "channels_first":
            given.update({kernel: kernel_from_theano(given[kernel]) for kernel in spelling.kernels if kernel in given})
        if given["data_format"] is None:
            del given["data_format"]
    return given


def kernel_from_theano(kernel: Any) -> Any:
    """(channels out, channels in, *window) as (*window, channels in, channels out)."""
    kernel = as_tensor(kernel)
    return kernel.permute(*range(2, kernel.ndim), 1, 0)
