"""Keras' module `applications.vgg16`."""

from __future__ import annotations

from typing import Any

from torchkeras.applications import imagenet_utils
from torchkeras.applications.imagenet_utils import decode_predictions
from torchkeras.applications.vgg import VGG16

__all__ = ["VGG16", "decode_predictions", "preprocess_input"]


def preprocess_input(x: Any, data_format: str | None = None, *, dim_ordering: str | None = None) -> Any:
    """Pixels as VGG16 wants them: blue first, ImageNet's means taken off; see `imagenet_utils.preprocess_input`."""
    return imagenet_utils.preprocess_input(x, data_format, "caffe", dim_ordering=dim_ordering)
