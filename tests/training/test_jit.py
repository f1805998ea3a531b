"""Steps compiled as one graph: the numbers of the plain step, made once. The compiler itself is in test_modes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from torchkeras import callbacks, layers, models, random
from torchkeras.training import jit

pytestmark = pytest.mark.usefixtures("fresh_compiler")

SAMPLES, BATCH = 21, 8  # a remainder of 5


class Compiler:
    """Stands in for torch.compile: remembers what it is given, and runs it as it is."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.modes: list[Any] = []

    def __call__(self, function: Callable[..., Any], mode: Any = None, **options: Any) -> Callable[..., Any]:
        name = getattr(function, "__qualname__", type(function).__name__).split(".")[0]

        def run(*args: Any) -> Any:
            self.names.append(name)
            return function(*args)

        self.modes.append(mode)
        return run


@pytest.fixture
def compiler(monkeypatch) -> Compiler:
    found = Compiler()
    monkeypatch.setattr(torch, "compile", found)
    return found


def plain_net() -> Any:
    return models.Sequential([layers.Dense(7, activation="relu", input_shape=(6,)), layers.Dense(3, activation="softmax")])


def two_by_two() -> Any:
    first, second = layers.Input((6,)), layers.Input((2,))
    hidden = layers.Dense(5, activation="tanh")(layers.concatenate([first, second]))
    return models.Model([first, second], [layers.Dense(3, activation="softmax", name="ids")(hidden), layers.Dense(1, name="number")(hidden)])


def sequence_net() -> Any:
    return models.Sequential([layers.Embedding(9, 4, mask_zero=True), layers.LSTM(5), layers.Dense(3, activation="softmax")])


def regularized_net() -> Any:
    hidden = layers.Dense(7, activation="relu", kernel_regularizer="l2", kernel_constraint="max_norm", input_shape=(6,))
    return models.Sequential([hidden, layers.Dense(3, activation="softmax", bias_regularizer="l1")])


def frozen_net() -> Any:
    net = plain_net()
    net.layers[0].trainable = False
    return net


def data(name: str) -> tuple[Any, Any, Any]:
    """Inputs, targets and weights of a net."""
    noise = np.random.RandomState(0)
    x, ids = noise.standard_normal((SAMPLES, 6)).astype("float32"), noise.randint(0, 3, SAMPLES)
    if name == "two_by_two":
        second, numbers = noise.standard_normal((SAMPLES, 2)).astype("float32"), noise.standard_normal((SAMPLES, 1)).astype("float32")
        return [x, second], [ids, numbers], [noise.random_sample(SAMPLES), noise.random_sample(SAMPLES)]
    return (noise.randint(0, 9, (SAMPLES, 6)) if name == "sequence_net" else x), ids, noise.random_sample(SAMPLES)


NETS = {net.__name__: net for net in (plain_net, two_by_two, sequence_net, regularized_net, frozen_net)}


def trained(name: str, **options: Any) -> tuple[Any, Any]:
    """A net after two epochs, and their values."""
    random.set_random_seed(0)
    net, (x, y, weight) = NETS[name](), data(name)
    loss = ["sparse_categorical_crossentropy", "mse"] if name == "two_by_two" else "sparse_categorical_crossentropy"
    net.compile("adam", loss, metrics=["accuracy"] if name != "two_by_two" else None, **options)
    return net, net.fit(x, y, sample_weight=weight, batch_size=BATCH, epochs=2, verbose=0, validation_data=(x, y)).history


@pytest.mark.parametrize("name", NETS)
def test_the_graph_with_its_gradients_gives_the_numbers_of_the_plain_step(compiler, name):
    plain, history = trained(name)
    compiled, compiled_history = trained(name, jit_compile=True)
    assert compiler.names.count("_with_gradients") == 6  # every step, of the remainder too
    for key, values in history.items():
        np.testing.assert_allclose(compiled_history[key], values, rtol=1e-5, err_msg=key)
    for one, other in zip(plain.get_weights(), compiled.get_weights(), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-6)
    assert all(parameter.grad is None for parameter in compiled.parameters())


def test_later_fits_and_evaluations_take_what_was_compiled(compiler):
    net, _ = trained("plain_net", jit_compile=True)
    x, y, weight = data("plain_net")
    made = len(compiler.modes)
    net.fit(x, y, sample_weight=weight, batch_size=BATCH, verbose=0)
    net.evaluate(x, y, batch_size=BATCH, verbose=0)
    assert len(compiler.modes) == made
    net.layers[0].trainable = False
    net.compile("sgd", "sparse_categorical_crossentropy", jit_compile=True)
    before = net.get_weights()
    net.fit(x, y, batch_size=BATCH, verbose=0)
    assert len(compiler.modes) > made
    np.testing.assert_array_equal(net.get_weights()[0], before[0])
    assert (net.get_weights()[2] != before[2]).any()


STATEFUL = {
    "statistics": lambda: [layers.Dense(5, input_shape=(6,)), layers.BatchNormalization()],
    "state": lambda: [layers.Reshape((2, 3), batch_input_shape=(7, 6)), layers.LSTM(4, stateful=True)],
    "activity": lambda: [layers.Dense(5, activity_regularizer="l2", input_shape=(6,))],
}


