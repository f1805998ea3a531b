"""Module paths of Keras releases that are no modules here: the names that ported code takes from them, and where they live."""

from __future__ import annotations

from typing import Final

_LAYERS: Final = "layers"
_TOPOLOGY: Final = {
    "Container": "graph.network:Network",
    "Input": "layers:Input",
    "InputLayer": "layers:InputLayer",
    "InputSpec": "layers:InputSpec",
    "Layer": "layers:Layer",
    "Merge": "layers:Merge",
    "Network": "graph.network:Network",
    "Node": "layers.symbolic:Node",
    "get_source_inputs": "models.sequential:sources",
    "merge": "layers:merge",
}
_TRAINING: Final = {"Model": "models:Model", "make_batches": "porting.refused:make_batches"}

# path below `keras` -> name -> "module:name" below `torchkeras`
VIRTUAL: Final[dict[str, dict[str, str]]] = {
    "engine": {**_TOPOLOGY, **_TRAINING},
    "engine.base_layer": _TOPOLOGY,
    "engine.input_layer": {"Input": "layers:Input", "InputLayer": "layers:InputLayer"},
    "engine.network": {"Network": "graph.network:Network"},
    "engine.sequential": {"Sequential": "models:Sequential"},
    "engine.topology": _TOPOLOGY,
    "engine.training": _TRAINING,
    "initializations": {
        "get": "initializers:get",
        **{name: f"porting.initializations:{name}" for name in ("get_fans", "uniform", "normal", "zero", "one", "identity", "orthogonal")},
        **{name: f"porting.initializations:{name}" for name in ("glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_uniform")},
    },
    "legacy": {},
    "legacy.layers": {
        name: f"layers:{name}"
        for name in ("AtrousConvolution1D", "AtrousConvolution2D", "Highway", "MaxoutDense", "Merge", "merge", "RNN", "ConvRNN2D")
    },
}

# path below `keras` -> path below `torchkeras`, where the two differ
MOVED: Final[dict[str, str]] = {
    "initializers.initializers_v2": "initializers",
    "layers.experimental.preprocessing": "layers.experimental.preprocessing",
    "layers.recurrent_v2": "layers.recurrent",
    "utils.visualize_util": "utils.vis_utils",
}

# names that a module here lacks but a release had there: path -> name -> "module:name"
ADDED: Final[dict[str, dict[str, str]]] = {
    "models": {"Graph": "porting.refused:Graph"},
    "layers.core": {name: f"layers:{name}" for name in ("Highway", "Merge", "MaxoutDense", "TimeDistributedDense")},
    "layers.advanced_activations": {name: f"layers:{name}" for name in ("ParametricSoftplus", "SReLU")},
    "layers.convolutional": {
        name: f"layers:{name}"
        for name in ("AtrousConv1D", "AtrousConv2D", "AtrousConvolution1D", "AtrousConvolution2D", "Deconv2D", "Deconvolution2D", "SeparableConv2D")
    },
}
