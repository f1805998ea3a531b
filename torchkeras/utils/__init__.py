"""Tools around models: data feeding, downloads, names to objects, the progress bar, seeds."""

from __future__ import annotations

from typing import Any

from torchkeras import absent
from torchkeras.random import set_random_seed
from torchkeras.registry import (
    CustomObjectScope,
    custom_object_scope,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    register_keras_serializable,
)
from torchkeras.utils import conv_utils, data_utils, generic_utils, io_utils, layer_utils, np_utils, vis_utils
from torchkeras.utils.data_utils import (
    GeneratorEnqueuer,
    OrderedEnqueuer,
    Sequence,
    SequenceEnqueuer,
    get_file,
    pack_x_y_sample_weight,
    unpack_x_y_sample_weight,
)
from torchkeras.utils.generic_utils import Progbar, deserialize_keras_object, serialize_keras_object
from torchkeras.utils.io_utils import H5Dict, HDF5Matrix, h5dict
from torchkeras.utils.np_utils import normalize, to_categorical
from torchkeras.utils.vis_utils import model_to_dot, plot_model

__all__ = [
    "CustomObjectScope",
    "GeneratorEnqueuer",
    "H5Dict",
    "HDF5Matrix",
    "OrderedEnqueuer",
    "Progbar",
    "Sequence",
    "SequenceEnqueuer",
    "conv_utils",
    "custom_object_scope",
    "data_utils",
    "deserialize_keras_object",
    "generic_utils",
    "get_custom_objects",
    "get_file",
    "get_registered_name",
    "get_registered_object",
    "h5dict",
    "io_utils",
    "layer_utils",
    "model_to_dot",
    "normalize",
    "np_utils",
    "pack_x_y_sample_weight",
    "plot_model",
    "register_keras_serializable",
    "serialize_keras_object",
    "set_random_seed",
    "to_categorical",
    "unpack_x_y_sample_weight",
    "vis_utils",
]


def __getattr__(name: str) -> Any:
    return getattr(layer_utils, name) if name in ("get_source_inputs", "print_summary") else absent.lookup(__name__, name)
