"""Keras' module `engine.saving`: models from and to files; the helpers of its files say what to use instead."""

from __future__ import annotations

from typing import Any

from torchkeras import absent
from torchkeras.models import load_model, model_from_config, model_from_json, model_from_yaml, save_model

__all__ = [
    "load_model",
    "model_from_config",
    "model_from_json",
    "model_from_yaml",
    "save_model",
]


def __getattr__(name: str) -> Any:
    return absent.lookup(__name__, name)
