"""Module paths of Keras releases that are no modules here: the names that ported code takes from them, and where they live."""

from __future__ import annotations

from typing import Final

from torchkeras.absent import NAMES

_LAYERS: Final = "layers"
_TOPOLOGY: Final = {
    "Container": "graph.network:Network",
    "Input": "layers:Input",
    "InputLayer": "layers:InputLayer",
    "InputSpec": "layers:InputSpec",
    "Layer": "layers:Layer",
    "Merge": "layers:Merge",
    "Network": "graph.network:Network",
    "Node": "layers.nodes:Node",
    "get_source_inputs": "models.sequential:sources",
    "merge": "layers:merge",
    **{name: f"porting.refused:{name}" for name in ("object_list_uid", "to_list")},
}
_LOOP: Final = (
    *("batch_shuffle", "check_array_lengths", "check_loss_and_target_compatibility", "collect_metrics", "make_batches", "slice_X"),
    *("standardize_class_weights", "standardize_input_data", "standardize_sample_or_class_weights", "standardize_sample_weights"),
    *("standardize_weights", "weighted_objective"),
)
_TRAINING: Final = {
    "Model": "models:Model",
    "GeneratorEnqueuer": "utils.enqueuers:GeneratorEnqueuer",
    **{name: f"porting.refused:{name}" for name in _LOOP},
}
_FILES: Final = (
    *("HDF5_OBJECT_HEADER_LIMIT", "load_attributes_from_hdf5_group", "load_weights_from_hdf5_group", "load_weights_from_hdf5_group_by_name"),
    *("pickle_model", "preprocess_weights_for_loading", "save_attributes_to_hdf5_group", "save_weights_to_hdf5_group", "unpickle_model"),
)
_SHAPES: Final = ("conv_input_length", "conv_output_length", "convert_kernel", "deconv_length", "normalize_padding", "normalize_tuple")
_KERNELS: Final = {
    name: f"porting.refused:{name}" for name in ("convert_all_kernels_in_model", "convert_dense_weights_data_format", "convert_kernel")
}
_UTILS: Final = {
    **_KERNELS,
    "get_source_inputs": "models.sequential:sources",
    "multi_gpu_model": "porting.refused:multi_gpu_model",
    "print_summary": "graph.summary:print_summary",
}

# modules of architectures that are not here: whose pixels they take, and their names
_ARCHITECTURES: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "efficientnet": ("unscaled", tuple(f"EfficientNetB{number}" for number in range(8))),
    "inception_resnet_v2": ("inception_v3", ("InceptionResNetV2",)),
    "mobilenet_v2": ("mobilenet", ("MobileNetV2",)),
    "mobilenetv2": ("mobilenet", ("MobileNetV2",)),
    "nasnet": ("mobilenet", ("NASNetLarge", "NASNetMobile")),
    "resnet_v2": ("mobilenet", ("ResNet50V2", "ResNet101V2", "ResNet152V2")),
}

# path below `keras` -> name -> "module:name" below `torchkeras`; "absent:path.name": a name that says why it cannot be had
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
    }
    | {"Recurrent": "layers:RNN", "ConvRecurrent2D": "layers:ConvRNN2D"},
    "utils.layer_utils": {
        **_UTILS,
        "count_params": "graph.summary:parameter_counts",
        "count_total_params": "graph.summary:parameter_counts",
        "layer_from_config": "layers:deserialize",
    },
    "engine.saving": {
        **{name: f"models:{name}" for name in ("load_model", "save_model", "model_from_config", "model_from_json", "model_from_yaml")},
        **{name: f"porting.refused:{name}" for name in _FILES},
    },
    "callbacks.experimental": {"BackupAndRestore": "callbacks:BackupAndRestore"},
    "experimental": {
        **{name: f"optimizers.schedules:{name}" for name in ("CosineDecay", "CosineDecayRestarts", "LinearCosineDecay", "NoisyLinearCosineDecay")},
        **{name: f"absent:experimental.{name}" for name in NAMES["experimental"]},
    },
    **{
        f"applications.{module}": {
            **{name: f"absent:applications.{name}" for name in names},
            "decode_predictions": "applications.imagenet_utils:decode_predictions",
            "preprocess_input": f"applications.{like}:preprocess_input",
        }
        for module, (like, names) in _ARCHITECTURES.items()
    },
    "utils.conv_utils": {name: f"porting.refused:{name}" for name in _SHAPES},
    "utils.multi_gpu_utils": {"multi_gpu_model": "porting.refused:multi_gpu_model"},
}

# path below `keras` -> path below `torchkeras`, where the two differ
MOVED: Final[dict[str, str]] = {
    "initializers.initializers_v2": "initializers",
    "mixed_precision.experimental": "mixed_precision",
    "layers.experimental.preprocessing": "layers.experimental.preprocessing",
    "layers.recurrent_v2": "layers.recurrent",
    "utils.visualize_util": "utils.vis_utils",
}

_RECURRENT: Final = {
    "Recurrent": "layers:RNN",
    "ConvRecurrent2D": "layers:ConvRNN2D",
    "time_distributed_dense": "porting.refused:time_distributed_dense",
}
_DECONVOLUTIONS: Final = {"Deconv3D": "layers:Conv3DTranspose", "Deconvolution3D": "layers:Conv3DTranspose"}

# names that a module here lacks but a release had there: path -> name -> "module:name"
ADDED: Final[dict[str, dict[str, str]]] = {
    "models": {"Graph": "porting.refused:Graph", "Input": "layers:Input", "InputLayer": "layers:InputLayer"},
    "utils": _UTILS,
    "utils.np_utils": {name: f"porting.refused:{name}" for name in ("conv_input_length", "conv_output_length", "convert_kernel")},
    "utils.data_utils": {name: f"porting.refused:{name}" for name in ("get_index", "init_pool", "init_pool_generator", "next_sample")},
    "layers": {**_RECURRENT, **_DECONVOLUTIONS},
    "layers.recurrent": {name: place for name, place in _RECURRENT.items() if name != "ConvRecurrent2D"},
    "layers.convolutional_recurrent": {"ConvRecurrent2D": "layers:ConvRNN2D"},
    "layers.core": {name: f"layers:{name}" for name in ("Highway", "Merge", "MaxoutDense", "TimeDistributedDense")},
    "layers.advanced_activations": {name: f"layers:{name}" for name in ("ParametricSoftplus", "SReLU")},
    "layers.convolutional": {
        name: f"layers:{name}"
        for name in ("AtrousConv1D", "AtrousConv2D", "AtrousConvolution1D", "AtrousConvolution2D", "Deconv2D", "Deconvolution2D", "SeparableConv2D")
    }
    | _DECONVOLUTIONS,
}
