"""Keras 1's layers, in its words, give the numbers that Keras 1.2.2 gave."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import torchkeras
from tests.golden_cases import Case, golden
from tests.layers.golden_layer import check_golden_layer
from torchkeras import layers
from torchkeras.layers.base import Layer, layer_registry
from torchkeras.layers.legacy import CLASSES, FORMATS, TABLE, keras2_layer, modernise
from torchkeras.saving.foreign_weights import to_keras2
from torchkeras.saving.weight_groups import Origin

CASES = golden("layer", versions=("1.2.2",))
KERAS1 = Origin("1.2.2", "tensorflow")


def revive(name: str, value: Any) -> Any:
    if name == "layer" and isinstance(value, dict):
        return layer_registry.find(value["class_name"])(**value["config"])
    if isinstance(value, list):
        return tuple(revive("", part) for part in value)
    if isinstance(value, dict) and value.get("name") == "WeightRegularizer":
        return torchkeras.regularizers.L1L2(value["l1"], value["l2"])
    return value


class Translated(Case):
    """A case of Keras 1 whose gradients of weights are in today's order."""

    made: dict[str, Any]

    def array(self, key: str | None) -> Any:
        return self.made[key] if key in self.made else super().array(key)


def make(case: Translated) -> Layer:
    """The case's layer."""
    arguments = {key: revive(key, value) for key, value in case["kwargs"].items()}
    layer = getattr(layers, case["class"])(**arguments)
    keys = (case["grads"] or {"weights": [None]})["weights"]
    if None not in keys:
        arrays, half = [case.array(key) for key in keys], len(keys) // 2
        if case["class"] == "Bidirectional":
            sides = (layer.forward_layer, arrays[:half]), (layer.backward_layer, arrays[half:])
            gradients = [array for side, part in sides for array in to_keras2(side, part, KERAS1)]
        else:
            gradients = to_keras2(layer, arrays, KERAS1)
        case.made = {f"gradient {number}": array for number, array in enumerate(gradients)}
        case.info = {**case.info, "grads": {**case["grads"], "weights": list(case.made)}}
    return layer


@pytest.mark.filterwarnings("ignore:Highway. transform_bias has no effect")
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_layer_in_keras_1_words_matches_keras_1(case: Case, keras_version: str):
    translated = Translated(case.version, case.info)
    translated.made = {}
    check_golden_layer(translated, make, config=False)


# files of Keras 1 do not say along which axes a PReLU is shared
OTHERS = ("Merge", "Bidirectional", "TimeDistributed", "PReLU")


@pytest.mark.parametrize("case", [case for case in CASES if case["class"] not in OTHERS], ids=str)
def test_a_config_of_keras_1_makes_the_same_layer(case: Case):
    name, config = keras2_layer(case["class"], case["config"], FORMATS.get(case["kwargs"].get("dim_ordering")))
    with torchkeras.using_keras_version("1.2.2"):
        layer = layer_registry.find(name)(**config)
        layer(torch.as_tensor(case.arrays("inputs")[0]))
    layer.set_weights(case.arrays("weights"))
    if case["training"] or case.get("calls") or case.get("masks"):
        return
    outputs = layer(torch.as_tensor(case.arrays("inputs")[0]))
    torch.testing.assert_close(outputs.detach(), torch.as_tensor(case.arrays("outputs")[0]), rtol=1e-5, atol=case["atol"])


