"""MobileNet (V1): convolutions split into one for each channel and one across channels.

Source: Howard et al. (2017), arXiv:1704.04861; names as in Keras 2.2.4 and tf.keras 2.4.0.
"""

from __future__ import annotations

import warnings
from typing import Any, Final

from torchkeras import config, layers
from torchkeras.applications import imagenet_utils
from torchkeras.applications.assembling import check_weights, finished, image_input, obtain_input_shape, pooled, release
from torchkeras.applications.imagenet_utils import decode_predictions
from torchkeras.applications.weight_files import mobilenet_file

__all__ = ["MobileNet", "decode_predictions", "preprocess_input"]

# width and stride of each block
BLOCKS: Final = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))
SIZES: Final = (128, 160, 192, 224)
ALPHAS: Final = (0.25, 0.5, 0.75, 1.0)


def preprocess_input(x: Any, data_format: str | None = None) -> Any:
    """Pixels as MobileNet wants them: from -1 to 1."""
    return imagenet_utils.preprocess_input(x, data_format, "tf")


def _active(x: Any, name: str) -> Any:
    x = layers.BatchNormalization(axis=1 if config.image_data_format() == "channels_first" else -1, name=f"{name}_bn")(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(x)


def _padded(x: Any, name: str) -> Any:
    """A row and a column of zeros at the far sides, before a stride of 2."""
    return layers.ZeroPadding2D(((0, 1), (0, 1)), name=name)(x)


def _block(x: Any, width: int, strides: int, depth_multiplier: int, number: int) -> Any:
    if strides != 1:
        x = _padded(x, f"conv_pad_{number}")
    x = layers.DepthwiseConv2D(
        (3, 3),
        strides=(strides, strides),
        padding="same" if strides == 1 else "valid",
        depth_multiplier=depth_multiplier,
        use_bias=False,
        name=f"conv_dw_{number}",
    )(x)
    x = layers.Conv2D(width, kernel_size=(1, 1), padding="same", use_bias=False, name=f"conv_pw_{number}")(_active(x, f"conv_dw_{number}"))
    return _active(x, f"conv_pw_{number}")


def _classifier(x: Any, width: int, dropout: float, classes: int, activation: Any) -> Any:
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Reshape((1, 1, width) if config.image_data_format() == "channels_last" else (width, 1, 1), name="reshape_1")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    x = layers.Conv2D(classes, kernel_size=(1, 1), padding="same", name="conv_preds")(x)
    x = layers.Reshape((classes,), name="reshape_2")(x)
    return layers.Activation(activation, name="predictions" if release() == "tf.keras" else "act_softmax")(x)


def _check_trained(alpha: float, depth_multiplier: int) -> None:
    if depth_multiplier != 1:
        raise ValueError(f"MobileNet: weights='imagenet' needs depth_multiplier=1, but got {depth_multiplier}.")
    if alpha not in ALPHAS:
        raise ValueError(f"MobileNet: weights='imagenet' has the widths alpha={list(ALPHAS)}, but got {alpha}.")


def MobileNet(
    input_shape: Any = None,
    alpha: float = 1.0,
    depth_multiplier: int = 1,
    dropout: float = 1e-3,
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
) -> Any:
    """MobileNet of a width.

    Args:
        input_shape: Of one image; with ImageNet's weights a square of 128, 160, 192 or 224.
        alpha: Factor on the number of channels of every layer.
        depth_multiplier: Channels that each depthwise convolution makes of one.
        dropout: Fraction 0-1 dropped before the classifier.
        include_top: Whether it ends with the classifier.
        weights: "imagenet" (downloaded into ~/.keras/models), `None` (random) or the path of a file of weights.
        input_tensor: A symbolic tensor to start from.
        pooling: Without the classifier: `None`, "avg" or "max".
        classes: Of the classifier.
        classifier_activation: Of the classifier; `None` gives logits.

    Shape: (batch, 224, 224, 3) -> (batch, classes); without the classifier (batch, rows, columns, 3) -> (batch, rows/32, columns/32, 1024 alpha).

    Raises:
        ValueError: weights, shape, classes, width or pooling that do not fit.
        RuntimeError: ImageNet's weights cannot be downloaded.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `applications.MobileNet`.
    """
    check_weights("MobileNet", weights, include_top, classes, classifier_activation)
    last = config.image_data_format() == "channels_last"
    sides = None if input_shape is None else tuple(input_shape)[:2] if last else tuple(input_shape)[1:]
    size = sides[0] if sides is not None and sides[0] == sides[-1] and sides[0] in SIZES else 224
    shape = obtain_input_shape(input_shape, size, 32, None, include_top, weights, "MobileNet")
    rows, columns = shape[:2] if last else shape[1:]
    if weights == "imagenet":
        _check_trained(alpha, depth_multiplier)
        if rows != columns or rows not in SIZES:
            rows = 224
            warnings.warn("MobileNet: the input is no square of 128, 160, 192 or 224; the weights for 224 are loaded.", stacklevel=2)
    image = image_input(input_tensor, shape)
    width = int(32 * alpha)
    x = layers.Conv2D(width, kernel_size=(3, 3), strides=(2, 2), use_bias=False, name="conv1")(_padded(image, "conv1_pad"))
    x = _active(x, "conv1")
    for number, (channels, strides) in enumerate(BLOCKS, 1):
        width = int(channels * alpha)
        x = _block(x, width, strides, depth_multiplier, number)
    x = _classifier(x, width, dropout, classes, classifier_activation) if include_top else pooled(x, pooling)
    name = f"mobilenet_{alpha:.2f}_{rows}"
    return finished(name, image, input_tensor, x, weights, lambda: mobilenet_file(alpha, rows or 224, include_top, release()))
