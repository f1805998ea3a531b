"""VGG: blocks of 3x3 convolutions, each halved by a pool, then three dense layers.

Source: Simonyan & Zisserman (2014), arXiv:1409.1556; names as in Keras 1.2.2, 2.2.4 and tf.keras 2.4.0.
"""

from __future__ import annotations

from typing import Any, Final

from torchkeras import layers
from torchkeras.applications.assembling import check_weights, finished, image_input, obtain_input_shape, pooled, release, standard_file

WIDTHS: Final = (64, 128, 256, 512, 512)
DEPTHS: Final = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}


def _vgg(
    name: str, include_top: bool, weights: Any, input_tensor: Any, input_shape: Any, pooling: str | None, classes: int, classifier_activation: Any
) -> Any:
    who = name.upper()
    check_weights(who, weights, include_top, classes, classifier_activation)
    least = 48 if release() == "keras1" else 32
    image = image_input(input_tensor, obtain_input_shape(input_shape, 224, least, None, include_top, weights, who))
    x = image
    for block, (width, depth) in enumerate(zip(WIDTHS, DEPTHS[name], strict=True), 1):
        for number in range(1, depth + 1):
            x = layers.Conv2D(width, kernel_size=(3, 3), activation="relu", padding="same", name=f"block{block}_conv{number}")(x)
        x = layers.MaxPooling2D((2, 2), strides=(2, 2), name=f"block{block}_pool")(x)
    if include_top:
        x = layers.Flatten(name="flatten")(x)
        x = layers.Dense(4096, activation="relu", name="fc1")(x)
        x = layers.Dense(4096, activation="relu", name="fc2")(x)
        x = layers.Dense(classes, activation=classifier_activation, name="predictions")(x)
    else:
        x = pooled(x, pooling)
    return finished(name, image, input_tensor, x, weights, standard_file(name, include_top))


def VGG16(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
) -> Any:
    """VGG with 16 layers of weights.

    Args:
        include_top: Whether it ends with the classifier.
        weights: "imagenet" (downloaded into ~/.keras/models), `None` (random) or the path of a file of weights.
        input_tensor: A symbolic tensor to start from.
        input_shape: Of one image; fixed with the classifier and ImageNet's weights.
        pooling: Without the classifier: `None`, "avg" or "max".
        classes: Of the classifier.
        classifier_activation: Of the classifier; `None` gives logits.

    Shape: (batch, 224, 224, 3) -> (batch, classes); without the classifier (batch, rows, columns, 3) -> (batch, rows/32, columns/32, 512).

    Raises:
        ValueError: weights, shape, classes or pooling that do not fit.
        RuntimeError: ImageNet's weights cannot be downloaded.

    Source: tf.keras 2.4.0 `applications.VGG16`.
    """
    return _vgg("vgg16", include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation)


def VGG19(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
) -> Any:
    """VGG with 19 layers of weights. Arguments, shapes and errors as for `VGG16`.

    Source: tf.keras 2.4.0 `applications.VGG19`.
    """
    return _vgg("vgg19", include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation)