@pytest.mark.parametrize("name", STATEFUL)
def test_what_changes_more_than_gradients_compiles_forward_pass_and_loss(compiler, name):
    histories = []
    x, y, _ = data("plain_net")
    for mode in (False, True):
        random.set_random_seed(0)
        net = models.Sequential([*STATEFUL[name](), layers.Dense(3, activation="softmax")])
        net.compile("sgd", "sparse_categorical_crossentropy", jit_compile=mode)
        histories.append((net.fit(x, y, batch_size=7, epochs=2, verbose=0, validation_data=(x, y)).history, net.get_weights()))
    assert "_with_gradients" not in compiler.names
    assert compiler.names
    assert histories[0][0].keys() == histories[1][0].keys()
    for key, values in histories[0][0].items():
        np.testing.assert_allclose(histories[1][0][key], values, rtol=1e-5, err_msg=key)
    for one, other in zip(histories[0][1], histories[1][1], strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-6)


def test_a_graph_that_cannot_be_made_leaves_forward_pass_and_loss_compiled(compiler, monkeypatch):
    def failing(model: Any, forward: Any, tallies: Any) -> Any:
        def step(*args: Any) -> Any:
            raise RuntimeError("no graph")

        return step

    _, history = trained("plain_net")
    monkeypatch.setattr(jit, "_with_gradients", failing)
    _, compiled_history = trained("plain_net", jit_compile=True)  # a warning would be an error here
    np.testing.assert_allclose(compiled_history["loss"], history["loss"], rtol=1e-6)
    assert compiler.names.count("forward_function") >= 6


def test_cuda_graphs_are_a_mode_of_the_compiler(compiler):
    _, history = trained("plain_net")
    _, compiled_history = trained("plain_net", jit_compile="reduce-overhead")
    assert set(compiler.modes) == {"reduce-overhead"}
    np.testing.assert_allclose(compiled_history["loss"], history["loss"], rtol=1e-5)


def test_a_replayed_graph_hands_out_copies_and_says_where_a_step_begins(compiler, monkeypatch):
    net, _ = trained("plain_net", jit_compile="reduce-overhead")
    whole = net._engines.steps["jit_whole"][1]
    begun = []
    monkeypatch.setattr(torch.compiler, "cudagraph_mark_step_begin", lambda: begun.append(1))
    memory: dict[str, Any] = {"loss": torch.zeros(()), "out": torch.zeros(2, 3)}
    gradients = {name: torch.zeros_like(parameter) for name, parameter in whole.named.items()}
    whole.replays, whole._compiled = True, lambda batch, named: (gradients, memory["loss"], [], memory["out"], [(memory["loss"], 1, 1)])
    y_pred, loss, tallies = whole(None, None, None)
    memory["loss"].fill_(5)
    memory["out"].fill_(5)
    assert begun == [1]
    assert loss.item() == 0
    assert tallies[0][0].item() == 0
    assert y_pred.sum().item() == 0
    for parameter in whole.parameters:
        parameter.grad = None


def test_an_unknown_mode_is_refused():
    net = plain_net()
    with pytest.raises(ValueError, match="jit_compile=True, False or 'reduce-overhead', but got 'fastest'"):
        net.compile("sgd", "mse", jit_compile="fastest")


@pytest.mark.parametrize("weighted", [False, True])
def test_metrics_are_computed_in_the_graph(compiler, monkeypatch, weighted):
    x, y, weight = data("plain_net")
    targets, given = np.eye(3, dtype="float32")[y], {"sample_weight": weight} if weighted else {}
    histories = []
    for mode in (False, True):
        random.set_random_seed(0)
        net = plain_net()
        own, weights = ["accuracy", "binary_accuracy", "mae", "mse"], ["accuracy", "top_k_categorical_accuracy", "categorical_crossentropy"]
        net.compile("adam", "categorical_crossentropy", metrics=own, weighted_metrics=weights, jit_compile=mode)
        net.fit(x, targets, batch_size=BATCH, verbose=0, **given)
        if mode:
            monkeypatch.setattr(type(net._compiled.metrics[0][0].metric), "update_state", None)  # would be called after the graph
            monkeypatch.setattr(net._compiled, "tallies", lambda: None)
        histories.append(net.fit(x, targets, batch_size=BATCH, epochs=2, verbose=0, **given).history)
    assert "_with_gradients" in compiler.names
    assert list(histories[0]) == list(histories[1])
    for key, values in histories[0].items():
        np.testing.assert_allclose(histories[1][key], values, rtol=1e-6, err_msg=key)


def test_metrics_that_cannot_tell_what_a_batch_adds_follow_the_graph(compiler):
    x, y, _ = data("plain_net")
    histories = []
    for mode in (False, True):
        random.set_random_seed(0)
        net = plain_net()
        net.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy", lambda true, pred: pred.max(-1).values], jit_compile=mode)
        assert net.fit(x, y, batch_size=BATCH, verbose=0)
        assert net._compiled.tallies() is None
        histories.append(net.fit(x, y, batch_size=BATCH, epochs=2, verbose=0).history)
    for key, values in histories[0].items():
        np.testing.assert_allclose(histories[1][key], values, rtol=1e-6, err_msg=key)


