"""Xception: separable convolutions beside shortcuts.

Source: Chollet (2016), arXiv:1610.02357; names as in Keras 1.2.2, 2.2.4 and tf.keras 2.4.0.
"""

from __future__ import annotations

from typing import Any, Final

from torchkeras import config, layers
from torchkeras.applications import imagenet_utils
from torchkeras.applications.assembling import added, check_weights, finished, image_input, obtain_input_shape, pooled, standard_file
from torchkeras.applications.imagenet_utils import decode_predictions

__all__ = ["Xception", "decode_predictions", "preprocess_input"]

# widths of the separable convolutions of the blocks that halve the image, by the block's number
HALVING: Final = {2: (128, 128), 3: (256, 256), 4: (728, 728), 13: (728, 1024)}
MIDDLE: Final = 728


def preprocess_input(x: Any, data_format: str | None = None) -> Any:
    """Pixels as Xception wants them: from -1 to 1."""
    return imagenet_utils.preprocess_input(x, data_format, "tf")


def _normal(x: Any, name: str | None = None) -> Any:
    return layers.BatchNormalization(axis=1 if config.image_data_format() == "channels_first" else -1, name=name)(x)


def _active(x: Any, name: str) -> Any:
    return layers.Activation("relu", name=f"{name}_act")(x)


def _separable(x: Any, width: int, name: str) -> Any:
    return _normal(layers.SeparableConv2D(width, kernel_size=(3, 3), padding="same", use_bias=False, name=name)(x), f"{name}_bn")


def _conv(x: Any, width: int, strides: int, name: str) -> Any:
    x = layers.Conv2D(width, kernel_size=(3, 3), strides=(strides, strides), use_bias=False, name=name)(x)
    return _active(_normal(x, f"{name}_bn"), name)


def _halved(x: Any, number: int) -> Any:
    first, second = HALVING[number]
    name = f"block{number}"
    shortcut = _normal(layers.Conv2D(second, kernel_size=(1, 1), strides=(2, 2), padding="same", use_bias=False)(x))
    if number > 2:  # block 2 comes right after an activation
        x = _active(x, f"{name}_sepconv1")
    x = _active(_separable(x, first, f"{name}_sepconv1"), f"{name}_sepconv2")
    x = _separable(x, second, f"{name}_sepconv2")
    x = layers.MaxPooling2D((3, 3), strides=(2, 2), padding="same", name=f"{name}_pool")(x)
    return added([x, shortcut])


def _middle(x: Any, number: int) -> Any:
    branch = x
    for part in (1, 2, 3):
        name = f"block{number}_sepconv{part}"
        branch = _separable(_active(branch, name), MIDDLE, name)
    return added([branch, x])


def Xception(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
) -> Any:
    """Xception.

    Args:
        include_top: Whether it ends with the classifier.
        weights: "imagenet" (downloaded into ~/.keras/models), `None` (random) or the path of a file of weights.
        input_tensor: A symbolic tensor to start from.
        input_shape: Of one image, at least 71x71; fixed with the classifier and ImageNet's weights.
        pooling: Without the classifier: `None`, "avg" or "max".
        classes: Of the classifier.
        classifier_activation: Of the classifier; `None` gives logits.

    Shape: (batch, 299, 299, 3) -> (batch, classes); without the classifier (batch, rows, columns, 3) -> (batch, ~rows/32, ~columns/32, 2048).

    Raises:
        ValueError: weights, shape, classes or pooling that do not fit.
        RuntimeError: ImageNet's weights cannot be downloaded.

    Source: tf.keras 2.4.0 `applications.Xception`.
    """
    check_weights("Xception", weights, include_top, classes, classifier_activation)
    image = image_input(input_tensor, obtain_input_shape(input_shape, 299, 71, None, include_top, weights, "Xception"))
    x = _conv(_conv(image, 32, 2, "block1_conv1"), 64, 1, "block1_conv2")
    for number in range(2, 14):
        x = _halved(x, number) if number in HALVING else _middle(x, number)
    for name, width in (("block14_sepconv1", 1536), ("block14_sepconv2", 2048)):
        x = _active(_separable(x, width, name), name)
    if include_top:
        x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
        x = layers.Dense(classes, activation=classifier_activation, name="predictions")(x)
    else:
        x = pooled(x, pooling)
    return finished("xception", image, input_tensor, x, weights, standard_file("xception", include_top))
