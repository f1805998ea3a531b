"""Inception V3: branches of convolutions of several sizes side by side, as a table.

Keras 1 has another network of this name: its convolutions have a bias and their activation, and the normalization comes behind it.

Source: Szegedy et al. (2015), arXiv:1512.00567; names as in Keras 1.2.2, 2.2.4 and tf.keras 2.4.0.
"""

from __future__ import annotations

from typing import Any, Final

from torchkeras import layers
from torchkeras.applications import imagenet_utils
from torchkeras.applications.assembling import (
    channel_axis,
    check_weights,
    finished,
    image_input,
    joined,
    obtain_input_shape,
    pooled,
    release,
    standard_file,
)
from torchkeras.applications.imagenet_utils import decode_predictions

__all__ = ["InceptionV3", "decode_predictions", "preprocess_input"]

# a convolution: its width, rows, columns, whether it halves the image; "avg" and "max" are pools; a tuple of convolutions: side by side
_AVERAGE: Final = "avg"
_MAXIMUM: Final = "max"


def preprocess_input(x: Any, data_format: str | None = None) -> Any:
    """Pixels as InceptionV3 wants them: from -1 to 1."""
    return imagenet_utils.preprocess_input(x, data_format, "tf")


def _fives(pool: int) -> list[list[Any]]:
    return [[(64, 1, 1)], [(48, 1, 1), (64, 5, 5)], [(64, 1, 1), (96, 3, 3), (96, 3, 3)], [_AVERAGE, (pool, 1, 1)]]


def _sevens(width: int, first: int | None = None) -> list[list[Any]]:
    return [
        [(192, 1, 1)],
        [(width, 1, 1), (width, 1, 7), (192, 7, 1)],
        [(first or width, 1, 1), (width, 7, 1), (width, 1, 7), (width, 7, 1), (192, 1, 7)],
        [_AVERAGE, (192, 1, 1)],
    ]


def _wide(number: int) -> list[list[Any]]:
    split = ((384, 1, 3), (384, 3, 1))
    return [[(320, 1, 1)], [(384, 1, 1), (f"mixed9_{number}", split)], [(448, 1, 1), (384, 3, 3), (None, split)], [_AVERAGE, (192, 1, 1)]]


def _blocks(keras1: bool) -> list[list[list[Any]]]:
    """Branches of mixed0 to mixed10."""
    return [
        *(_fives(pool) for pool in ((32, 32, 32) if keras1 else (32, 64, 64))),
        [[(384, 3, 3, 2)], [(64, 1, 1), (96, 3, 3), (96, 3, 3, 2)], [_MAXIMUM]],
        *(_sevens(128), _sevens(160), _sevens(160), _sevens(192, 160 if keras1 else None)),
        [
            [(192, 1, 1), (320, 3, 3, 2)],
            [(192, 1, 1), (192, 1, 7), (192, 7, 1), (192, 3, 3, 2)],
            ["avg2" if keras1 else _MAXIMUM],
        ],
        *(_wide(0), _wide(1)),
    ]


def _conv(x: Any, width: int, rows: int, columns: int, strides: int = 1, padding: str | None = None) -> Any:
    keras1 = release() == "keras1"
    x = layers.Conv2D(
        width,
        kernel_size=(rows, columns),
        strides=(strides, strides),
        padding=padding or ("same" if strides == 1 else "valid"),
        use_bias=keras1,
        activation="relu" if keras1 else None,
    )(x)
    x = layers.BatchNormalization(axis=channel_axis(), scale=keras1)(x)
    return x if keras1 else layers.Activation("relu")(x)


def _pool(x: Any, kind: str) -> Any:
    if kind == _AVERAGE:
        return layers.AveragePooling2D((3, 3), strides=(1, 1), padding="same")(x)
    pool = layers.AveragePooling2D if kind == "avg2" else layers.MaxPooling2D
    return pool((3, 3), strides=(2, 2))(x)


def _branch(x: Any, steps: list[Any]) -> Any:
    for step in steps:
        if isinstance(step, str):
            x = _pool(x, step)
        elif isinstance(step[0], int):
            x = _conv(x, *step)
        else:
            name, split = step
            x = joined([_conv(x, *one) for one in split], name)
    return x


def InceptionV3(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
) -> Any:
    """Inception V3.

    Args:
        include_top: Whether it ends with the classifier.
        weights: "imagenet" (downloaded into ~/.keras/models), `None` (random) or the path of a file of weights.
        input_tensor: A symbolic tensor to start from.
        input_shape: Of one image, at least 75x75; fixed with the classifier and ImageNet's weights.
        pooling: Without the classifier: `None`, "avg" or "max".
        classes: Of the classifier.
        classifier_activation: Of the classifier; `None` gives logits.

    Shape: (batch, 299, 299, 3) -> (batch, classes); without the classifier (batch, rows, columns, 3) -> (batch, ~rows/32, ~columns/32, 2048).

    Raises:
        ValueError: weights, shape, classes or pooling that do not fit.
        RuntimeError: ImageNet's weights cannot be downloaded.

    Source: Keras 1.2.2, 2.2.4 and tf.keras 2.4.0 `applications.InceptionV3`; that of Keras 1 is another network.
    """
    check_weights("InceptionV3", weights, include_top, classes, classifier_activation)
    keras1 = release() == "keras1"
    least = 139 if keras1 else 75
    image = image_input(input_tensor, obtain_input_shape(input_shape, 299, least, None, include_top, weights, "InceptionV3"))
    x = _conv(_conv(_conv(image, 32, 3, 3, 2), 32, 3, 3, padding="valid"), 64, 3, 3)
    x = _pool(x, _MAXIMUM)
    x = _conv(_conv(x, 80, 1, 1, padding="valid"), 192, 3, 3, padding="valid")
    x = _pool(x, _MAXIMUM)
    for number, branches in enumerate(_blocks(keras1)):
        x = joined([_branch(x, steps) for steps in branches], f"mixed{number}")
    if include_top and keras1:
        x = layers.Flatten(name="flatten")(layers.AveragePooling2D((8, 8), strides=(8, 8), name="avg_pool")(x))
    elif include_top:
        x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    x = layers.Dense(classes, activation=classifier_activation, name="predictions")(x) if include_top else pooled(x, pooling)
    return finished("inception_v3", image, input_tensor, x, weights, standard_file("inception_v3", include_top))
