"""Exported modules against the recorded outputs of genuine Keras: every layer case, and every recorded model."""

from __future__ import annotations

import pytest
import torch

from tests.exporting.checks import exported, flat
from tests.golden_cases import golden
from tests.layers.golden_layer import make_layer
from tests.models_from_golden import make_model
from torchkeras import generations
from torchkeras.exporting import ExportError
from torchkeras.layers import Input
from torchkeras.models import Model, load_model
from torchkeras.saving.errors import UnsafeConfigError

# Classes that torch.nn has nothing for, and what the error says of cases of the others.
WITHOUT = {"LocallyConnected1D", "LocallyConnected2D", "ConvLSTM2D"}
REFUSALS = (
    "torch.nn has no layer of this arithmetic",
    "it has recurrent_dropout=",
    "it drops inputs",
    "it is stateful",
    "nn.BatchNorm has no renorm, virtual_batch_size, adjustment or several axes",
)
CASES = [case for case in golden("layer") if not case["training"] and not any(case.get("masks") or []) and not case.get("calls")]


def model_of(case):
    layer = make_layer(case)
    given = [torch.as_tensor(array) for field in ("inputs", "initial_state") for array in case.arrays(field)]
    inputs = [Input(batch_shape=tuple(one.shape), dtype=str(one.dtype).removeprefix("torch.")) for one in given]
    count = len(case["inputs"])
    states = {"initial_state": inputs[count:]} if case.get("initial_state") else {}
    outputs = layer(inputs[0] if count == 1 else inputs[:count], **states)
    layer.set_weights(case.arrays("weights"))
    return Model(inputs, outputs), given


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_exported_layer_gives_what_keras_gave(case, keras_version):
    model, inputs = model_of(case)
    try:
        module, _ = exported(model, *inputs, atol=case["atol"])
    except ExportError as error:
        assert case["class"] in WITHOUT or any(words in str(error) for words in REFUSALS), str(error)
        return
    assert case["class"] not in WITHOUT
    for got, want in zip(flat(module(*inputs)), case.arrays("outputs"), strict=True):
        torch.testing.assert_close(got.detach(), torch.as_tensor(want), atol=case["atol"], rtol=1e-5)


def test_few_layers_are_refused():
    refused = [case for case in CASES if case["class"] in WITHOUT]
    assert len(refused) < 0.12 * len(CASES)


def checked(model, case, wanted):
    """Compare the exported module with recorded predictions; whether it was exported."""
    inputs = [torch.as_tensor(array) for array in case.arrays("inputs")]
    inputs = [one.float() if info.is_floating_point else one for one, info in zip(inputs, input_types(model), strict=True)]
    try:
        module, _ = exported(model, *inputs)
    except ExportError as error:
        assert any(words in str(error) for words in (*REFUSALS, *OF_MODELS)), str(error)
        return False
    for got, want in zip(flat(module(*inputs)), wanted, strict=True):
        torch.testing.assert_close(got.detach(), torch.as_tensor(want), atol=1e-5, rtol=1e-5, check_dtype=False)
    return True


def input_types(model):
    record = model._graph()
    return [record.infos[number].dtype for number in record.inputs]


OF_MODELS = ("it heeds a mask", "it calls the Python function", "its class has no like")
EXPORTED_TRAININGS = [case for case in golden("training") if case.get("initial_predict")]


@pytest.mark.parametrize("case", EXPORTED_TRAININGS, ids=str)
def test_an_exported_model_predicts_what_keras_predicted_before_training(case, keras_version):
    checked(make_model(case), case, case.arrays("initial_predict"))


@pytest.mark.parametrize("case", golden("saved", versions=("1.2.2", "2.2.4", "2.4.0")), ids=str)
def test_a_model_of_a_genuine_file_is_exported(case):
    if case.get("lambda"):
        return
    try:
        model = load_model(case.folder / case["model_file"], compile=False)
    except UnsafeConfigError:
        return  # a Lambda, which has no plain form anyway
    with generations.using_keras_version(case.version):
        checked(model, case, case.arrays("outputs"))


def test_most_recorded_models_are_exported():
    done = 0
    for case in EXPORTED_TRAININGS:
        with generations.using_keras_version(case.version):
            done += checked(make_model(case), case, case.arrays("initial_predict"))
    assert done > 0.6 * len(EXPORTED_TRAININGS)
