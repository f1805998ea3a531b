"""Models: `Sequential` and `Model`, and models from files and configs."""

from __future__ import annotations

from typing import Any

from torchkeras import absent
from torchkeras.layers import Input, InputLayer
from torchkeras.models.cloning import clone_model
from torchkeras.models.files import load_model, model_from_yaml, save_model
from torchkeras.models.model import Model
from torchkeras.models.sequential import Sequential
from torchkeras.models.wrapped import WrappedModel
from torchkeras.saving.model_config import make_model as model_from_config
from torchkeras.saving.model_config import model_from_json

__all__ = [
    "Input",
    "InputLayer",
    "Model",
    "Sequential",
    "WrappedModel",
    "clone_model",
    "load_model",
    "model_from_config",
    "model_from_json",
    "model_from_yaml",
    "save_model",
]


def __getattr__(name: str) -> Any:
    return absent.lookup(__name__, name)
