"""torchkeras: Keras programs on PyTorch, with the numbers of genuine Keras; every object an ordinary PyTorch object.

Rooms are imported when they are first asked for, so that `import torchkeras` costs next to nothing beside torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torchkeras import activations as activations
    from torchkeras import applications as applications
    from torchkeras import backend as backend
    from torchkeras import callbacks as callbacks
    from torchkeras import constraints as constraints
    from torchkeras import datasets as datasets
    from torchkeras import exporting as exporting
    from torchkeras import initializers as initializers
    from torchkeras import layers as layers
    from torchkeras import losses as losses
    from torchkeras import metrics as metrics
    from torchkeras import mixed_precision as mixed_precision
    from torchkeras import models as models
    from torchkeras import optimizers as optimizers
    from torchkeras import preprocessing as preprocessing
    from torchkeras import regularizers as regularizers
    from torchkeras import utils as utils
    from torchkeras.generations import keras_version as keras_version
    from torchkeras.generations import set_keras_version as set_keras_version
    from torchkeras.generations import using_keras_version as using_keras_version
    from torchkeras.layers import Input as Input
    from torchkeras.models import Model as Model
    from torchkeras.models import Sequential as Sequential

__version__ = "0.1.0"

ROOMS = (
    "activations",
    "applications",
    "backend",
    "callbacks",
    "constraints",
    "datasets",
    "engine",
    "exporting",
    "generations",
    "initializations",
    "initializers",
    "layers",
    "legacy",
    "losses",
    "metrics",
    "mixed_precision",
    "models",
    "objectives",
    "optimizers",
    "preprocessing",
    "regularizers",
    "saving",
    "training",
    "utils",
    "wrappers",
)
# name -> the room that has it
NAMES = {
    "Input": "layers",
    "install_as_keras": "porting",
    "load_ipython_extension": "porting",
    "uninstall_as_keras": "porting",
    "unload_ipython_extension": "porting",
    "Model": "models",
    "Sequential": "models",
    "keras_version": "generations",
    "set_keras_version": "generations",
    "using_keras_version": "generations",
}

__all__ = ["Input", "Model", "Sequential", "__version__", "keras_version", "set_keras_version", "using_keras_version"]


def __getattr__(name: str) -> Any:
    if name in ROOMS:
        return importlib.import_module(f"{__name__}.{name}")
    if name in NAMES:
        return getattr(importlib.import_module(f"{__name__}.{NAMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *ROOMS, *NAMES})
