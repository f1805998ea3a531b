"""Pixels for networks that scale them themselves (EfficientNet)."""

from __future__ import annotations

from typing import Any


def preprocess_input(x: Any, data_format: str | None = None) -> Any:
    """The same pixels, from 0 to 255: the network scales them itself.

    Source: tf.keras 2.4.0 `applications.efficientnet.preprocess_input`.
    """
    return x
