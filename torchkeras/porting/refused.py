"""Names of Keras that are importable, but say on use why they cannot be had."""

from __future__ import annotations

from typing import Any, Final

from torchkeras.absent import Absent


class Graph:
    """Keras 0.x's Graph model, which Keras 1.0 dropped.

    Raises:
        NotImplementedError: always.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError(
            "Keras 1.0 dropped the Graph model. Write add_input as Input(shape), add_node as layer(tensors) or merge([...]), "
            "and add_output as Model(input=[...], output=[...])."
        )


_LOOP = "it is internal to Keras' training loop. Use fit(), train_on_batch() or torch.utils.data"
_FILES = "it is internal to Keras' files. Use load_model(), save() and load_weights()"
_KERNELS = "kernels of Theano are turned round when a file is read. Use load_weights()"
_SHAPES = "shapes come from running a layer. Use layer.compute_output_shape()"
_THREADS = "it is internal to Keras' worker processes. Use Sequence with fit(workers=...), or a DataLoader"
REASONS: Final[dict[str, str]] = {
    **dict.fromkeys(
        (
            *("batch_shuffle", "check_array_lengths", "check_loss_and_target_compatibility", "collect_metrics", "make_batches", "slice_X"),
            *("standardize_class_weights", "standardize_input_data", "standardize_sample_or_class_weights", "standardize_sample_weights"),
            *("standardize_weights", "weighted_objective"),
        ),
        _LOOP,
    ),
    **dict.fromkeys(("convert_all_kernels_in_model", "convert_kernel", "convert_dense_weights_data_format"), _KERNELS),
    **dict.fromkeys(("object_list_uid", "to_list"), "it is a helper of Keras' own graph. Write it in plain Python"),
    **dict.fromkeys(("get_index", "init_pool", "init_pool_generator", "next_sample"), _THREADS),
    **dict.fromkeys(("conv_input_length", "conv_output_length", "deconv_length", "normalize_tuple", "normalize_padding"), _SHAPES),
    **dict.fromkeys(("convert_data_format", "normalize_data_format"), "pass data_format='channels_first' or 'channels_last' as it is"),
    "time_distributed_dense": "a Dense layer works on each step. Use Dense or TimeDistributed",
    "multi_gpu_model": "one process drives one GPU. Start the script by torchrun: fit() then shares the work",
    **dict.fromkeys(
        (
            *("HDF5_OBJECT_HEADER_LIMIT", "load_attributes_from_hdf5_group", "load_weights_from_hdf5_group"),
            *("load_weights_from_hdf5_group_by_name", "pickle_model", "preprocess_weights_for_loading", "save_attributes_to_hdf5_group"),
            *("save_weights_to_hdf5_group", "unpickle_model"),
        ),
        _FILES,
    ),
}


def __getattr__(name: str) -> Any:
    if name not in REASONS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return Absent(name, REASONS[name])
