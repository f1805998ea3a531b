"""Names of Keras that cannot be had here: why, and what to use instead. The one table of them.

A room shows such a name as an object that says so when it is used, so that a program that imports it beside others still starts.
"""

from __future__ import annotations

from typing import Any, Final

_ARCHITECTURES: Final = (
    "only VGG, ResNet (V1), MobileNet (V1), InceptionV3, DenseNet and Xception are built here. Save the whole model in Keras by "
    "model.save('model.h5') and read it by load_model('model.h5'), or train torchvision's"
)
_COLUMNS: Final = "feature columns are TensorFlow's. Use Embedding, Normalization and Concatenate"
_STRINGS: Final = "tensors of strings are TensorFlow's. Use preprocessing.text.Tokenizer, or map the words in plain Python before fit()"
_RANDOM_IMAGES: Final = "use preprocessing.image.ImageDataGenerator, or torchvision.transforms.v2 in the data set"
_FOLDERS: Final = "use preprocessing.image.ImageDataGenerator().flow_from_directory(), or a torch DataLoader"
_TAPES: Final = "fit() scales the loss itself under mixed_precision='mixed_float16'. In a loop of your own use torch.amp.GradScaler"

_LOOP: Final = dict.fromkeys(
    (
        *("batch_shuffle", "check_array_lengths", "check_loss_and_target_compatibility", "collect_metrics", "make_batches", "slice_X"),
        *("standardize_class_weights", "standardize_input_data", "standardize_sample_or_class_weights", "standardize_sample_weights"),
        *("standardize_weights", "weighted_objective", "weighted_masked_objective"),
    ),
    "it is internal to Keras' training loop. Use fit(), train_on_batch() or torch.utils.data",
)
_FILES: Final = dict.fromkeys(
    (
        *("HDF5_OBJECT_HEADER_LIMIT", "load_attributes_from_hdf5_group", "load_weights_from_hdf5_group", "load_weights_from_hdf5_group_by_name"),
        *("pickle_model", "preprocess_weights_for_loading", "save_attributes_to_hdf5_group", "save_weights_to_hdf5_group", "unpickle_model"),
    ),
    "it is internal to Keras' files. Use load_model(), save() and load_weights()",
)
_KERNELS: Final = dict.fromkeys(
    ("convert_all_kernels_in_model", "convert_dense_weights_data_format", "convert_kernel"),
    "kernels of Theano are turned round when a file is read. Use load_weights()",
)
_SHAPES: Final = dict.fromkeys(
    ("conv_input_length", "conv_output_length", "deconv_length", "normalize_padding", "normalize_tuple"),
    "shapes come from running a layer. Use layer.compute_output_shape()",
)
_WORKERS: Final = "it is internal to Keras' worker processes. Use Sequence with fit(workers=...), or a DataLoader"
_GPUS: Final = {"multi_gpu_model": "one process drives one GPU. Start the script by torchrun: fit() then shares the work"}
_STEPS: Final = {"time_distributed_dense": "a Dense layer works on each step. Use Dense or TimeDistributed"}
_WORDS: Final = "layers take the words of Keras 1 by themselves. Hand the arguments on to super().__init__()"
_GRAPH_MODEL: Final = (
    "Keras 1.0 dropped the Graph model. Write add_input as Input(shape), add_node as layer(tensors) or merge([...]), "
    "and add_output as Model(input=[...], output=[...])"
)

