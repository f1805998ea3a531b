"""Learning phase, `switch`, `rnn`, `map_fn` and folds beyond the recorded cases."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
import torch

from torchkeras import backend as K
from torchkeras import generations
from torchkeras.layers.base import Layer
from torchkeras.layers.lambda_layer import Lambda
from torchkeras.layers.phase import running
from torchkeras.models import Sequential


@pytest.fixture(autouse=True)
def _fresh():
    K.clear_session()
    yield
    K.clear_session()


def test_the_phase_is_that_of_the_code_that_runs():
    assert K.learning_phase() == 0
    with running(True):
        assert K.learning_phase() == 1
        with running(False):
            assert K.in_train_phase("train", "test") == "test"
        assert K.in_train_phase("train", lambda: "test") == "train"
        assert K.in_test_phase(lambda: "test", "train") == "train"
    assert K.in_test_phase("test", "train") == "test"


def test_a_lambda_layer_runs_in_its_own_phase():
    layer = Lambda(lambda x: K.in_train_phase(x * 2, x))
    x = torch.ones(1, 2)
    assert layer(x).tolist() == [[1, 1]]
    layer.train()
    assert layer(x).tolist() == [[2, 2]]
    assert K.learning_phase() == 0


def test_only_the_branch_that_is_chosen_runs():
    assert K.in_train_phase(lambda: 1 / 0, "test", training=False) == "test"
    assert K.switch(True, "then", lambda: 1 / 0) == "then"
    assert K.switch(np.bool_(False), lambda: 1 / 0, lambda: "else") == "else"


def test_training_may_be_a_tensor():
    x = torch.ones(2)
    assert K.in_train_phase(x, x * 2, training=torch.tensor(False)).tolist() == [2, 2]


def test_a_fixed_phase_rules_where_no_layer_does():
    K.set_learning_phase(1)
    assert type(K.learning_phase()) is int
    assert K.in_train_phase("train", "test") == "train"
    with running(False):
        assert K.in_train_phase("train", "test") == "test"
        generations.set_keras_version("2.2.4")
        assert K.in_train_phase("train", "test") == "train"
    K.clear_session()
    assert K.learning_phase() == 0


def test_a_phase_can_be_fixed_for_a_while():
    with K.learning_phase_scope(1):
        assert K.learning_phase() == 1
        with K.learning_phase_scope(0):
            assert K.learning_phase() == 0
        assert K.learning_phase() == 1
    assert K.learning_phase() == 0


@pytest.mark.parametrize("value", [2, None, "train"])
def test_a_phase_is_0_or_1(value: Any):
    with pytest.raises(ValueError, match=r"takes 0 \(test\) or 1 \(train\), but got"):
        K.set_learning_phase(value)


def test_switch_takes_structures_numbers_and_unequal_shapes():
    x = torch.ones(2)
    first, second = K.switch(torch.tensor(True), lambda: (x, x * 2), lambda: (x * 3, x * 4))
    assert (first.tolist(), second.tolist()) == ([1, 1], [2, 2])
    assert K.switch(torch.tensor(False), torch.zeros(3), torch.zeros(2)).shape == (2,)
    assert K.switch(torch.tensor([True, False]), x, 0.0).tolist() == [1, 0]
    assert K.switch([1, 0], np.ones(2), 5.0).tolist() == [1, 5]


def test_switch_by_a_condition_of_too_many_axes():
    with pytest.raises(ValueError, match=r"no more axes than the values, but got the shapes \(2, 1\) and \(2,\)"):
        K.switch(torch.ones(2, 1), torch.ones(2), torch.ones(2))


def simple(x: Any, states: Any) -> Any:
    return x + states[0], [x + states[0]]


def test_rnn_takes_structures():
    def step(inputs: Any, states: Any) -> Any:
        (a, b), (total, count) = inputs, states[0]
        return {"sum": a + b, "total": total + a}, [(total + a, count + 1)]

    a, b = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    mask = torch.tensor([[True, True, False], [True, False, True]])
    last, outputs, states = K.rnn(step, (a, b), [(torch.zeros(2, 4), torch.zeros(2, 1))], mask=mask, unroll=True)
    assert outputs["sum"].shape == (2, 3, 4)
    torch.testing.assert_close(outputs["sum"][0], torch.stack([(a + b)[0, 0], (a + b)[0, 1], (a + b)[0, 1]]))
    torch.testing.assert_close(last["total"], (a * mask.unsqueeze(-1)).sum(1))
    assert states[0][1].tolist() == [[2], [2]]


def test_rnn_reads_sizes_and_inputs_of_many_axes():
    x = torch.randn(2, 3, 4, 4, 1)
    last, outputs, _ = K.rnn(simple, x, [torch.zeros(2, 4, 4, 1)], mask=torch.ones(2, 3), input_length=3)
    torch.testing.assert_close(outputs, x.cumsum(1))
    torch.testing.assert_close(last, x.sum(1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"inputs": torch.zeros(2, 3)}, r"at least 3 axes \(batch, steps, ...\), but got the shapes \[\(2, 3\)\]"),
        ({"inputs": torch.zeros(2, 0, 3)}, "at least one step"),
        ({"input_length": 4}, "input_length=4 for inputs of 3 steps"),
        ({"input_length": torch.tensor([1, 2]), "unroll": True}, "unroll=True takes no lengths of rows"),
        (
            {"initial_states": [], "step_function": lambda x, s: (x, [x]), "mask": torch.ones(2, 3)},
            "began with 0 states, but its step function gave 1",
        ),
    ],
)
def test_rnn_says_what_is_wrong(arguments: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        K.rnn(**{"step_function": simple, "inputs": torch.zeros(2, 3, 4), "initial_states": [torch.zeros(2, 4)], **arguments})


def test_rnn_of_keras_2_wants_states_under_a_mask():
    generations.set_keras_version("2.2.4")
    with pytest.raises(ValueError, match="rnn with a mask needs initial states"):
        K.rnn(lambda x, s: (x, []), torch.zeros(2, 3, 4), [], mask=torch.ones(2, 3))


def test_rnn_has_right_gradients():
    weights = torch.randn(3, 3, dtype=torch.float64)
    mask = torch.tensor([[1, 0, 1, 1], [0, 1, 1, 0]])

    def run(x: torch.Tensor, start: torch.Tensor) -> Any:
        last, outputs, states = K.rnn(lambda i, s: ((new := torch.tanh(i + s[0] @ weights)), [new]), x, [start], mask=mask, go_backwards=True)
        return last, outputs, states[0]

    x, start = torch.randn(2, 4, 3, dtype=torch.float64), torch.randn(2, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(run, (x.requires_grad_(), start.requires_grad_()))


def test_map_fn_gives_structures_and_types():
    x = torch.arange(6).reshape(3, 2)
    found = K.map_fn(lambda row: {"sum": row.sum(), "twice": row * 2}, x, dtype="float32")
    assert found["sum"].tolist() == [1, 5, 9]
    assert found["twice"].dtype == found["sum"].dtype == torch.float32
    assert K.map_fn(lambda pair: pair[0] + pair[1], (x, x), dtype="int32").dtype == torch.int32


@pytest.mark.parametrize("call", [lambda x: K.map_fn(torch.sum, x), lambda x: K.foldl(torch.add, x), lambda x: K.foldr(torch.add, x)])
@pytest.mark.parametrize("elems", [torch.zeros(0, 2), torch.tensor(1.0), (torch.zeros(2), torch.zeros(3))])
def test_nothing_to_map_or_fold(call: Any, elems: Any):
    with pytest.raises(ValueError, match="tensors with one length above 0 along axis 0"):
        call(elems)


def test_stop_gradient():
    x = torch.ones(2, requires_grad=True)
    assert not K.stop_gradient(x).requires_grad
    assert [one.requires_grad for one in K.stop_gradient([x, x])] == [False, False]


class Doubling(Layer):
    """A layer in the style of Keras 1: it takes no `training`."""

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        return K.in_train_phase(inputs * 2, inputs)


class Nested(Layer):
    """The layer inside is always in inference mode."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.inner = Doubling()

    def call(self, inputs: torch.Tensor) -> torch.Tensor:
        self.inner.training = False
        return K.in_train_phase(self.inner(inputs) + 1, self.inner(inputs))


