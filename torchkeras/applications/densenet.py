"""DenseNet: every layer of a block sees what all layers before it in the block gave.

Source: Huang et al. (2016), arXiv:1608.06993; names as in Keras 2.2.4 and tf.keras 2.4.0.
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

__all__ = ["DenseNet121", "DenseNet169", "DenseNet201", "decode_predictions", "preprocess_input"]

GROWTH: Final = 32
DEPTHS: Final = {"densenet121": (6, 12, 24, 16), "densenet169": (6, 12, 32, 32), "densenet201": (6, 12, 48, 32)}
EPSILON: Final = 1.001e-5


def preprocess_input(x: Any, data_format: str | None = None) -> Any:
    """Pixels as DenseNet wants them: from 0 to 1, ImageNet's means taken off, divided by its deviations."""
    return imagenet_utils.preprocess_input(x, data_format, "torch")


def _active(x: Any, bn: str, relu: str) -> Any:
    x = layers.BatchNormalization(axis=channel_axis(), epsilon=EPSILON, name=bn)(x)
    return layers.Activation("relu", name=relu)(x)


def _conv(x: Any, width: int, size: int, name: str) -> Any:
    return layers.Conv2D(width, kernel_size=size, padding="same" if size == 3 else "valid", use_bias=False, name=f"{name}_conv")(x)


def _dense_layer(x: Any, name: str) -> Any:
    new = _conv(_active(x, f"{name}_0_bn", f"{name}_0_relu"), 4 * GROWTH, 1, f"{name}_1")
    new = _conv(_active(new, f"{name}_1_bn", f"{name}_1_relu"), GROWTH, 3, f"{name}_2")
    return joined([x, new], f"{name}_concat")


def _half(x: Any, name: str) -> Any:
    width = x.shape[channel_axis()] // 2
    x = _conv(_active(x, f"{name}_bn", f"{name}_relu"), width, 1, name)
    return layers.AveragePooling2D(2, strides=2, name=f"{name}_pool")(x)


def _densenet(
    name: str, include_top: bool, weights: Any, input_tensor: Any, input_shape: Any, pooling: str | None, classes: int, activation: Any
) -> Any:
    who = name.replace("densenet", "DenseNet")
    check_weights(who, weights, include_top, classes, activation)
    image = image_input(input_tensor, obtain_input_shape(input_shape, 224, 32, None, include_top, weights, who))
    x = layers.ZeroPadding2D(((3, 3), (3, 3)))(image)
    x = layers.Conv2D(64, kernel_size=7, strides=2, use_bias=False, name="conv1/conv")(x)
    x = layers.ZeroPadding2D(((1, 1), (1, 1)))(_active(x, "conv1/bn", "conv1/relu"))
    x = layers.MaxPooling2D(3, strides=2, name="pool1")(x)
    for stage, depth in enumerate(DEPTHS[name], 2):
        for number in range(1, depth + 1):
            x = _dense_layer(x, f"conv{stage}_block{number}")
        if stage < 5:
            x = _half(x, f"pool{stage}")
    x = _active(x, "bn", "relu")
    if include_top:
        x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
        x = layers.Dense(classes, activation=activation, name="predictions" if release() == "tf.keras" else "fc1000")(x)
    else:
        x = pooled(x, pooling, names=True)
    return finished(name, image, input_tensor, x, weights, standard_file(name, include_top))


def DenseNet121(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
) -> Any:
    """DenseNet with 121 layers of weights.

    Args:
        include_top: Whether it ends with the classifier.
        weights: "imagenet" (downloaded into ~/.keras/models), `None` (random) or the path of a file of weights.
        input_tensor: A symbolic tensor to start from.
        input_shape: Of one image; fixed with the classifier and ImageNet's weights.
        pooling: Without the classifier: `None`, "avg" or "max".
        classes: Of the classifier.
        classifier_activation: Of the classifier; `None` gives logits.

    Shape: (batch, 224, 224, 3) -> (batch, classes); without the classifier (batch, rows, columns, 3) -> (batch, rows/32, columns/32, 1024).

    Raises:
        ValueError: weights, shape, classes or pooling that do not fit.
        RuntimeError: ImageNet's weights cannot be downloaded.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `applications.DenseNet121`.
    """
    return _densenet("densenet121", include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation)


def DenseNet169(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
) -> Any:
    """DenseNet with 169 layers of weights. Arguments, shapes and errors as for `DenseNet121`.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `applications.DenseNet169`.
    """
    return _densenet("densenet169", include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation)


def DenseNet201(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
) -> Any:
    """DenseNet with 201 layers of weights. Arguments, shapes and errors as for `DenseNet121`.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `applications.DenseNet201`.
    """
    return _densenet("densenet201", include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation)
