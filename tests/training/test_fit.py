"""The arguments of fit, evaluate and predict do what Keras documents."""

from __future__ import annotations

import signal
from typing import Any

import numpy as np
import pandas
import pytest
import torch

from tests.training.small import RNG, TARGETS, X, Y, equal, make, same, two_outputs
from torchkeras import generations, utils
from torchkeras.callbacks import Callback
from torchkeras.layers import Dense, Dropout
from torchkeras.models import Sequential
from torchkeras.training.interrupts import Interrupts

# -- seeds and orders


@pytest.mark.parametrize("version", ["2.2.4", "2.4.0"])
def test_a_seeded_fit_gives_the_same_history_twice(version: str):
    generations.set_keras_version(version)

    def run() -> Any:
        utils.set_random_seed(7)
        model = Sequential([Dense(8, activation="relu", input_shape=(4,)), Dropout(0.5), Dense(3, activation="softmax")])
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model.fit(X, Y, batch_size=4, epochs=3, verbose=0, validation_split=0.2).history, model.get_weights()

    (first, weights), (second, again) = run(), run()
    assert first == second
    for one, other in zip(weights, again, strict=True):
        np.testing.assert_array_equal(one, other)


class Order(Callback):
    """Keeps the first column of each batch."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[float] = []

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.seen += self.model.trainer.state.batch[0][:, 0].tolist()


def order_of(shuffle: Any, epochs: int = 1, size: int = 4, count: int = 10) -> list[float]:
    model, order = Sequential([Dense(1, input_shape=(1,))]), Order()
    model.compile("sgd", "mse")
    model.fit(np.arange(count), np.zeros(count), batch_size=size, epochs=epochs, shuffle=shuffle, verbose=0, callbacks=[order])
    return order.seen


def test_shuffle_says_in_which_order_samples_come():
    assert order_of(False) == list(range(10))
    shuffled = order_of(True, epochs=2)
    assert sorted(shuffled[:10]) == sorted(shuffled[10:]) == list(range(10))
    assert shuffled[:10] != shuffled[10:]
    batches = order_of("batch", count=18)
    assert batches[16:] == [16, 17]
    assert sorted(batches) == list(range(18))
    assert all(batches[start + 3] - batches[start] == 3 for start in range(0, 16, 4))


def test_keras_2_shuffles_one_list_again_and_again_by_numpy():
    generations.set_keras_version("2.2.4")
    np.random.seed(3)
    got = order_of(True, epochs=2)
    np.random.seed(3)
    expected = np.arange(10)
    np.random.shuffle(expected)
    first = expected.copy()
    np.random.shuffle(expected)
    assert got == [*first, *expected]


def test_an_unknown_order_is_refused():
    with pytest.raises(ValueError, match="shuffle=True, False or 'batch', but got 'rows'"):
        order_of("rows")


# -- sizes and steps


def test_steps_per_epoch_ends_each_epoch_of_arrays_early():
    model, order = Sequential([Dense(1, input_shape=(1,))]), Order()
    model.compile("sgd", "mse")
    model.fit(np.arange(10), np.zeros(10), batch_size=2, epochs=2, steps_per_epoch=3, shuffle=False, verbose=0, callbacks=[order])
    assert order.seen == [0, 1, 2, 3, 4, 5] * 2


def test_steps_without_a_batch_size_divide_the_data():
    model = make()
    model.fit(X, Y, steps_per_epoch=4, verbose=0)
    assert int(model.optimizer.iterations) == 4
    with pytest.raises(ValueError, match="steps_per_epoch=9, but 20 samples make 5 batches of 4"):
        model.fit(X, Y, batch_size=4, steps_per_epoch=9, verbose=0)
    assert len(model.predict(X, batch_size=4, steps=2)) == 8


def test_initial_epoch_counts_on():
    model, epochs = make(), []

    class Tells(Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            epochs.append(epoch)

    history = model.fit(X, Y, epochs=5, initial_epoch=3, verbose=0, callbacks=[Tells()])
    assert epochs == history.epoch == [3, 4]
    assert model.fit(X, Y, epochs=3, initial_epoch=3, verbose=0).epoch == []


@pytest.mark.parametrize(("name", "value"), [("epochs", -1), ("epochs", 1.5), ("initial_epoch", "0"), ("validation_freq", 0)])
def test_impossible_numbers_of_epochs_are_refused(name: str, value: Any):
    with pytest.raises(ValueError, match=f"fit needs {name} of at least"):
        make().fit(X, Y, verbose=0, **{name: value})


def test_the_models_own_batch_size_counts():
    model = Sequential([Dense(1, batch_input_shape=(5, 4))])
    model.compile("sgd", "mse")
    model.fit(X, X[:, :1], verbose=0)
    assert int(model.optimizer.iterations) == 4
    with pytest.raises(ValueError, match="`batch_size` argument value 4 is incompatible with the batch size 5"):
        model.fit(X, X[:, :1], batch_size=4, verbose=0)


# -- forms of data


@pytest.mark.parametrize(
    "x",
    [X.astype("float64"), X.tolist(), torch.from_numpy(X), pandas.DataFrame(X), [X], {"in": X}, X[::-1][::-1], X.astype(">f4")],
    ids=["float64", "lists", "tensor", "pandas", "list of one", "dict", "reversed twice", "other byte order"],
)
def test_data_in_any_form_give_the_same_training(x: Any):
    one, other = two_outputs(), two_outputs()
    one.fit(X, TARGETS, epochs=2, shuffle=False, verbose=0)
    other.fit(x, {"b": TARGETS[1].astype("float64"), "a": pandas.Series(TARGETS[0][:, 0])}, epochs=2, shuffle=False, verbose=0)
    equal(one, other)


def test_in_memory_data_is_not_copied():
    model = make()
    seen = []

    class Looks(Callback):
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            seen.append(self.model.trainer.state.batch[0].data_ptr())

    model.fit(X, Y, batch_size=10, shuffle=False, verbose=0, callbacks=[Looks()])
    assert seen == [X.ctypes.data, X.ctypes.data + 10 * 4 * 4]


# -- validation


def test_validation_split_takes_the_last_part_before_shuffling():
    one, other = make(), make()
    expected = one.fit(X[:15], Y[:15], validation_data=(X[15:], Y[15:]), batch_size=15, verbose=0).history
    same(other.fit(X, Y, validation_split=0.25, batch_size=15, verbose=0).history, expected)


def test_validation_data_comes_before_validation_split():
    one, other = make(), make()
    expected = one.fit(X, Y, validation_data=(X[:3], Y[:3]), shuffle=False, verbose=0).history
    assert other.fit(X, Y, validation_data=(X[:3], Y[:3]), validation_split=0.5, shuffle=False, verbose=0).history == expected


@pytest.mark.parametrize(("version", "weighted"), [("2.2.4", True), ("2.4.0", False)])
def test_class_weights_count_in_the_validation_split_of_keras_2(version: str, weighted: bool):
    generations.set_keras_version(version)
    weights = {0: 1.0, 1: 5.0, 2: 0.2}
    one, other = make(), make()
    how = {"batch_size": 20, "shuffle": False, "verbose": 0}
    got = one.fit(X, Y, validation_split=0.5, class_weight=weights, **how).history["val_loss"]
    val = (X[10:], Y[10:], np.array([weights[y] for y in Y[10:]])) if weighted else (X[10:], Y[10:])
    expected = other.fit(X[:10], Y[:10], validation_data=val, class_weight=weights, **how).history["val_loss"]
    assert got == pytest.approx(expected)


def test_sample_weights_are_split_with_the_data():
    weights = RNG.random(20)
    one, other = make(), make()
    how = {"batch_size": 20, "verbose": 0}
    expected = one.fit(X[:10], Y[:10], sample_weight=weights[:10], validation_data=(X[10:], Y[10:], weights[10:]), **how).history
    same(other.fit(X, Y, sample_weight=weights, validation_split=0.5, **how).history, expected)


@pytest.mark.parametrize("data", [(X,), (X, Y, Y, Y), {"x": X}, 3])
def test_validation_data_of_another_form_is_refused(data: Any):
    with pytest.raises(ValueError, match=r"validation_data must be \(x_val, y_val\) or \(x_val, y_val, val_sample_weights\)"):
        make().fit(X, Y, validation_data=data, verbose=0)


def test_wrong_validation_data_is_refused_before_training():
    model = make()
    before = model.get_weights()
    with pytest.raises(ValueError, match=r"expected dense_input to have shape \(4,\) but got array with shape \(3,\)"):
        model.fit(X, Y, validation_data=(X[:, :3], Y), verbose=0)
    np.testing.assert_array_equal(before[0], model.get_weights()[0])


# -- one batch, and the generator methods


def test_metrics_go_on_over_batches_unless_reset():
    model = make()
    first, second = model.test_on_batch(X[:10], Y[:10]), model.test_on_batch(X[10:], Y[10:])
    model.reset_metrics()
    model.test_on_batch(X[:10], Y[:10], reset_metrics=False)
    both = model.test_on_batch(X[10:], Y[10:], reset_metrics=False)
    assert both == pytest.approx([(one + other) / 2 for one, other in zip(first, second, strict=True)], rel=1e-5)
    assert set(model.train_on_batch(X, Y, return_dict=True)) == {"loss", "accuracy"}


def test_the_generator_methods_are_the_older_names():
    model = make()

    def endless() -> Any:
        while True:
            yield X, Y

    history = model.fit_generator(endless(), steps_per_epoch=2, epochs=3, verbose=0, max_queue_size=2, workers=1, use_multiprocessing=False)
    assert len(history.epoch) == 3
    assert model.evaluate_generator(endless(), 1) == pytest.approx(model.evaluate(X, Y, verbose=0))
    assert len(model.predict_generator(endless(), 2)) == 40


# -- Ctrl-C


@pytest.fixture
def ctrl_c():
    """Python's own handler, which a process that was started in the background lacks."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_waits_for_the_end_of_a_step():
    done = []

    def step(engine: Any, batch: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        done.append(batch)

    with pytest.raises(KeyboardInterrupt), Interrupts() as interrupts:
        interrupts.between(step)(None, 1)
    assert done == [1]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.usefixtures("ctrl_c")
def test_a_second_ctrl_c_does_not_wait():
    def step(engine: Any, batch: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("not reached")

    with pytest.raises(KeyboardInterrupt), Interrupts() as interrupts:
        interrupts.between(step)(None, 1)


# -- Ignite


def test_the_engine_is_one_of_ignite_and_its_output_has_names():
    from ignite.engine import Engine, Events
    from ignite.metrics import Accuracy

    model, outputs = make(), []
    assert isinstance(model.trainer, Engine)
    model.trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: outputs.append(set(engine.state.output)))
    Accuracy(output_transform=lambda output: (output["y_pred"], output["y"][:, 0])).attach(model.trainer, "ignite_accuracy")
    history = model.fit(X, Y, batch_size=10, verbose=0).history
    assert outputs == [{"y_pred", "y", "loss"}] * 2
    assert history["ignite_accuracy"] == pytest.approx(history["accuracy"])


def test_a_callback_that_does_nothing_is_not_asked_after_a_batch():
    from ignite.engine import Events

    class Empty(Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            handlers = self.model.trainer._event_handlers
            counts.append([len(handlers[event]) for event in (Events.ITERATION_STARTED, Events.ITERATION_COMPLETED)])

    counts: list[list[int]] = []
    make().fit(X, Y, verbose=0, callbacks=[Empty()])
    assert counts == [[0, 0]]


def test_the_engine_writes_its_log_where_one_is_kept(caplog: pytest.LogCaptureFixture):
    with caplog.at_level("DEBUG", logger="torchkeras.engine"):
        make().fit(X, Y, verbose=0)
    assert any("Firing handlers for event" in record.message for record in caplog.records)
