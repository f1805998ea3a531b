"""Optimizers by name, config, class and instance, Keras' and torch's."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import nn

from torchkeras import optimizers

NAMES = ["SGD", "RMSprop", "Adagrad", "Adadelta", "Adam", "Adamax", "Nadam", "Ftrl"]


@pytest.mark.parametrize("name", NAMES)
def test_names_find_classes_in_any_case_of_letters(name):
    kind = getattr(optimizers, name)
    for identifier in (name, name.lower(), name.upper(), kind, {"class_name": name, "config": {}}, optimizers.serialize(kind())):
        assert type(optimizers.get(identifier)) is kind
    if name != "Ftrl":
        assert getattr(optimizers, name.lower()) is kind


def test_instances_come_back_as_they_are():
    keras = optimizers.Adam()
    native = torch.optim.Adam([nn.Parameter(torch.zeros(1))])
    late = optimizers.TorchOptimizer(torch.optim.AdamW, lr=0.5)
    for instance in (keras, native, late):
        assert optimizers.get(instance) is instance


def test_a_config_is_left_as_it_was():
    config = {"class_name": "SGD", "config": {"lr": 0.5}}
    assert optimizers.deserialize(config).lr == optimizers.optimizer_from_config(config).lr == 0.5
    assert config == {"class_name": "SGD", "config": {"lr": 0.5}}


def test_ones_own_class_is_found_by_name_and_goes_first():
    class Adam(optimizers.Adam):
        pass

    config = {"class_name": "Adam", "config": {"learning_rate": 0.5}}
    assert type(optimizers.deserialize(config, custom_objects={"Adam": Adam})) is Adam
    assert type(optimizers.deserialize(config)) is optimizers.Adam


@pytest.mark.parametrize(
    ("identifier", "message"),
    [
        ("adma", "Unknown optimizer: 'adma'. Did you mean .*'adam'"),
        ({"config": {}}, "optimizer config needs the keys 'class_name' and 'config'"),
        (3, "Could not read 3 as an optimizer: give a name"),
        (None, "Could not read None as an optimizer"),
        (nn.Linear, "as an optimizer"),
    ],
)
def test_what_is_no_optimizer_is_refused(identifier, message):
    with pytest.raises(ValueError, match=message):
        optimizers.get(identifier)


@pytest.mark.parametrize(
    "identifier",
    [
        optimizers.TorchOptimizer(torch.optim.AdamW, lr=0.5),
        optimizers.TorchOptimizer("AdamW", lr=0.5),
        optimizers.TFOptimizer(torch.optim.AdamW, lr=0.5),
        functools.partial(torch.optim.AdamW, lr=0.5),
        optimizers.TorchOptimizer(functools.partial(torch.optim.AdamW, lr=0.1), lr=0.5),
        {"class_name": "TorchOptimizer", "config": {"optimizer": "AdamW", "lr": 0.5}},
    ],
    ids=str,
)
def test_torch_classes_are_made_when_parameters_are_known(identifier):
    parameter = nn.Parameter(torch.zeros(1))
    record = optimizers.get(identifier)
    optimizer = record.bind([parameter])
    assert type(optimizer) is torch.optim.AdamW
    assert optimizer.param_groups[0]["lr"] == 0.5
    assert optimizer.param_groups[0]["params"] == [parameter]
    again = optimizers.deserialize(optimizers.serialize(record))
    assert again.get_config() == record.get_config() == {"optimizer": "AdamW", "lr": 0.5}
    assert repr(record) == "TorchOptimizer(AdamW, lr=0.5)"


def test_a_torch_class_alone_takes_its_own_defaults_and_groups():
    record = optimizers.get(torch.optim.SGD)
    a, b = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    optimizer = record.bind([{"params": a}, {"params": [b], "lr": 0.5}])
    assert [group["lr"] for group in optimizer.param_groups] == [0.001, 0.5]
    named = record.bind([("first", a)])
    assert named.param_groups[0]["param_names"] == ["first"]


def test_a_function_that_makes_an_optimizer_has_no_config():
    record = optimizers.TorchOptimizer(lambda parameters: torch.optim.SGD(parameters, lr=0.25))
    assert record.bind([nn.Parameter(torch.zeros(1))]).param_groups[0]["lr"] == 0.25
    with pytest.raises(TypeError, match=r"cannot be written to a config: only the classes of torch\.optim"):
        record.get_config()


def test_bad_torch_optimizers_are_refused():
    with pytest.raises(ValueError, match=r"torch.optim has no optimizer 'AdmW'. Did you mean .*'AdamW'"):
        optimizers.TorchOptimizer("AdmW")
    with pytest.raises(TypeError, match=r"takes a class of torch\.optim or a function of the parameters, but got 3"):
        optimizers.TorchOptimizer(3)
