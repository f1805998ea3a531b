"""Layers by the modules that Keras kept them in, where those are not the ones that define them here."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Final

_DECONVOLUTIONS: Final = {"Deconv3D": "Conv3DTranspose", "Deconvolution3D": "Conv3DTranspose"}
# module of the room -> name there -> name in the room
PLACES: Final[dict[str, dict[str, str]]] = {
    "advanced_activations": {name: name for name in ("ParametricSoftplus", "SReLU")},
    "convolutional": {
        name: name
        for name in (
            *("AtrousConv1D", "AtrousConv2D", "AtrousConvolution1D", "AtrousConvolution2D", "Deconv2D", "Deconvolution2D", "SeparableConv2D"),
            *("AveragePooling1D", "AveragePooling2D", "AveragePooling3D", "MaxPooling1D", "MaxPooling2D", "MaxPooling3D"),
        )
    }
    | _DECONVOLUTIONS,
    "core": {name: name for name in ("Highway", "MaxoutDense", "Merge", "TimeDistributedDense")},
    "recurrent": {"Recurrent": "RNN"},
}


_BASES: Final = ("InputSpec", "Layer")  # which Keras' modules of layers all had, since they imported them
_BASED: Final = ("advanced_activations", "convolutional", "core", "embeddings", "local", "noise", "normalization", "pooling", "recurrent", "wrappers")


def show(room: ModuleType) -> None:
    """Let the modules of the room show these names, once the room has all its layers.

    Args:
        room: `torchkeras.layers`.
    """
    for module, names in PLACES.items():
        for name, own in names.items():
            setattr(sys.modules[f"{room.__name__}.{module}"], name, getattr(room, own))
    for module in _BASED:
        for name in _BASES:
            setattr(sys.modules[f"{room.__name__}.{module}"], name, getattr(room, name))