class InTorchWords(Layer):
    """The same, with `forward`."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return K.in_train_phase(inputs * 2, inputs)


@pytest.mark.parametrize(("layer", "trained"), [(Doubling, 2), (Nested, 2), (InTorchWords, 2)])
def test_a_user_s_layer_asks_for_the_phase(layer: type[Layer], trained: float):
    made, x = layer(), torch.ones(1, 2)
    assert made(x).tolist() == [[1, 1]]
    made.train()
    assert made(x).tolist() == [[trained, trained]]
    made.eval()
    assert Sequential([made])(x).tolist() == [[1, 1]]
    assert K.learning_phase() == 0


def test_each_thread_has_its_own_phase():
    layer, x, found = Doubling(), torch.ones(1, 2), []
    with running(True):
        thread = threading.Thread(target=lambda: found.append(layer(K.in_train_phase(x * 3, x)).tolist()))
        thread.start()
        thread.join()
    assert found == [[[1, 1]]]


def test_training_goes_on_to_a_user_s_layer():
    model = Sequential([Doubling(input_shape=(2,))])
    x = torch.ones(1, 2)
    assert model(x, training=True).tolist() == [[2, 2]]
    assert model(x).tolist() == [[1, 1]]
    assert K.function([model.input, K.learning_phase()], [model.output])([x, 1])[0].tolist() == [[2, 2]]


def test_a_user_s_layer_compiles_in_one_graph():
    layer = Nested()
    layer(torch.ones(1, 2))
    compiled = torch.compile(layer, fullgraph=True, backend="eager")
    assert compiled(torch.ones(1, 2)).tolist() == [[1, 1]]
    layer.train()
    assert compiled(torch.ones(1, 2)).tolist() == [[2, 2]]
    assert torch.export.export(layer.eval(), (torch.ones(1, 2),)).module()(torch.ones(1, 2)).tolist() == [[1, 1]]
