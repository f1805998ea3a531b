"""Any nn.Module called on a symbolic tensor is one node of the graph."""

from __future__ import annotations

import copy
import gc
import importlib.util

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchkeras.layers import LSTM, Dense, Dropout, Input, TorchOp
from torchkeras.layers import raw_modules as doors
from torchkeras.models import Model, Sequential


class TwoHeads(nn.Module):
    """Python code that computes with sizes, keyword arguments, several outputs."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.mix = nn.Linear(size, size)
        self.drop = nn.Dropout(0.5)

    def forward(self, x: Tensor, *, scale: Tensor) -> dict[str, Tensor]:
        batch, steps, size = x.shape
        flat = x.reshape(batch * steps, size)
        mixed = self.drop(self.mix(flat)).view(batch, steps, size) * scale
        return {"mean": mixed.mean(1), "all": mixed}


MODULES = {
    "linear": (lambda: nn.Linear(4, 3), (4,)),
    "conv": (lambda: nn.Conv2d(2, 3, 3, padding=1), (2, 8, 8)),
    "dropout": (lambda: nn.Dropout(0.5), (4,)),
    "batch norm": (lambda: nn.BatchNorm1d(4), (4,)),
    "sequential": (lambda: nn.Sequential(nn.Linear(4, 3), nn.ReLU(inplace=True), nn.Dropout(0.5)), (4,)),
    "transformer": (lambda: nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), (5, 4)),
    "with layers inside": (lambda: nn.Sequential(Dense(3), nn.Tanh(), Dropout(0.5)), (4,)),
    "lazy": (lambda: nn.Sequential(nn.LazyLinear(3), nn.LazyBatchNorm1d()), (4,)),
    "parametrized": (lambda: nn.utils.parametrizations.weight_norm(nn.Linear(4, 3)), (4,)),
}


@pytest.fixture(params=MODULES)
def module_and_shape(request):
    make, shape = MODULES[request.param]
    return make(), shape


@pytest.mark.parametrize("late", [False, True], ids=["while a graph is open", "on a finished model"])
def test_a_module_is_one_node_and_keeps_its_mode(module_and_shape, late):
    module, shape = module_and_shape
    x = Input(shape)
    start = x * 1
    if late:
        Model(x, start)
        assert nn.Module.__call__ is doors.torch_call
    model = Model(x, module(start))
    assert [type(layer) for layer in model.layers[1:]] == [TorchOp, type(module)]
    assert model.layers[-1] is module
    data = torch.randn(6, *shape)
    torch.testing.assert_close(model(data), module.eval()(data))
    model.train()
    assert all(part.training for part in module.modules())
    torch.manual_seed(1)
    trained = model(data)
    torch.manual_seed(1)
    torch.testing.assert_close(trained, module(data))
    model.eval()
    assert not module.training
    assert not any(tensor.is_meta for tensor in model.state_dict().values())


@pytest.mark.parametrize("late", [False, True])
def test_keyword_arguments_and_several_outputs(late):
    x, scale = Input((5, 4)), Input((1, 1))
    h = Dense(4)(x)
    if late:
        Model([x, scale], h * scale)
    module = TwoHeads(4).eval()
    made = module(h, scale=scale)
    assert made["mean"].shape == (None, 4)
    assert made["all"].shape == (None, 5, 4)
    model = Model([x, scale], [made["all"], made["mean"]])
    assert [type(layer).__name__ for layer in model.layers] == ["InputLayer", "Dense", "InputLayer", "TwoHeads"]
    a, b = torch.randn(2, 5, 4), torch.randn(2, 1, 1)
    expected = module(model.layers[1](a), scale=b)
    got = model([a, b])
    torch.testing.assert_close(got[0], expected["all"])
    torch.testing.assert_close(got[1], expected["mean"])


def test_all_arguments_by_keyword():
    x = Input((5, 4))
    attention = nn.MultiheadAttention(4, 2, batch_first=True)
    out, weights = attention(query=x, key=x, value=x)
    model = Model(x, [out, weights])
    data = torch.randn(3, 5, 4)
    torch.testing.assert_close(model(data)[0], attention(data, data, data)[0])
    assert model.output_shape == [(None, 5, 4), (None, 5, 5)]


def test_two_late_calls_of_one_module_are_two_nodes():
    x = Input((4,))
    h = Dense(4)(x)
    Model(x, h)
    module = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    first = module(h)
    Model(x, first)
    second = module(first)
    model = Model(x, second)
    data = torch.randn(2, 4)
    torch.testing.assert_close(model(data), module(module(model.layers[1](data))))
    assert len(model._graph().steps) == 3


def test_a_late_lstm_gives_its_states():
    x = Input((5, 4))
    h = Dense(4)(x)
    Model(x, h)
    module = nn.LSTM(4, 3, batch_first=True)
    out, (last, cell) = module(h)
    model = Model(x, [out, last, cell])
    data = torch.randn(2, 5, 4)
    expected = module(model.layers[1](data))
    torch.testing.assert_close(model(data), [expected[0], *expected[1]])


def test_layers_of_both_kinds_in_a_sequential_of_torch():
    """Also on a finished model, where the layers inside must not record nodes of their own."""
    x = Input((5, 4))
    h = Dense(4)(x)
    Model(x, h)
    inner = nn.Sequential(LSTM(3), nn.Linear(3, 2), Dense(1))
    model = Model(x, inner(h))
    assert len(model.layers) == 3
    assert inner[0].inbound_nodes == []
    data = torch.randn(2, 5, 4)
    torch.testing.assert_close(model(data), inner(model.layers[1](data)))
    assert {name.split(".")[0] for name, _ in model.named_parameters()} == {"dense", "sequential"}


def test_a_module_in_a_keras_sequential():
    model = Sequential([Dense(8, activation="relu", input_shape=(4,)), nn.Linear(8, 3), nn.Softmax(-1)])
    assert model.output_shape == (None, 3)
    data = torch.randn(2, 4)
    torch.testing.assert_close(model(data).sum(-1), torch.ones(2))
    late = Sequential([nn.Conv1d(3, 4, 2), nn.Flatten(), Dense(2)])
    assert late(torch.randn(2, 3, 5)).shape == (2, 2)
    assert [name for name, _ in late.named_parameters()] == ["conv1d.weight", "conv1d.bias", "dense_1.weight", "dense_1.bias"]


def test_a_trial_leaves_no_trace_in_a_module():
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("calls", torch.zeros(()))
            self.last = None

        def forward(self, x: Tensor) -> Tensor:
            self.calls = self.calls + 1
            self.last = x
            return x * 2

    module = Counting()
    x = Input((3,))
    model = Model(x, module(x))
    assert module.calls.device.type == "cpu"
    assert module.calls == 0
    assert module.last is None
    model(torch.ones(1, 3))
    assert module.calls == 1


def test_module_calls_are_torchs_own_once_no_graph_is_open():
    x = Input((3,))
    assert nn.Module.__call__ is not doors.torch_call
    y = Dense(2)(x)
    Model(x, y)
    assert nn.Module.__call__ is doors.torch_call
    model = Model(x, Dense(2)(x))
    assert model.output.shape == (None, 2)
    assert nn.Module.__call__ is not doors.torch_call
    with doors.not_watching():
        assert nn.Module.__call__ is doors.torch_call
    assert nn.Module.__call__ is not doors.torch_call
    Model(model.input, nn.Linear(2, 1)(model.output))
    assert nn.Module.__call__ is doors.torch_call


@pytest.mark.parametrize("room", ["torchkeras.graph.plan", "torchkeras.training.direct"])
def test_a_room_imported_while_a_graph_is_open_calls_modules_without_the_door(room):
    x = Input((3,))  # a program imports Model, and all that it needs, at the first use
    assert nn.Module.__call__ is not doors.torch_call
    spec = importlib.util.find_spec(room)
    late = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(late)
    assert late.torch_call is doors.torch_call
    del x


def test_a_forgotten_graph_closes_itself():
    Dense(2)(Input((3,)))
    assert nn.Module.__call__ is not doors.torch_call
    gc.collect()
    assert nn.Module.__call__ is doors.torch_call


def test_plain_calls_go_on_while_a_graph_is_open():
    x = Input((3,))
    module = nn.Linear(3, 2)
    data = torch.randn(2, 3)
    torch.testing.assert_close(module(data), F.linear(data, module.weight, module.bias))
    compiled = torch.compile(module, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(data), module(data))
    traced = torch.fx.symbolic_trace(nn.Sequential(module, nn.ReLU()))
    torch.testing.assert_close(traced(data), module(data).relu())
    assert "_torchkeras_name" not in module.__dict__
    del x
    gc.collect()
    module(data)
    assert nn.Module.__call__ is doors.torch_call


def test_compiled_modules_take_part():
    x = Input((3,))
    module = nn.Linear(3, 2)
    compiled = torch.compile(module, backend="eager")
    model = Model(x, compiled(x))
    data = torch.randn(2, 3)
    torch.testing.assert_close(model(data), module(data))


def test_a_module_that_does_not_fit_is_named():
    x = Input((3,))
    with pytest.raises(ValueError, match=r"Module 'linear' \(Linear\) could not be run on symbolic inputs of shape \(None, 3\)"):
        nn.Linear(4, 2)(x)
    assert not nn.Linear(4, 2).__dict__.get("_inbound_nodes")


def test_a_module_that_needs_values_is_named():
    class Asking(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum().item() > 0 else -x

    with pytest.raises(ValueError, match=r"Module 'asking' \(Asking\) could not be run.*needs real values"):
        Asking()(Input((3,)))


def test_a_module_without_tensors_is_named():
    class Silent(nn.Module):
        def forward(self, x: Tensor) -> None:
            return None

    with pytest.raises(ValueError, match=r"Module 'silent' \(Silent\) gave None for a symbolic input"):
        Silent()(Input((3,)))


def test_a_late_module_with_other_outputs_in_training_is_refused():
    class Auxiliary(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.main, self.side = nn.Linear(3, 2), nn.Linear(3, 2)

        def forward(self, x: Tensor) -> tuple[Tensor, ...]:
            return (self.main(x), self.side(x)) if self.training else (self.main(x),)

    x = Input((3,))
    h = Dense(3)(x)
    Model(x, h)
    with pytest.raises(ValueError, match=r"gives 2 outputs in training mode, but 1 in inference mode. Call its eval"):
        Auxiliary()(h)


def test_models_with_modules_are_copied():
    x = Input((4,))
    model = Model(x, nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5))(x))
    twin = copy.deepcopy(model)
    data = torch.randn(2, 4)
    torch.testing.assert_close(twin(data), model(data))
    assert twin.layers[1] is not model.layers[1]
    # the copy's ends are symbolic tensors of its own, on which a graph can go on
    further = Model(twin.input, nn.Linear(3, 1)(twin.output))
    assert further(data).shape == (2, 1)
