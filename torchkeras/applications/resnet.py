"""ResNet (V1): bottlenecks of 1x1, 3x3 and 1x1 convolutions beside a shortcut.

Two sets of names: `res2a_branch2a` of Keras 1 and 2, `conv2_block1_1_conv` of tf.keras. They are two networks, too: the former has
the branch before the shortcut, other epsilons and initializers.

Source: He et al. (2015), arXiv:1512.03385; names as in Keras 1.2.2, 2.2.4 and tf.keras 2.4.0.
"""

from __future__ import annotations

import string
from typing import Any, Final

from torchkeras import layers
from torchkeras.applications import imagenet_utils
from torchkeras.applications.assembling import (
    added,
    channel_axis,
    check_weights,
    finished,
    image_input,
    obtain_input_shape,
    pooled,
    release,
    standard_file,
)
from torchkeras.applications.imagenet_utils import decode_predictions

__all__ = ["ResNet50", "ResNet101", "ResNet152", "decode_predictions", "preprocess_input"]

WIDTHS: Final = (64, 128, 256, 512)
DEPTHS: Final = {"resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3), "resnet152": (3, 8, 36, 3)}
EPSILON: Final = 1.001e-5


def preprocess_input(x: Any, data_format: str | None = None, *, dim_ordering: str | None = None) -> Any:
    """Pixels as ResNet wants them: blue first, ImageNet's means taken off; see `imagenet_utils.preprocess_input`."""
    return imagenet_utils.preprocess_input(x, data_format, "caffe", dim_ordering=dim_ordering)


class _Former:
    """Stem, blocks and classifier of Keras 1 and 2."""

    def __init__(self) -> None:
        self.keras1 = release() == "keras1"
        self.initializer = "glorot_uniform" if self.keras1 else "he_normal"

    def conv(self, x: Any, width: int, size: int, stage: str, strides: int = 1) -> Any:
        x = layers.Conv2D(
            width,
            kernel_size=(size, size),
            strides=(strides, strides),
            padding="same" if size == 3 else "valid",
            kernel_initializer=self.initializer,
            name=f"res{stage}" if stage[0].isdigit() else stage,
        )(x)
        return layers.BatchNormalization(axis=channel_axis(), name=f"bn{stage}" if stage[0].isdigit() else f"bn_{stage}")(x)

    def stem(self, x: Any) -> Any:
        x = layers.ZeroPadding2D((3, 3), name=None if self.keras1 else "conv1_pad")(x)
        x = layers.Activation("relu")(self.conv(x, 64, 7, "conv1", 2))
        if not self.keras1:
            x = layers.ZeroPadding2D((1, 1), name="pool1_pad")(x)
        return layers.MaxPooling2D((3, 3), strides=(2, 2))(x)

    def block(self, x: Any, width: int, stage: int, number: int) -> Any:
        name = f"{stage}{string.ascii_lowercase[number]}_branch"
        strides = 2 if stage > 2 and number == 0 else 1
        branch = layers.Activation("relu")(self.conv(x, width, 1, f"{name}2a", strides))
        branch = layers.Activation("relu")(self.conv(branch, width, 3, f"{name}2b"))
        branch = self.conv(branch, 4 * width, 1, f"{name}2c")
        shortcut = self.conv(x, 4 * width, 1, f"{name}1", strides) if number == 0 else x
        return layers.Activation("relu")(added([branch, shortcut]))

    def end(self, x: Any, include_top: bool, classes: int, activation: Any, pooling: str | None) -> Any:
        if self.keras1:
            x = layers.AveragePooling2D((7, 7), name="avg_pool")(x)
        if not include_top:
            return pooled(x, pooling)
        x = layers.Flatten()(x) if self.keras1 else layers.GlobalAveragePooling2D(name="avg_pool")(x)
        return layers.Dense(classes, activation=activation, name="fc1000")(x)


class _Present:
    """Stem, blocks and classifier of tf.keras."""

    def conv(self, x: Any, width: int, size: int, name: str, strides: int = 1) -> Any:
        x = layers.Conv2D(width, size, strides=strides, padding="same" if size == 3 else "valid", name=f"{name}_conv")(x)
        return layers.BatchNormalization(axis=channel_axis(), epsilon=EPSILON, name=f"{name}_bn")(x)

    def stem(self, x: Any) -> Any:
        x = layers.ZeroPadding2D(((3, 3), (3, 3)), name="conv1_pad")(x)
        x = layers.Activation("relu", name="conv1_relu")(self.conv(x, 64, 7, "conv1", 2))
        x = layers.ZeroPadding2D(((1, 1), (1, 1)), name="pool1_pad")(x)
        return layers.MaxPooling2D(3, strides=2, name="pool1_pool")(x)

    def block(self, x: Any, width: int, stage: int, number: int) -> Any:
        name = f"conv{stage}_block{number + 1}"
        strides = 2 if stage > 2 and number == 0 else 1
        shortcut = self.conv(x, 4 * width, 1, f"{name}_0", strides) if number == 0 else x
        branch = layers.Activation("relu", name=f"{name}_1_relu")(self.conv(x, width, 1, f"{name}_1", strides))
        branch = layers.Activation("relu", name=f"{name}_2_relu")(self.conv(branch, width, 3, f"{name}_2"))
        branch = self.conv(branch, 4 * width, 1, f"{name}_3")
        return layers.Activation("relu", name=f"{name}_out")(added([shortcut, branch], f"{name}_add"))

    def end(self, x: Any, include_top: bool, classes: int, activation: Any, pooling: str | None) -> Any:
        if not include_top:
            return pooled(x, pooling, names=True)
        x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
        return layers.Dense(classes, activation=activation, name="predictions")(x)


def _resnet(
    name: str, include_top: bool, weights: Any, input_tensor: Any, input_shape: Any, pooling: str | None, classes: int, activation: Any
) -> Any:
    who = name.replace("resnet", "ResNet")
    check_weights(who, weights, include_top, classes, activation)
    # only ResNet50 was in Keras 1 and 2; the larger ones have one form
    form: Any = _Former() if name == "resnet50" and release() != "tf.keras" else _Present()
    least = 197 if release() == "keras1" else 32
    image = image_input(input_tensor, obtain_input_shape(input_shape, 224, least, None, include_top, weights, who))
    x = form.stem(image)
    for stage, (width, depth) in enumerate(zip(WIDTHS, DEPTHS[name], strict=True), 2):
        for number in range(depth):
            x = form.block(x, width, stage, number)
    x = form.end(x, include_top, classes, activation, pooling)
    return finished(name, image, input_tensor, x, weights, standard_file(name, include_top))


def ResNet50(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
) -> Any:
    """ResNet with 50 layers of weights.

    Args:
        include_top: Whether it ends with the classifier.
        weights: "imagenet" (downloaded into ~/.keras/models), `None` (random) or the path of a file of weights.
        input_tensor: A symbolic tensor to start from.
        input_shape: Of one image; fixed with the classifier and ImageNet's weights.
        pooling: Without the classifier: `None`, "avg" or "max".
        classes: Of the classifier.
        classifier_activation: Of the classifier; `None` gives logits.

    Shape: (batch, 224, 224, 3) -> (batch, classes); without the classifier (batch, rows, columns, 3) -> (batch, rows/32, columns/32, 2048).

    Raises:
        ValueError: weights, shape, classes or pooling that do not fit.
        RuntimeError: ImageNet's weights cannot be downloaded.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `applications.ResNet50`, whose names and details differ: the chosen release's.
    """
    return _resnet("resnet50", include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation)


def ResNet101(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
) -> Any:
    """ResNet with 101 layers of weights. Arguments, shapes and errors as for `ResNet50`.

    Source: tf.keras 2.4.0 `applications.ResNet101`.
    """
    return _resnet("resnet101", include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation)


def ResNet152(
    include_top: bool = True,
    weights: Any = "imagenet",
    input_tensor: Any = None,
    input_shape: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
) -> Any:
    """ResNet with 152 layers of weights. Arguments, shapes and errors as for `ResNet50`.

    Source: tf.keras 2.4.0 `applications.ResNet152`.
    """
    return _resnet("resnet152", include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation)
