"""The whole training step of every workload of the benchmark, on the pretend device: no wait for it, no tensor left behind."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException

from benchmarks import programs
from tests.pretend import on_device, pretending
from torchkeras import layers, models


def batch_on(name: str, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """A batch of a workload's shapes."""
    x, y = programs.data(name, 8)
    make = torch.zeros if name == "masked_lstm" else torch.randn
    return make(x.shape, dtype=torch.from_numpy(x).dtype, device=device), torch.zeros((len(y), 1), dtype=torch.from_numpy(y).dtype, device=device)


def net_for(name: str):
    """A built model of a workload."""
    net = models.Sequential(programs.PROGRAMS[name].layers(layers))
    net(torch.from_numpy(programs.data(name, 2)[0]))
    return net


def compiled_on(name: str, device: torch.device, loss: Any = None, metrics: Any = None):
    """A compiled model on the pretend device. It is settled on the CPU before, since views of pretended weights cannot be made."""
    program = programs.PROGRAMS[name]
    with torch.utils._python_dispatch._disable_current_modes():
        built = net_for(name)
        built.compile(program.optimizer, loss or program.loss, metrics=metrics, weighted_metrics=metrics)
        x, y = programs.data(name, 2)
        built._ready((torch.from_numpy(x), torch.from_numpy(y), None), "fit")
        names = {id(parameter): key for key, parameter in built.named_parameters()}
        trained = [names[id(parameter)] for parameter in built._trained.parameters]
    net = on_device(built, device)
    here = dict(net.named_parameters())
    net._trained.parameters = [here[key] for key in trained]
    net._trained._ids = {id(parameter) for parameter in net._trained.parameters}
    net.optimizer.bind(net._trained.parameters)
    net._trained.bound = True
    for metric in net._compiled.objects():
        for key, variable in metric._buffers.items():
            metric._buffers[key] = torch.zeros(tuple(variable.shape), dtype=variable.dtype, device=device)
        metric._device = device
    return net


@pytest.mark.parametrize(("weighted", "metrics"), [(False, None), (True, ["accuracy"])], ids=["plain", "weighted"])
@pytest.mark.parametrize("name", programs.PROGRAMS)
def test_a_training_step_never_waits(name, weighted, metrics):
    with pretending() as device:
        net = compiled_on(name, device, metrics=metrics)
        x, y = batch_on(name, device)
        batch = x, y, torch.ones(8, device=device) if weighted else None
        net.train()
        step = net._train_step()
        for _ in range(2):  # the first one makes the optimizer's state
            output = step(None, batch)
        assert output["loss"].device == device
        assert all(state.device == device for states in net.optimizer.state.values() for state in states.values() if isinstance(state, torch.Tensor))
        net.train(False)
        with torch.no_grad():
            net._test_step()(None, batch)
        assert all(value.device == device for value in net._compiled.values().values())


def test_a_step_that_looks_at_a_value_is_caught():
    with pretending() as device:
        net = compiled_on("mlp", device, loss=lambda y, y_pred: y_pred.mean(-1) * float(y_pred.sum()))
        x, y = batch_on("mlp", device)
        with pytest.raises(DataDependentOutputException, match="_local_scalar_dense"):
            net._train_step()(None, (x, y, None))
