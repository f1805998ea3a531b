"""Keras' module `applications.vgg19`."""

from __future__ import annotations

from typing import Any

from torchkeras.applications import imagenet_utils
from torchkeras.applications.imagenet_utils import decode_predictions
from torchkeras.applications.vgg import VGG19

__all__ = ["VGG19", "decode_predictions", "preprocess_input"]


def preprocess_input(x: Any, data_format: str | None = None, *, dim_ordering: str | None = None) -> Any:
    """Pixels as VGG19 wants them: blue first, ImageNet's means taken off; see `imagenet_utils.preprocess_input`."""
    return imagenet_utils.preprocess_input(x, data_format, "caffe", dim_ordering=dim_ordering)
