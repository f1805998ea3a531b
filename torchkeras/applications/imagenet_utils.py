"""Images as the networks for ImageNet want them, and the names of what they saw.

Source: Keras 1.2.2, keras_applications 1.0.8 (Keras 2.2.4) and tf.keras 2.4.0 `imagenet_utils`.
"""

from __future__ import annotations

import functools
import json
import os
from typing import Any, Final

import numpy as np
import torch

from torchkeras import config
from torchkeras.applications.assembling import obtain_input_shape
from torchkeras.layers.legacy_values import data_format as former_format
from torchkeras.utils.download import get_file

CLASS_INDEX_PATH: Final = "https://storage.googleapis.com/download.tensorflow.org/data/imagenet_class_index.json"
CLASS_INDEX_HASH: Final = "c2c37ea517e94d9795004a39431a14cb"
CLASS_INDEX: Final[dict[str, list[str]]] = {}  # filled when it is first needed

# means and deviations of ImageNet's channels: of blue, green, red from 0 to 255; of red, green, blue from 0 to 1
CAFFE_MEANS: Final = (103.939, 116.779, 123.68)
TORCH_MEANS: Final = (0.485, 0.456, 0.406)
TORCH_DEVIATIONS: Final = (0.229, 0.224, 0.225)
MODES: Final = ("caffe", "tf", "torch")

_obtain_input_shape = obtain_input_shape


def preprocess_input(x: Any, data_format: str | None = None, mode: str = "caffe", *, dim_ordering: str | None = None) -> Any:
    """Pixels from 0 to 255 in the range that a network was trained on.

    An array of floats is changed in place, as in Keras; a tensor is not.

    Args:
        x: One image or a batch of them, red first: an array, a tensor or a symbolic tensor.
        data_format: Where the channels are; `None`: the global setting.
        mode: "caffe": blue first, ImageNet's means taken off; "tf": from -1 to 1; "torch": from 0 to 1, then ImageNet's means taken off
            and divided by its deviations.
        dim_ordering: Keras 1's word for `data_format`: "th", "tf" or "default".

    Shape: (batch, rows, columns, 3) or (rows, columns, 3), or with the channels first -> the same.

    Raises:
        ValueError: another mode or data format.
    """
    if mode not in MODES:
        raise ValueError(f"preprocess_input takes the modes {list(MODES)}, but got {mode!r}.")
    # Keras 1 gave the format by position, too
    first = config.normalize_data_format(former_format(dim_ordering or data_format)) == "channels_first"
    tensor = isinstance(x, torch.Tensor)
    if not tensor:
        x = np.asarray(x)
        x = x if np.issubdtype(x.dtype, np.floating) else x.astype(config.floatx())
    elif not x.dtype.is_floating_point:
        x = x.to(config.float_dtype())
    if mode == "tf":
        if tensor:
            return x / 127.5 - 1.0
        x /= 127.5
        x -= 1.0
        return x
    axis = x.ndim - 3 if first else x.ndim - 1
    shape = [-1 if number == axis else 1 for number in range(x.ndim)]
    if tensor:
        return _standardized(x, axis, shape, mode)
    if mode == "torch":
        x /= 255.0
        x -= np.reshape(TORCH_MEANS, shape).astype(x.dtype)
        x /= np.reshape(TORCH_DEVIATIONS, shape).astype(x.dtype)
        return x
    x = np.flip(x, axis)
    x -= np.reshape(CAFFE_MEANS, shape).astype(x.dtype)
    return x


def _standardized(x: torch.Tensor, axis: int, shape: list[int], mode: str) -> torch.Tensor:
    def channels(values: tuple[float, ...]) -> torch.Tensor:
        return torch.tensor(values, dtype=x.dtype, device=x.device).reshape(shape)

    if mode == "torch":
        return (x / 255.0 - channels(TORCH_MEANS)) / channels(TORCH_DEVIATIONS)
    # a selection: torch.flip and a negative step are no operations that shapes of every kind can be told of
    return torch.cat([x.narrow(axis, place, 1) for place in (2, 1, 0)], dim=axis) - channels(CAFFE_MEANS)


def decode_predictions(preds: Any, top: int = 5, *, class_index: str | os.PathLike[str] | None = None) -> list[list[tuple[str, str, Any]]]:
    """The likeliest classes of ImageNet, with their names.

    Args:
        preds: Probabilities.
        top: How many.
        class_index: A file such as Keras' `imagenet_class_index.json`; `None`: that one, from the cache or Keras' server.

    Shape: preds (batch, 1000) -> a list of `top` tuples (WordNet id, name, probability) for each row.

    Raises:
        ValueError: predictions of another shape.
        RuntimeError: the file of names cannot be downloaded.
    """
    scores = preds.detach().cpu().numpy() if isinstance(preds, torch.Tensor) else np.asarray(preds)
    if scores.ndim != 2 or scores.shape[1] != 1000:
        raise ValueError(f"decode_predictions takes predictions of the shape (batch, 1000), but got {scores.shape}.")
    names = _names() if class_index is None else _read(os.fspath(class_index))
    found = []
    for row in scores:
        places = row.argsort()[-top:][::-1]
        # sorted once more, as Keras does, which puts equal ones in the order of their places from the end
        found.append(sorted(((*names[str(place)], row[place]) for place in places), key=lambda one: one[2], reverse=True))
    return found  # type: ignore[return-value]


def _names() -> dict[str, list[str]]:
    if not CLASS_INDEX:
        try:
            path = get_file("imagenet_class_index.json", CLASS_INDEX_PATH, cache_subdir="models", file_hash=CLASS_INDEX_HASH)
        except RuntimeError as error:
            raise RuntimeError(f"decode_predictions needs the names of ImageNet's classes. {error} Or give class_index='path/to/it.json'.") from error
        CLASS_INDEX.update(_read(path))
    return CLASS_INDEX


@functools.lru_cache(maxsize=4)
def _read(path: str) -> dict[str, list[str]]:
    with open(path, encoding="utf-8") as file:
        return json.load(file)