def eager_compile(function: Callable[..., Any], mode: Any, fixed: bool = False, whole: bool = False) -> Callable[..., Any]:
    """Dynamo as it is, without the compiler behind it."""
    return torch.compile(jit._with_own_code(function), backend="eager", dynamic=False if fixed else None, fullgraph=whole)


def test_dynamo_takes_two_outputs_with_weights_as_one_graph(monkeypatch):
    monkeypatch.setattr(jit, "compile_function", eager_compile)
    _, history = trained("two_by_two")
    net, compiled_history = trained("two_by_two", jit_compile=True)
    assert net._engines.steps["jit_whole"][1]._compiled is not None
    for key, values in history.items():
        np.testing.assert_allclose(compiled_history[key], values, rtol=1e-5, err_msg=key)


def test_a_known_form_is_taken_as_compiled_until_the_next_check(monkeypatch):
    monkeypatch.setattr(jit, "compile_function", eager_compile)
    layer = torch.nn.Linear(2, 2)
    layer.factor = 2.0
    rechecked = jit.Rechecked(lambda x: x * layer.factor, True)
    ones, more = torch.ones(3, 2), torch.ones(4, 2)
    for batch in (ones, more, ones, more, ones.t().contiguous().t()):
        torch.testing.assert_close(rechecked((batch,)), batch * 2)
    layer.factor = 5.0
    torch.testing.assert_close(rechecked((ones,)), ones * 2)  # until the epoch ends
    rechecked.recheck()
    torch.testing.assert_close(rechecked((ones,)), ones * 5)
    torch.testing.assert_close(rechecked((ones,)), ones * 5)
    torch.testing.assert_close(rechecked((torch.ones(3, 2, dtype=torch.float64),)), torch.ones(3, 2, dtype=torch.float64) * 5)
    assert torch._dynamo.eval_frame._stance.skip_guard_eval_unsafe is False


def test_what_has_no_known_form_is_looked_at_each_time(monkeypatch):
    monkeypatch.setattr(jit, "compile_function", eager_compile)
    rechecked = jit.Rechecked(lambda x, factor: x * factor, True)
    for factor in (2.0, 3.0, 3.0, 4.0):
        torch.testing.assert_close(rechecked((torch.ones(2), factor)), torch.full((2,), factor))


def test_what_a_callback_changes_on_a_layer_takes_effect_in_the_next_epoch(monkeypatch):
    monkeypatch.setattr(jit, "compile_function", eager_compile)
    x, y, _ = data("plain_net")

    class Frozen(layers.Layer):
        """Times a number that is none of its weights."""

        factor = 1.0

        def call(self, inputs: Any) -> Any:
            return inputs * self.factor

    histories = []
    for mode in (False, True):
        random.set_random_seed(0)
        net = models.Sequential([layers.Dense(3, activation="softmax", input_shape=(6,)), Frozen()])

        def change(epoch: int, logs: Any, net: Any = net) -> None:
            net.layers[1].factor = 0.5

        net.compile("sgd", "sparse_categorical_crossentropy", jit_compile=mode)
        histories.append(net.fit(x, y, batch_size=BATCH, epochs=2, verbose=0, callbacks=[callbacks.LambdaCallback(on_epoch_end=change)]).history)
    np.testing.assert_allclose(histories[1]["loss"], histories[0]["loss"], rtol=1e-5)


def test_code_is_made_for_two_forms_each_and_then_for_any():
    counts = []

    def times(x: Any) -> Any:
        counts.append(tuple(x.shape))  # Dynamo leaves its marks where it looks at the code
        return x * 2

    asked: list[bool] = []

    class Fixed(jit.Rechecked):
        def _compiled_for(self, fixed: bool) -> Any:
            asked.append(fixed)
            return times

    rechecked = Fixed(times, True)
    for rows in (3, 2, 3, 4, 5, 2):
        rechecked((torch.ones(rows),))
    assert asked == [True, True, True, False, False, True]


def test_models_do_not_share_what_dynamo_keeps(monkeypatch):
    monkeypatch.setattr(jit, "compile_function", eager_compile)
    x, y, _ = data("plain_net")
    for activation in ("relu", "tanh", "sigmoid", "elu", "selu", "linear"):  # with two forms each more than Dynamo would compile of one function
        histories = []
        for mode in (False, True):
            random.set_random_seed(0)
            net = models.Sequential([layers.Dense(7, activation=activation, input_shape=(6,)), layers.Dense(3, activation="softmax")])
            net.compile("sgd", "sparse_categorical_crossentropy", jit_compile=mode)
            histories.append(net.fit(x, y, batch_size=BATCH, epochs=2, verbose=0).history["loss"])
        np.testing.assert_allclose(histories[1], histories[0], rtol=1e-5)
        assert net._engines.steps["jit_whole"][1]._compiled is not None