# path of a module -> name -> why, and what to do
NAMES: Final[dict[str, dict[str, str]]] = {
    "applications": dict.fromkeys(
        (
            *("InceptionResNetV2", "MobileNetV2", "NASNetLarge", "NASNetMobile", "ResNet50V2", "ResNet101V2", "ResNet152V2"),
            *(f"EfficientNetB{number}" for number in range(8)),
        ),
        _ARCHITECTURES,
    ),
    "engine": _LOOP,
    "engine.training": _LOOP,
    "engine.saving": _FILES,
    "experimental": {
        "LinearModel": "write Dense(units, kernel_initializer='zeros') on the inputs joined by Concatenate",
        "PeepholeLSTMCell": "it is no cell of torch's kernels. Write it as a subclass of LSTMCell and wrap it in RNN",
        "SequenceFeatures": _COLUMNS,
        "WideDeepModel": "write Add()([linear(x), deep(x)]) in the functional form",
        "terminate_keras_multiprocessing_pools": "workers end by themselves when fit() returns, or with the DataLoader",
    },
    "layers": {"DenseFeatures": _COLUMNS, **_STEPS},
    "layers.recurrent": _STEPS,
    "layers.experimental.preprocessing": {
        **dict.fromkeys(("CategoryCrossing", "Hashing", "StringLookup", "TextVectorization"), _STRINGS),
        "IntegerLookup": "map the integers by a dict or numpy.searchsorted before fit()",
        "PreprocessingLayer": "write a Layer, and call its adapt() yourself",
        **dict.fromkeys(
            ("RandomContrast", "RandomCrop", "RandomFlip", "RandomHeight", "RandomRotation", "RandomTranslation", "RandomWidth", "RandomZoom"),
            _RANDOM_IMAGES,
        ),
    },
    "legacy.interfaces": dict.fromkeys(("generate_legacy_interface", "raise_duplicate_arg_error"), _WORDS),
    "models": {"Graph": _GRAPH_MODEL},
    "mixed_precision": {"LossScaleOptimizer": _TAPES},
    "preprocessing": {
        "image_dataset_from_directory": _FOLDERS,
        "text_dataset_from_directory": "read the files in plain Python, and use preprocessing.text.Tokenizer",
        "timeseries_dataset_from_array": "use preprocessing.sequence.TimeseriesGenerator",
    },
    "utils": {**_KERNELS, **_GPUS},
    "utils.conv_utils": {
        **_SHAPES,
        "convert_kernel": _KERNELS["convert_kernel"],
        "convert_data_format": "pass data_format='channels_first' or 'channels_last' as it is",
    },
    "utils.data_utils": dict.fromkeys(("get_index", "init_pool", "init_pool_generator", "next_sample"), _WORKERS),
    "utils.layer_utils": {**_KERNELS, **_GPUS},
    "utils.multi_gpu_utils": _GPUS,
    "utils.np_utils": {
        **{name: _SHAPES[name] for name in ("conv_input_length", "conv_output_length")},
        "convert_kernel": _KERNELS["convert_kernel"],
    },
    "preprocessing.image": {"smart_resize": "use load_img(path, target_size=...), or torch.nn.functional.interpolate"},
}
NAMES["mixed_precision.experimental"] = NAMES["mixed_precision"]
NAMES["preprocessing.image"]["image_dataset_from_directory"] = _FOLDERS
NAMES["preprocessing.text"] = {"text_dataset_from_directory": NAMES["preprocessing"]["text_dataset_from_directory"]}

# whole modules -> why, and what to do
MODULES: Final[dict[str, str]] = {
    "estimator": "estimators are TensorFlow's own way of training. Use fit()",
    "premade": "write the model in the functional form",
    "saving.saved_model": "SavedModel folders need TensorFlow. Use .h5 or .keras files",
}


class Absent:
    """A name of Keras that says, when it is used, why it cannot be had.

    Args:
        name: What it is called.
        reason: Why it cannot be had, and what to use instead.

    Raises:
        NotImplementedError: it is called, or a class is derived from it.
    """

    def __init__(self, name: str, reason: str) -> None:
        self.__name__ = name
        self.__doc__ = f"Not to be had: {reason}."
        self.reason = reason

    def _refuse(self) -> NotImplementedError:
        return NotImplementedError(f"{self.__name__} is not in torchkeras: {self.reason}.")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise self._refuse()

    def __mro_entries__(self, bases: tuple[Any, ...]) -> Any:
        raise self._refuse()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise self._refuse()

    def __repr__(self) -> str:
        return f"<{self.__name__}, which is not in torchkeras>"


def lookup(module: str, name: str) -> Absent:
    """What a module shows for a name of Keras that cannot be had.

    Args:
        module: Full name of a module of torchkeras.
        name: What was asked of it.

    Raises:
        AttributeError: Keras has no such name, either.
    """
    reasons = NAMES.get(module.partition(".")[2], {})
    if name not in reasons:
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    return Absent(name, reasons[name])
