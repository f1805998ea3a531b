"""What all architectures share: the check of their arguments, the input, the ends, and the model with its weights."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from typing import Any

from torchkeras import config, generations, layers
from torchkeras.applications.weight_files import WeightFile, imagenet_file
from torchkeras.models import Model
from torchkeras.models.sequential import sources

Shape = tuple[int | None, ...]


def release() -> str:
    """Whose names and details an architecture takes: "keras1", "keras2" or "tf.keras"."""
    return generations.choose("applications.names")


def channel_axis() -> int:
    """Where images have their channels, the batch axis counted."""
    return 3 if config.image_data_format() == "channels_last" else 1


def check_weights(who: str, weights: Any, include_top: bool, classes: int, activation: Any = "softmax") -> None:
    """Refuse weights that are nowhere, and ImageNet's for other classes.

    Raises:
        ValueError: neither `None`, "imagenet" nor a file; or "imagenet" with another number of classes or another activation.
    """
    if not (weights in (None, "imagenet") or os.path.exists(weights)):
        raise ValueError(f"{who}: weights must be None (random), 'imagenet' or the path of a file, but there is no file {weights!r}.")
    if weights != "imagenet" or not include_top:
        return
    if classes != 1000:
        raise ValueError(f"{who}: weights='imagenet' with include_top=True has 1000 classes, but got classes={classes}. Give include_top=False.")
    if getattr(activation, "__name__", activation) not in ("softmax", "linear", None):
        raise ValueError(f"{who}: weights='imagenet' takes classifier_activation 'softmax' or None, but got {activation!r}.")


def obtain_input_shape(
    input_shape: Any,
    default_size: int,
    min_size: int,
    data_format: str | None = None,
    require_flatten: bool = True,
    weights: Any = None,
    who: str = "This model",
) -> Shape:
    """The shape of one image: the caller's, checked, or the architecture's own.

    Args:
        input_shape: The caller's, or `None`.
        default_size: Height and width that the architecture is meant for, pixels.
        min_size: The least that it can take.
        data_format: Where the channels are; `None`: the global setting.
        require_flatten: Whether a classifier follows, which needs to know the size.
        weights: "imagenet" fixes three channels and, with a classifier, the size.
        who: Of the error messages.

    Raises:
        ValueError: not three numbers, too small, of other channels than the weights', or unknown where a classifier follows.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `obtain_input_shape`.
    """
    last = config.normalize_data_format(data_format) == "channels_last"

    def image(channels: int | None, rows: int | None, columns: int | None) -> Shape:
        return (rows, columns, channels) if last else (channels, rows, columns)

    given = None if not input_shape else tuple(input_shape)
    if given is not None and len(given) != 3:
        raise ValueError(f"{who}: input_shape must be three integers, but got {given}.")
    channels, sides = (3, (None, None)) if given is None else (given[-1], given[:2]) if last else (given[0], given[1:])
    trained = weights == "imagenet"
    default = image(3 if trained else channels, default_size, default_size)
    if trained and require_flatten:
        if given not in (None, default):
            raise ValueError(f"{who}: with include_top=True and weights='imagenet', input_shape must be {default}, but got {given}.")
        return default
    if given is None:
        return default if require_flatten else image(3, None, None)
    if trained and channels != 3:
        raise ValueError(f"{who}: weights='imagenet' needs 3 channels, but got input_shape={given}.")
    if channels not in (1, 3):
        warnings.warn(f"{who} usually takes 1 or 3 channels, but got input_shape={given}.", stacklevel=4)
    if any(side is not None and side < min_size for side in sides):
        raise ValueError(f"{who}: images must be at least {min_size}x{min_size}, but got input_shape={given}.")
    if require_flatten and None in given:
        raise ValueError(f"{who}: include_top=True needs an input_shape that is known, but got {given}.")
    return given


def image_input(input_tensor: Any, input_shape: Shape) -> Any:
    """The symbolic image: the caller's, or a new one."""
    return layers.Input(shape=input_shape) if input_tensor is None else input_tensor


def pooled(x: Any, pooling: str | None, names: bool = False) -> Any:
    """What follows the last convolution where there is no classifier.

    Args:
        x: The features.
        pooling: `None`, "avg" or "max".
        names: Whether the release names these layers.
    """
    if pooling not in (None, "avg", "max"):
        raise ValueError(f"pooling must be None, 'avg' or 'max', but got {pooling!r}.")
    if pooling is None:
        return x
    kind = layers.GlobalAveragePooling2D if pooling == "avg" else layers.GlobalMaxPooling2D
    return kind(name=f"{pooling}_pool" if names else None)(x)


def added(tensors: list[Any], name: str | None = None) -> Any:
    """The sum of tensors, by the layer that the release has for it."""
    return layers.merge(tensors, mode="sum", name=name) if release() == "keras1" else layers.Add(name=name)(tensors)


def joined(tensors: list[Any], name: str | None = None) -> Any:
    """Tensors side by side along the channels, by the layer that the release has for it."""
    axis = channel_axis()
    if release() == "keras1":
        return layers.merge(tensors, mode="concat", concat_axis=axis, name=name)
    return layers.Concatenate(axis=axis, name=name)(tensors)


def finished(name: str, image: Any, input_tensor: Any, x: Any, weights: Any, file: Callable[[], WeightFile]) -> Any:
    """The model, with its weights.

    Args:
        name: Of the model.
        image: Its symbolic input.
        input_tensor: The caller's, whose own inputs become the model's.
        x: Its output.
        weights: `None`, "imagenet" or a path.
        file: Where ImageNet's are.
    """
    inputs: Any = image
    if input_tensor is not None:
        found = sources(input_tensor)
        inputs = found[0] if len(found) == 1 else found
    model = Model(inputs, x, name=name)
    if weights == "imagenet":
        model.load_weights(file().fetch())
    elif weights is not None:
        model.load_weights(weights)
    return model


def standard_file(name: str, include_top: bool) -> Callable[[], WeightFile]:
    """ImageNet's file of an architecture in the chosen release."""
    return lambda: imagenet_file(name, include_top, release())
