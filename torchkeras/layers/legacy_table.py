"""The table of Keras 1's spellings of layers: arguments, their order, their values.

Source: Keras 1.2.2 `keras.layers`, Keras 2.2.4 `keras.legacy.interfaces`.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from torchkeras.layers.legacy_values import INPUT_LENGTH, Values, constraint, data_format, implementation, initializer, padding, regularizer

Arguments = dict[str, Any]


@dataclass(frozen=True)
class Spelling:
    """Keras 1's signature of one class.

    Args:
        order: Its arguments by position, in its words.
        words: Its word -> today's.
        join: Today's word -> the several arguments of Keras 1 that it holds.
        joins_ints: Integers by position in those places are Keras 1's in Keras 2.2.4 too.
        finish: Last changes that no table can say.
        implied: What Keras 1 always did, for configs that do not say it.
    """

    order: str
    words: Mapping[str, str] = field(default_factory=dict)
    join: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    joins_ints: bool = False
    finish: Callable[[Arguments], None] | None = None
    implied: Mapping[str, Any] = field(default_factory=dict)

    @functools.cached_property
    def positions(self) -> tuple[str, ...]:
        """The words of `order`."""
        return tuple(self.order.split())

    @functools.cached_property
    def old(self) -> frozenset[str]:
        """The words that only Keras 1 has."""
        return frozenset(self.words) | {part for parts in self.join.values() for part in parts}


# word of Keras 1 -> how its value is translated
VALUES: Final[dict[str, Values]] = {
    "dim_ordering": data_format,
    "border_mode": padding,
    "consume_less": implementation,
    **dict.fromkeys(("init", "inner_init", "alpha_init", "beta_init", "gamma_init", "forget_bias_init"), initializer),
    **dict.fromkeys(("t_left_init", "a_left_init", "t_right_init", "a_right_init"), initializer),
    **dict.fromkeys(
        ("W_regularizer", "U_regularizer", "b_regularizer", "activity_regularizer", "gamma_regularizer", "beta_regularizer"), regularizer
    ),
    **dict.fromkeys(("depthwise_regularizer", "pointwise_regularizer"), regularizer),
    **dict.fromkeys(("W_constraint", "b_constraint", "depthwise_constraint", "pointwise_constraint"), constraint),
}


def _first_input(given: Arguments) -> None:
    """`input_dim` and `input_length` of layers over sequences say the shape of the first input."""
    if "input_dim" in given or INPUT_LENGTH in given:
        dim, length = given.pop("input_dim", None), given.pop(INPUT_LENGTH, None)
        if dim is not None and given.get("batch_input_shape") is None and given.get("input_shape") is None:
            given["input_shape"] = (length, dim)


def _recurrent(given: Arguments) -> None:
    _first_input(given)
    bias = given.pop("forget_bias_init", None)
    if bias is not None:
        given["unit_forget_bias"] = bias in ("one", "ones")
        if bias not in ("one", "ones", "zero", "zeros"):
            raise ValueError(
                f"forget_bias_init takes 'one' or 'zero' here, but got {bias!r}. Set the biases by set_weights(), "
                "or pass a bias_initializer that fills all gates."
            )


def _simple_recurrent(given: Arguments) -> None:
    _recurrent(given)
    given.pop("implementation", None)  # all ways give the same numbers


def _no_mode(given: Arguments) -> None:
    if given.get("mode") == 0:
        del given["mode"]


def _no_dropout(given: Arguments) -> None:
    rate = given.pop("dropout", None)
    if rate:
        raise ValueError(
            f"Embedding has no dropout={rate!r} here: it dropped whole rows of the table in Keras 1. Put Dropout or SpatialDropout1D behind it."
        )


def _no_transform_bias(given: Arguments) -> None:
    if "transform_bias" in given:
        del given["transform_bias"]
        warnings.warn("Highway: transform_bias has no effect, as in Keras 1.2; the gate's bias starts at one.", DeprecationWarning, stacklevel=2)


def _both_kernels(given: Arguments) -> None:
    if "init" in given:
        given["depthwise_initializer"] = given["pointwise_initializer"] = given.pop("init")


def _padding_by_side(given: Arguments) -> None:
    sides = given.get("padding")
    if isinstance(sides, Mapping):
        top, bottom, left, right = (sides.get(f"{side}_pad", 0) for side in ("top", "bottom", "left", "right"))
        given["padding"] = ((top, bottom), (left, right))


def _padding_1d(given: Arguments) -> None:
    sides = given.get("padding")
    if isinstance(sides, Mapping):
        given["padding"] = (sides.get("left_pad", 0), sides.get("right_pad", 0))


_WEIGHTS = {
    "init": "kernel_initializer",
    "W_regularizer": "kernel_regularizer",
    "b_regularizer": "bias_regularizer",
    "W_constraint": "kernel_constraint",
    "b_constraint": "bias_constraint",
    "bias": "use_bias",
}
_LAST = "W_regularizer b_regularizer activity_regularizer W_constraint b_constraint bias"
_DENSE_ORDER = f"init activation weights {_LAST}"
_CONV = {
    **_WEIGHTS,
    "nb_filter": "filters",
    "border_mode": "padding",
    "subsample": "strides",
    "dim_ordering": "data_format",
    "atrous_rate": "dilation_rate",
}
_SQUARE = {"kernel_size": ("nb_row", "nb_col")}
_CONV_1D = {**_CONV, "filter_length": "kernel_size", "subsample_length": "strides", "input_length": INPUT_LENGTH}
_SEPARABLE = {word: now for word, now in _CONV.items() if word not in ("init", "W_regularizer", "W_constraint")}
_POOL = {"border_mode": "padding", "dim_ordering": "data_format"}
_POOL_1D = {"pool_length": "pool_size", "stride": "strides", "border_mode": "padding"}
_FORMAT = {"dim_ordering": "data_format"}
_RECURRENT = {
    **{word: now for word, now in _WEIGHTS.items() if word != "W_constraint" and word != "b_constraint"},
    "output_dim": "units",
    "inner_init": "recurrent_initializer",
    "inner_activation": "recurrent_activation",
    "U_regularizer": "recurrent_regularizer",
    "dropout_W": "dropout",
    "dropout_U": "recurrent_dropout",
    "consume_less": "implementation",
    "forget_bias_init": "forget_bias_init",
    "input_length": INPUT_LENGTH,
}
_GATES = "output_dim init inner_init activation inner_activation W_regularizer U_regularizer b_regularizer dropout_W dropout_U"
_LSTM = "init inner_init forget_bias_init activation inner_activation"

TABLE: Final[dict[str, Spelling]] = {
    "Layer": Spelling("", {"input_dtype": "dtype"}),
    "InputLayer": Spelling("input_shape batch_input_shape input_dtype input_tensor sparse name", {"input_dtype": "dtype"}),
    # core
    "Dense": Spelling(f"output_dim {_DENSE_ORDER} input_dim", {**_WEIGHTS, "output_dim": "units"}),
    "TimeDistributedDense": Spelling(
        f"output_dim {_DENSE_ORDER} input_dim input_length", {**_WEIGHTS, "output_dim": "units", "input_length": INPUT_LENGTH}, finish=_first_input
    ),
    "MaxoutDense": Spelling(f"output_dim nb_feature init weights {_LAST} input_dim", {**_WEIGHTS, "output_dim": "units", "nb_feature": "features"}),
    "Highway": Spelling(f"{_DENSE_ORDER} input_dim", {**_WEIGHTS, "transform_bias": "transform_bias"}, finish=_no_transform_bias),
    "Dropout": Spelling("p noise_shape seed", {"p": "rate"}),
    "SpatialDropout1D": Spelling("p", {"p": "rate"}),
    "SpatialDropout2D": Spelling("p dim_ordering", {"p": "rate", **_FORMAT}),
    "SpatialDropout3D": Spelling("p dim_ordering", {"p": "rate", **_FORMAT}),
    "GaussianDropout": Spelling("p", {"p": "rate"}),
    "GaussianNoise": Spelling("sigma", {"sigma": "stddev"}),
    "Embedding": Spelling(
        "input_dim output_dim init input_length W_regularizer activity_regularizer W_constraint mask_zero weights dropout",
        {"init": "embeddings_initializer", "W_regularizer": "embeddings_regularizer", "W_constraint": "embeddings_constraint", "dropout": "dropout"},
        finish=_no_dropout,
    ),
    "BatchNormalization": Spelling(
        "epsilon mode axis momentum weights beta_init gamma_init gamma_regularizer beta_regularizer",
        {"beta_init": "beta_initializer", "gamma_init": "gamma_initializer", "mode": "mode"},
        finish=_no_mode,
    ),
    "PReLU": Spelling("init weights shared_axes", {"init": "alpha_initializer"}),
    "ParametricSoftplus": Spelling("alpha_init beta_init weights shared_axes", {"alpha_init": "alpha_initializer", "beta_init": "beta_initializer"}),
    "SReLU": Spelling(
        "t_left_init a_left_init t_right_init a_right_init shared_axes",
        {f"{name}_init": f"{name}_initializer" for name in ("t_left", "a_left", "t_right", "a_right")},
    ),
    # convolutions
    "Conv1D": Spelling(
        f"nb_filter filter_length init activation weights border_mode subsample_length {_LAST} input_dim input_length", _CONV_1D, finish=_first_input
    ),
    "AtrousConvolution1D": Spelling(
        f"nb_filter filter_length init activation weights border_mode subsample_length atrous_rate {_LAST}", _CONV_1D, finish=_first_input
    ),
    "LocallyConnected1D": Spelling(
        f"nb_filter filter_length init activation weights border_mode subsample_length {_LAST} input_dim input_length", _CONV_1D, finish=_first_input
    ),
    "Conv2D": Spelling(
        f"nb_filter nb_row nb_col init activation weights border_mode subsample dim_ordering {_LAST}", _CONV, join=_SQUARE, joins_ints=True
    ),
    "AtrousConvolution2D": Spelling(
        f"nb_filter nb_row nb_col init activation weights border_mode subsample atrous_rate dim_ordering {_LAST}",
        _CONV,
        join=_SQUARE,
        joins_ints=True,
    ),
    "LocallyConnected2D": Spelling(
        f"nb_filter nb_row nb_col init activation weights border_mode subsample dim_ordering {_LAST}", _CONV, join=_SQUARE, joins_ints=True
    ),
    "Deconvolution2D": Spelling(
        f"nb_filter nb_row nb_col output_shape init activation weights border_mode subsample dim_ordering {_LAST}",
        _CONV,
        join=_SQUARE,
        joins_ints=True,
    ),
    "Conv2DTranspose": Spelling("nb_filter nb_row nb_col", _CONV, join=_SQUARE, joins_ints=True),
    "SeparableConv2D": Spelling(
        "nb_filter nb_row nb_col init activation weights border_mode subsample depth_multiplier dim_ordering depthwise_regularizer "
        "pointwise_regularizer b_regularizer activity_regularizer depthwise_constraint pointwise_constraint b_constraint bias",
        {**_SEPARABLE, "init": "init"},
        join=_SQUARE,
        joins_ints=True,
        finish=_both_kernels,
    ),
    "Conv3D": Spelling(
        f"nb_filter kernel_dim1 kernel_dim2 kernel_dim3 init activation weights border_mode subsample dim_ordering {_LAST}",
        _CONV,
        join={"kernel_size": ("kernel_dim1", "kernel_dim2", "kernel_dim3")},
        joins_ints=True,
    ),
    "ZeroPadding1D": Spelling("padding", finish=_padding_1d),
    "ZeroPadding2D": Spelling("padding dim_ordering", _FORMAT, finish=_padding_by_side),
    "ZeroPadding3D": Spelling("padding dim_ordering", _FORMAT),
    "Cropping2D": Spelling("cropping dim_ordering", _FORMAT),
    "Cropping3D": Spelling("cropping dim_ordering", _FORMAT),
    "UpSampling1D": Spelling("length", {"length": "size"}),
    "UpSampling2D": Spelling("size dim_ordering", _FORMAT),
    "UpSampling3D": Spelling("size dim_ordering", _FORMAT),
    # pooling
    "MaxPooling1D": Spelling("pool_length stride border_mode", _POOL_1D),
    "AveragePooling1D": Spelling("pool_length stride border_mode", _POOL_1D),
    "MaxPooling2D": Spelling("pool_size strides border_mode dim_ordering", _POOL),
    "AveragePooling2D": Spelling("pool_size strides border_mode dim_ordering", _POOL),
    "MaxPooling3D": Spelling("pool_size strides border_mode dim_ordering", _POOL),
    "AveragePooling3D": Spelling("pool_size strides border_mode dim_ordering", _POOL),
    "GlobalMaxPooling2D": Spelling("dim_ordering", _FORMAT),
    "GlobalAveragePooling2D": Spelling("dim_ordering", _FORMAT),
    "GlobalMaxPooling3D": Spelling("dim_ordering", _FORMAT),
    "GlobalAveragePooling3D": Spelling("dim_ordering", _FORMAT),
    # recurrent
    "SimpleRNN": Spelling(
        "output_dim init inner_init activation W_regularizer U_regularizer b_regularizer dropout_W dropout_U", _RECURRENT, finish=_simple_recurrent
    ),
    "GRU": Spelling(_GATES, _RECURRENT, finish=_recurrent, implied={"reset_after": False}),
    "LSTM": Spelling(f"output_dim {_LSTM} W_regularizer U_regularizer b_regularizer dropout_W dropout_U", _RECURRENT, finish=_recurrent),
    "ConvLSTM2D": Spelling(
        f"nb_filter nb_row nb_col {_LSTM} dim_ordering border_mode subsample W_regularizer U_regularizer b_regularizer dropout_W dropout_U",
        {**_RECURRENT, **_CONV},
        join=_SQUARE,
        joins_ints=True,
        finish=_recurrent,
    ),
    "Network": Spelling("input output name", {"input": "inputs", "output": "outputs"}),
}

# Keras 1's name of a class -> today's
CLASSES: Final[dict[str, str]] = {
    "Model": "Network",
    "Container": "Network",
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "Convolution3D": "Conv3D",
    "AtrousConv1D": "AtrousConvolution1D",
    "AtrousConv2D": "AtrousConvolution2D",
    "Deconv2D": "Deconvolution2D",
    "SeparableConvolution2D": "SeparableConv2D",
}
# today's name -> the one that Keras 1 made automatic names and configs with
FORMER_CLASSES: Final[dict[str, str]] = {now: old for old, now in CLASSES.items() if "olution" in old}
