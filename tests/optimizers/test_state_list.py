"""Lists of an optimizer's weights across releases, and their names in files."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import torch
from torch import nn

from tests.golden_cases import golden
from torchkeras import optimizers
from torchkeras.generations import using_keras_version

NAMES = ["SGD", "RMSprop", "Adagrad", "Adadelta", "Adam", "Adamax", "Nadam"]


def trained(name, version, steps=3, **kwargs):
    with using_keras_version(version):
        optimizer = getattr(optimizers, name)(0.1, **kwargs)
    optimizer.bind([nn.Parameter(torch.ones(2, 3)), nn.Parameter(torch.ones(3))])
    for step in range(steps):
        for parameter in optimizer.param_groups[0]["params"]:
            parameter.grad = torch.full_like(parameter, step + 1.0)
        optimizer.step()
    return optimizer


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("source", "target"), [("2.2.4", "2.4.0"), ("1.2.2", "2.4.0"), ("1.2.2", "2.2.4"), ("2.4.0", "2.2.4")])
def test_a_list_of_one_release_is_read_under_another(name, source, target):
    old, new = trained(name, source), trained(name, target, steps=0)
    if (name, source) == ("SGD", "2.4.0"):
        with pytest.raises(ValueError, match=r"SGD.set_weights takes 3 weights for the bound parameters, but got 1"):
            new.set_weights(old.get_weights())
        return
    new.set_weights(old.get_weights())
    for slot in new.get_slot_names():
        for ours, theirs in zip(new.param_groups[0]["params"], old.param_groups[0]["params"], strict=True):
            assert torch.equal(new.get_slot(ours, slot), old.get_slot(theirs, slot))
    counted = source == "2.4.0" or name in ("SGD", "Adam", "Adamax", "Nadam")
    assert new.iterations == (3 if counted else 0)


def test_a_list_that_does_not_fit_is_refused_before_anything_is_written():
    optimizer = trained("Adam", "2.4.0")
    before = optimizer.get_weights()
    with pytest.raises(ValueError, match=r"Adam\.set_weights takes 5 or 7 weights for the bound parameters, but got 4"):
        optimizer.set_weights(before[:4])
    wrong = [np.array(9), *[weight * 2 for weight in before[1:4]], np.zeros(4)]
    with pytest.raises(ValueError, match=r"weight 4 \('v'\) has the shape \(3,\), but got a value of shape \(4,\)"):
        optimizer.set_weights(wrong)
    for weight, expected in zip(optimizer.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, expected)


def test_weights_are_tensors_that_share_memory():
    optimizer = trained("Adam", "2.4.0")
    weights = optimizer.weights
    assert weights[0].item() == 3
    weights[1].zero_()
    assert not optimizer.get_weights()[1].any()
    assert len(optimizer.variables()) == 5


def test_states_of_bfloat16_leave_as_float32():
    parameter = nn.Parameter(torch.ones(2, dtype=torch.bfloat16))
    parameter.grad = torch.ones_like(parameter)
    optimizer = optimizers.Adam().bind([parameter])
    optimizer.step()
    assert optimizer.get_weights()[1].dtype == np.float32
    optimizer.set_weights(optimizer.get_weights())
    assert optimizer.state[parameter]["exp_avg"].dtype == torch.bfloat16


class Layer:
    """Just what names need of a layer's weight."""

    def __init__(self, array, path):
        self.parameter = nn.Parameter(torch.zeros(array.shape))
        self.path = path
        self.spec = self
        self.layout = self
        self.shape = array.shape

    def to_keras(self, value, shape):
        return value

    def to_torch(self, value):
        return value


@pytest.mark.parametrize("case", [case for case in golden("saved") if case.get("optimizer_class")], ids=str)
def test_lists_and_names_are_those_of_keras_files(case, keras_version):
    with h5py.File(case.folder / case["model_file"]) as file:
        group = file["optimizer_weights"]
        names = [name.decode() for name in group.attrs["weight_names"]]
        arrays = [group[name][()] for name in names]
    optimizer = getattr(optimizers, case["optimizer_class"]).from_config(case["optimizer_config"])
    slot = list(optimizer.state_keys(optimizer.defaults)) or ["momentum"]
    if keras_version == "2.4.0":
        count = len([name for name in names if name.endswith(f"/{slot[0]}:0")])
        first = names.index(next((name for name in names if name.endswith(f"/{slot[0]}:0")), names[0]))
        paths = [name.removeprefix(f"{optimizer.name}/").removesuffix(f"/{slot[0]}:0") + ":0" for name in names[first : first + count]]
        layers = [Layer(array, path) for array, path in zip(arrays[first : first + count], paths, strict=True)]
    else:
        arrays_of_states = arrays[1:] if "iterations" in names[0] else arrays
        count = len(arrays_of_states) // (3 if case["optimizer_class"] == "Adam" else len(slot))
        layers = [Layer(array, "unused:0") for array in arrays_of_states[:count]]
    if not layers:
        layers = [Layer(np.zeros(1), "dense/kernel:0")]
    optimizer.bind(layers)
    assert optimizer.weight_names == names
    optimizer.set_weights(arrays)
    for weight, array in zip(optimizer.get_weights(), arrays, strict=True):
        np.testing.assert_array_equal(weight, array)
