"""Module paths of Keras releases that are no modules here: the names that ported code takes from them, and where they live."""

from __future__ import annotations

from typing import Final

from torchkeras.absent import NAMES

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
}

# path below `keras` -> path below `torchkeras`, where the two differ
MOVED: Final[dict[str, str]] = {
    "backend.common": "backend",
    "backend.tensorflow_backend": "backend",
    "engine.base_layer_v1": "engine.base_layer",
    "engine.functional": "engine.network",
    "initializers.initializers_v2": "initializers",
    "layers.recurrent_v2": "layers.recurrent",
    "mixed_precision.experimental": "mixed_precision",
    "utils.visualize_util": "utils.vis_utils",
}

# names that the codemod takes from a plainer place than Keras had them in: path -> names that `layers` or `models` has, too
PLAINER: Final[dict[str, tuple[str, ...]]] = {
    "layers": ("Input", "InputLayer", "InputSpec", "Layer", "Merge", "merge", "Highway", "MaxoutDense", "TimeDistributedDense"),
    "models": ("Model", "Sequential", "load_model", "save_model", "model_from_config", "model_from_json", "model_from_yaml"),
}
