"""Functional models of every form in files of both kinds."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from torchkeras.layers import Dense, Input
from torchkeras.models import Model, load_model


@pytest.fixture(params=["model.h5", "model.keras"])
def path(request, tmp_path):
    return tmp_path / request.param


@pytest.mark.filterwarnings("ignore:.*compile:UserWarning")
def test_torch_operations_and_parameters_in_files(path):
    x = Input((3,))
    h = torch.cat([x * torch.nn.Parameter(torch.tensor([2.0, 3.0, 4.0])), x[:, :1] - np.array([1.0])], -1)
    model = Model(x, Dense(2)(h))
    model.save(path)
    data = np.random.default_rng(0).standard_normal((4, 3)).astype("float32")
    np.testing.assert_array_equal(load_model(path).predict(data, verbose=0), model.predict(data, verbose=0))


@pytest.mark.filterwarnings("ignore:.*compile:UserWarning")
def test_inputs_and_outputs_by_name_in_files(path):
    a, b = Input((3,), name="a"), Input((2,), name="b")
    model = Model({"first": a, "second": b}, {"x": Dense(1, name="x")(a), "y": Dense(1, name="y")(b)})
    model.save(path)
    data = {"second": np.ones((4, 2), "float32"), "first": np.zeros((4, 3), "float32")}
    got, expected = load_model(path).predict(data, verbose=0), model.predict(data, verbose=0)
    assert list(got) == ["x", "y"]
    np.testing.assert_equal(got, expected)