@pytest.mark.parametrize(
    ("class_name", "args", "kwargs", "expected"),
    [
        ("Dense", (), {"output_dim": 3, "init": "uniform", "bias": False}, {"units": 3, "kernel_initializer": "uniform", "use_bias": False}),
        ("Convolution2D", (8, 3, 5), {"border_mode": "same"}, {"filters": 8, "kernel_size": (3, 5), "padding": "same"}),
        ("Convolution2D", (8,), {"nb_row": 3, "nb_col": 2}, {"filters": 8, "kernel_size": (3, 2)}),
        ("Conv3D", (8, 1, 2, 3), {"dim_ordering": "th"}, {"filters": 8, "kernel_size": (1, 2, 3), "data_format": "channels_first"}),
        ("Convolution1D", (8, 3), {"subsample_length": 2}, {"filters": 8, "kernel_size": 3, "strides": 2}),
        ("MaxPooling1D", (), {"pool_length": 3, "stride": None}, {"pool_size": 3, "strides": None}),
        (
            "LSTM",
            (4,),
            {"dropout_W": 0.1, "dropout_U": 0.2, "inner_init": "zero"},
            {"units": 4, "dropout": 0.1, "recurrent_dropout": 0.2, "recurrent_initializer": "zeros"},
        ),
        ("LSTM", (), {"output_dim": 4, "forget_bias_init": "one", "input_dim": 5}, {"units": 4, "unit_forget_bias": True, "input_shape": (None, 5)}),
        ("Dropout", (), {"p": 0.3}, {"rate": 0.3}),
        (
            "SeparableConvolution2D",
            (4, 2, 2),
            {"init": "one"},
            {"filters": 4, "kernel_size": (2, 2), "depthwise_initializer": "ones", "pointwise_initializer": "ones"},
        ),
    ],
)
def test_keras_1_words_are_translated_with_one_warning(class_name, args, kwargs, expected):
    with pytest.warns(DeprecationWarning, match=r"Keras 1's .* Write ") as told:
        _, rest, found = modernise(class_name, args, kwargs)
    assert (rest, found) == ((), expected)
    assert len(told) == 1


def test_a_user_s_subclass_may_pass_keras_1_words_on():
    class Wide(layers.Dense):
        def __init__(self, width, **kwargs):
            super().__init__(output_dim=width, init="one", **kwargs)

    with pytest.warns(DeprecationWarning, match=r"Dense\(units=2") as told:
        layer = Wide(2)
    assert told[0].filename == __file__
    np.testing.assert_array_equal(layer(torch.ones(1, 3)).detach(), [[3.0, 3.0]])


def test_tf_keras_takes_integers_by_position_as_it_always_did():
    layer = layers.Conv2D(4, 3, 2)
    assert (layer.kernel_size, layer.strides) == ((3, 3), (2, 2))
    with torchkeras.using_keras_version("2.2.4"), pytest.warns(DeprecationWarning, match="arguments by position"):
        assert layers.Conv2D(4, 3, 2).kernel_size == (3, 2)


def test_an_argument_given_twice_is_refused():
    with pytest.raises(TypeError, match="two values for 'units'"):
        layers.Dense(3, output_dim=4)


def test_a_mode_of_theano_is_refused():
    with pytest.raises(ValueError, match="border_mode='full' was for Theano"):
        layers.Conv2D(3, 3, 3, border_mode="full")


def test_dropout_of_whole_words_is_refused():
    with pytest.raises(ValueError, match=r"no dropout=0\.2 here"):
        layers.Embedding(4, 3, dropout=0.2)


def test_half_a_kernel_is_refused():
    with pytest.raises(TypeError, match="nb_row without nb_col"):
        layers.Conv2D(3, nb_row=3)


def test_torch_may_subclass_layers():
    layer = layers.Dense(3)
    layer(torch.zeros(1, 2))
    torch.nn.utils.parametrizations.weight_norm(layer)
    assert layer(torch.ones(1, 2)).shape == (1, 3)


def test_the_table_and_the_classes_agree():
    for name in TABLE:
        assert name in layer_registry or name in ("Layer", "Network")
    for name in CLASSES.values():
        assert name in TABLE


@pytest.mark.parametrize("mode", ["sum", "mul", "concat", "ave", "max", "dot", "cos"])
def test_merge_records_and_runs_every_mode(mode: str):
    a, b = layers.Input((4,)), layers.Input((4,))
    model = torchkeras.Model([a, b], layers.merge([a, b], mode=mode, dot_axes=1))
    x, y = np.random.rand(3, 4).astype("float32"), np.random.rand(3, 4).astype("float32")
    wanted = layers.Merge(mode=mode, dot_axes=1)([torch.as_tensor(x), torch.as_tensor(y)])
    np.testing.assert_allclose(model.predict([x, y]), wanted.numpy(), rtol=1e-6)


def test_merge_takes_a_function():
    a, b = layers.Input((4,)), layers.Input((4,))
    merged = layers.merge([a, b], mode=lambda inputs: inputs[0] - inputs[1], output_shape=(4,))
    assert tuple(merged.shape) == (None, 4)


def test_merge_refuses_an_unknown_mode():
    with pytest.raises(ValueError, match="mode='add'"):
        layers.Merge(mode="add")
