"""Models: `Sequential` and `Model`, and models from files and configs."""

from torchkeras.models.cloning import clone_model
from torchkeras.models.files import load_model, model_from_yaml, save_model
from torchkeras.models.model import Model
from torchkeras.models.sequential import Sequential
from torchkeras.models.wrapped import WrappedModel
from torchkeras.saving.model_config import make_model as model_from_config
from torchkeras.saving.model_config import model_from_json

__all__ = [
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
