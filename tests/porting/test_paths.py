"""Module paths of Keras 1 and 2 exist under torchkeras, too, with the same objects."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

from torchkeras import layers, models
from torchkeras.graph.network import Network
from torchkeras.layers import Dense, Input
from torchkeras.layers.base import Layer
from torchkeras.models import Model

PATHS = [
    ("engine", "Layer", Layer),
    ("engine.topology", "Layer", Layer),
    ("engine.topology", "Merge", layers.Merge),
    ("engine.topology", "Container", Network),
    ("engine.topology", "get_source_inputs", importlib.import_module("torchkeras.models.sequential").sources),
    ("engine.training", "Model", models.Model),
    ("engine.base_layer", "InputSpec", layers.InputSpec),
    ("engine.network", "Network", Network),
    ("engine.sequential", "Sequential", models.Sequential),
    ("engine.saving", "load_model", models.load_model),
    ("engine.input_layer", "InputLayer", layers.InputLayer),
    ("layers.core", "Merge", layers.Merge),
    ("layers.core", "MaxoutDense", layers.MaxoutDense),
    ("layers.convolutional", "AtrousConv1D", layers.AtrousConvolution1D),
    ("layers.convolutional", "Deconv3D", layers.Conv3DTranspose),
    ("layers.convolutional_recurrent", "ConvRecurrent2D", layers.ConvRNN2D),
    ("layers.recurrent", "Recurrent", layers.RNN),
    ("layers.normalization", "BatchNormalization", layers.BatchNormalization),
    ("layers.advanced_activations", "SReLU", layers.SReLU),
    ("layers.noise", "GaussianNoise", layers.GaussianNoise),
    ("layers.local", "LocallyConnected1D", layers.LocallyConnected1D),
    ("layers.wrappers", "TimeDistributed", layers.TimeDistributed),
    ("layers.embeddings", "Embedding", layers.Embedding),
    ("layers.pooling", "MaxPooling2D", layers.MaxPooling2D),
    ("layers.merge", "Concatenate", layers.Concatenate),
    ("legacy.layers", "Highway", layers.Highway),
    ("legacy.layers", "Recurrent", layers.RNN),
    ("utils.layer_utils", "layer_from_config", layers.deserialize),
    ("utils", "print_summary", importlib.import_module("torchkeras.graph.summary").print_summary),
    ("objectives", "mse", importlib.import_module("torchkeras.losses").mean_squared_error),
    ("models", "Input", layers.Input),
]


@pytest.mark.parametrize(("path", "name", "thing"), PATHS)
def test_a_path_of_keras_is_one_of_torchkeras(path: str, name: str, thing: object):
    assert getattr(importlib.import_module(f"torchkeras.{path}"), name) is thing


@pytest.mark.parametrize("path", ["np_utils", "generic_utils", "vis_utils", "data_utils", "io_utils", "layer_utils", "conv_utils", "multi_gpu_utils"])
def test_utilities_are_modules(path: str):
    assert importlib.import_module(f"torchkeras.utils.{path}").__doc__


def test_count_params_counts_weights_once():
    layer = Dense(3)
    x = Input((4,))
    Model(x, layer(x))
    count = importlib.import_module("torchkeras.utils.layer_utils")
    assert count.count_params(layer.weights) == 15
    assert count.count_params([*layer.weights, *layer.trainable_weights]) == 15
    layer.trainable = False
    assert count.count_total_params([layer, layer, layers.Flatten()]) == (0, 15)
    assert count.count_total_params([layer], {layer}) == (0, 0)
    assert count.count_params([np.zeros((2, 5))]) == 10


def test_the_decorators_of_keras_2_leave_a_layer_as_it_is():
    interfaces = importlib.import_module("torchkeras.legacy.interfaces")

    class Mine(Dense):
        @interfaces.legacy_dense_support
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)

    with pytest.warns(DeprecationWarning, match=r"Write Dense\("):
        assert Mine(output_dim=3, init="zero").units == 3
    with pytest.raises(NotImplementedError, match="generate_legacy_interface is not in torchkeras: layers take the words of Keras 1"):
        interfaces.generate_legacy_interface()
    with pytest.raises(AttributeError, match="no attribute 'other'"):
        _ = interfaces.other


@pytest.mark.parametrize(
    ("path", "name"), [("engine.training", "make_batches"), ("engine.saving", "pickle_model"), ("utils.conv_utils", "conv_output_length")]
)
def test_what_was_internal_says_what_to_use(path: str, name: str):
    with pytest.raises(NotImplementedError, match=f"{name} is not in torchkeras: .* Use "):
        getattr(importlib.import_module(f"torchkeras.{path}"), name)()
