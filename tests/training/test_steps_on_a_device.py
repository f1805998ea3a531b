"""The whole training step of every workload of the benchmark, on the pretend device: no wait for it, no tensor left behind."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException

import torchkeras
from benchmarks import programs
from tests.pretend import on_device, pretending


@pytest.fixture(scope="module", autouse=True)
def shapes_of_the_gru_kernels():
    """What torch leaves out: the shapes of its fused GRU kernels, so that they run on tensors without numbers."""
    library = torch.library.Library("aten", "IMPL", "Meta")

    def forward(inputs: Any, hidden: Any, state: Any, *biases: Any) -> Any:
        return torch.empty_like(state), state.new_empty((len(state), 5 * state.shape[1]))

    def backward(grad: Any, workspace: Any, has_bias: bool) -> Any:
        gates = grad.new_empty((len(grad), 3 * grad.shape[1]))
        biases = [gates.new_empty(gates.shape[1]) if has_bias else None for _ in range(2)]
        return gates, torch.empty_like(gates), torch.empty_like(grad), *biases

    library.impl("_thnn_fused_gru_cell", forward)
    library.impl("_thnn_fused_gru_cell_backward", backward)
    yield
    library._destroy()


def batch_on(name: str, device: torch.device, weighted: bool) -> tuple[Any, Any, Any]:
    """A batch of a workload's shapes."""
    x, y, _ = programs.PROGRAMS[name].data(8)

    def there(array: Any) -> torch.Tensor:
        wanted = torch.from_numpy(array)
        make = torch.randn if wanted.is_floating_point() else torch.zeros
        return make(wanted.shape if wanted.dim() > 1 else (len(wanted), 1), dtype=wanted.dtype, device=device)

    weight = torch.ones(8, device=device) if weighted else None
    return map_arrays(there, x), map_arrays(there, y), map_arrays(lambda part: weight, y) if weighted else None


def map_arrays(function: Any, arrays: Any) -> Any:
    """What a function gives for each array of a list, or for one."""
    return [function(one) for one in arrays] if isinstance(arrays, list) else function(arrays)


def compiled_on(name: str, device: torch.device, loss: Any = None, metrics: Any = None):
    """A compiled model on the pretend device. It is settled on the CPU before, since views of pretended weights cannot be made."""
    program = programs.PROGRAMS[name]
    with torch.utils._python_dispatch._disable_current_modes():
        built = program.model(torchkeras)
        x, y, _ = program.data(2)
        built(map_arrays(torch.from_numpy, x))
        built.compile(program.optimizer, loss or program.loss, metrics=metrics, weighted_metrics=metrics)
        built._ready((map_arrays(torch.from_numpy, x), map_arrays(torch.from_numpy, y), None), "fit")
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
        batch = batch_on(name, device, weighted)
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
        with pytest.raises(DataDependentOutputException, match="_local_scalar_dense"):
            net._train_step()(None, batch_on("mlp", device, weighted=False))
