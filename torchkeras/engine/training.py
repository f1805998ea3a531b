"""Keras' module `engine.training`: the model; the helpers of its loop say what to use instead."""

from __future__ import annotations

from typing import Any

from torchkeras import absent
from torchkeras.models import Model
from torchkeras.utils.enqueuers import GeneratorEnqueuer

__all__ = [
    "GeneratorEnqueuer",
    "Model",
]


def __getattr__(name: str) -> Any:
    return absent.lookup(__name__, name)
