"""Weights and copies: state dicts, devices and types, deepcopy, pickle, torch.save."""

from __future__ import annotations

import copy
import io
import multiprocessing
import pickle

import numpy as np
import pytest
import torch

from tests.interop.kinds import KINDS, X, Y, trained
from tests.interop.rows import row
from torchkeras.layers import Dense
from torchkeras.models import Sequential


@row("`state_dict()`, strict `load_state_dict()`")
def test_state_dict_into_a_built_model(model, kind):
    other = trained(kind)
    assert not torch.equal(other(X), model(X))
    found = other.load_state_dict(model.state_dict(), strict=True)
    assert (found.missing_keys, found.unexpected_keys) == ([], [])
    assert torch.equal(other(X), model(X))


@row("strict `load_state_dict()` into a model without weights yet: it makes them")
def test_state_dict_into_an_unbuilt_model(model, kind):
    other = KINDS[kind]()
    other.load_state_dict(model.state_dict(), strict=True)
    assert torch.equal(other(X), model(X))


@row("entries of a state dict that are missing, unexpected or of another shape are told")
def test_state_dict_that_does_not_fit_is_refused(model, kind):
    state = model.state_dict()
    lost = next(iter(state))
    with pytest.raises(RuntimeError, match="Missing key"):
        model.load_state_dict({key: value for key, value in state.items() if key != lost})
    with pytest.raises(RuntimeError, match=r'Unexpected key.*"odd\.weight"'):
        model.load_state_dict({**state, "odd.weight": torch.zeros(1)})
    with pytest.raises(RuntimeError, match="size mismatch"):
        model.load_state_dict({**state, lost: torch.zeros(1)})
    found = model.load_state_dict({key: value for key, value in state.items() if key != lost}, strict=False)
    assert found.missing_keys == [lost]


@row("names in `named_parameters()`: `dense_1.weight`, `heads.0.bias`, `module.out.weight`")
def test_parameter_names_read_well(kind):
    model = trained(kind)
    names = [name for name, _ in model.named_parameters()]
    if kind == "subclassed":
        expected = ["conv", "norm", "heads.0", "heads.1"]
    elif kind == "wrapped":
        expected = ["module.conv", "module.norm", "module.out"]
    else:
        expected = [layer.name for layer in model.layers if layer.weights]
        assert all(name.split("_")[0] in ("conv2d", "batch", "dense") for name in expected)
    assert names == [f"{name}.{part}" for name in expected for part in ("weight", "bias")]


@row("`.to(dtype)`, `.to(device)`, `.float()`")
def test_to_type_and_device(model):
    expected = model(X)
    model.to(torch.float64)
    assert model.dtype == "float64" or all(parameter.dtype is torch.float64 for parameter in model.parameters())
    torch.testing.assert_close(model(X.double()).float(), expected, rtol=1e-4, atol=1e-5)
    model.float().to("cpu")
    torch.testing.assert_close(model(X), expected, rtol=1e-4, atol=1e-5)
    assert model.to("meta")(X.to("meta")).shape == (8, 2)


@row("`copy.deepcopy` of a compiled model")
def test_deepcopy_trains_by_itself(model):
    twin = copy.deepcopy(model)
    expected = model(X)
    assert torch.equal(twin(X), expected)
    twin.fit(X.numpy(), Y.numpy(), verbose=0)
    assert torch.equal(model(X), expected)
    assert not torch.equal(twin(X), expected)
    assert twin.optimizer is not model.optimizer


@row("`pickle` of a compiled model")
def test_pickle(model):
    twin = pickle.loads(pickle.dumps(model))
    assert torch.equal(twin(X), model(X))
    twin.fit(X.numpy(), Y.numpy(), verbose=0)
    assert not torch.equal(twin(X), model(X))
    assert twin.get_config() == model.get_config() if model.is_graph_network else True


def predict(model, x, queue):
    queue.put(model(torch.from_numpy(x)).detach().numpy())


@row("a model sent to a spawned process")
def test_pickle_to_a_spawned_process(model):
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=predict, args=(model, X.numpy(), queue))
    process.start()
    got = queue.get(timeout=120)
    process.join()
    np.testing.assert_allclose(got, model(X).detach().numpy(), rtol=1e-6)


@row("`torch.save(model.state_dict())`, `torch.load(weights_only=True)`")
def test_torch_save_of_weights_only(model, kind):
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    other = KINDS[kind]()
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(other(X), model(X))


@row("`torch.save(model)`")
def test_torch_save_of_the_whole_model(model):
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    assert torch.equal(torch.load(file, weights_only=False)(X), model(X))
    file.seek(0)
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        torch.load(file, weights_only=True)


def test_names_that_a_user_gave_are_not_guessed():
    first = Sequential([Dense(2, input_shape=(3,), name="head_1")])
    second = Sequential([Dense(2, input_shape=(3,), name="head_2")])
    with pytest.raises(RuntimeError, match=r'Missing key.*"head_2\.weight"'):
        second.load_state_dict(first.state_dict())
