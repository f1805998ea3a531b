"""Data that comes batch by batch trains as arrays do, and ends, fails and hangs in a way that one can understand."""

from __future__ import annotations

import itertools
import multiprocessing
import threading
import time
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from torchkeras import generations
from torchkeras.callbacks import Callback
from torchkeras.layers import Dense
from torchkeras.models import Model, Sequential
from torchkeras.utils import Sequence

RNG = np.random.default_rng(0)
X, Y = RNG.random((20, 4)).astype("float32"), RNG.integers(0, 3, 20)
PARTS = [slice(start, start + 4) for start in range(0, 20, 4)]


class Parts(Sequence):
    """The data in five batches; counts who asks for what."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.ended = 0

    def __len__(self) -> int:
        return len(PARTS)

    def __getitem__(self, index: int) -> Any:
        self.asked.append(index)
        return X[PARTS[index]], Y[PARTS[index]]

    def on_epoch_end(self) -> None:
        self.ended += 1


class Rows(Dataset):
    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, index: int) -> Any:
        return X[index], Y[index]


class Flow(IterableDataset):
    def __iter__(self) -> Any:
        return iter(zip(X, Y, strict=True))


def endless() -> Any:
    while True:
        for part in PARTS:
            yield X[part], Y[part]


def once(batches: int = 5) -> Any:
    for part in itertools.islice(itertools.cycle(PARTS), batches):
        yield X[part], Y[part]


def make(**kwargs: Any) -> Model:
    torch.manual_seed(0)
    model = Sequential([Dense(5, activation="relu", input_shape=(4,)), Dense(3, activation="softmax", name="p")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], **kwargs)
    return model


TENSORS = TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
SOURCES: dict[str, tuple[Any, dict[str, Any]]] = {
    "loader": (lambda: DataLoader(TENSORS, 4), {}),
    "loader of an iterable": (lambda: DataLoader(Flow(), 4), {}),
    "tensor data set": (lambda: TENSORS, {"batch_size": 4, "shuffle": False}),
    "data set": (Rows, {"batch_size": 4, "shuffle": False}),
    "iterable data set": (Flow, {"batch_size": 4}),
    "generator": (endless, {"steps_per_epoch": 5}),
    "generator with threads": (endless, {"steps_per_epoch": 5, "workers": 2}),
    "iterator": (lambda: map(tuple, once()), {"steps_per_epoch": 5, "epochs": 1}),
    "sequence": (Parts, {"shuffle": False}),
    "sequence without workers": (Parts, {"shuffle": False, "workers": 0}),
    "sequence with threads": (Parts, {"shuffle": False, "workers": 3}),
    "sequence with processes": (Parts, {"shuffle": False, "workers": 2, "use_multiprocessing": True}),
}


@pytest.mark.parametrize("name", SOURCES)
def test_all_sources_of_the_same_batches_give_the_same_weights(name: str):
    source, how = SOURCES[name]
    how = {"epochs": 2, **how}
    by_array, by_source = make(), make()
    expected = by_array.fit(X, Y, batch_size=4, epochs=how["epochs"], shuffle=False, verbose=0).history
    assert by_source.fit(source(), verbose=0, **how).history == expected
    for one, other in zip(by_array.get_weights(), by_source.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "source", [Parts, lambda: DataLoader(TENSORS, 4), lambda: TENSORS, once], ids=["sequence", "loader", "data set", "generator"]
)
def test_evaluate_and_predict_read_the_same_sources(source: Any):
    model = make()
    assert model.evaluate(source(), verbose=0) == pytest.approx(model.evaluate(X, Y, verbose=0), rel=1e-6)
    np.testing.assert_allclose(model.predict(source()), model.predict(X), rtol=1e-6)


def test_validation_reads_sources_too_and_a_generator_goes_on():
    model, seen = make(), []

    def numbered() -> Any:
        for number in itertools.count():
            seen.append(number)
            yield X[PARTS[number % 5]], Y[PARTS[number % 5]]

    history = model.fit(X, Y, epochs=2, verbose=0, validation_data=numbered(), validation_steps=3).history
    assert len(history["val_loss"]) == 2
    assert seen == list(range(6))
    history = model.fit(X, Y, epochs=4, verbose=0, validation_data=Parts(), validation_freq=2).history
    assert len(history["val_loss"]) == 2
    history = model.fit(X, Y, epochs=4, verbose=0, validation_data=DataLoader(TENSORS, 7), validation_freq=[1]).history
    assert len(history["val_loss"]) == 1


# -- a Sequence


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_a_sequence_is_asked_once_an_epoch_for_each_batch(workers: int):
    data, model = Parts(), make()
    model.fit(data, epochs=3, verbose=0, shuffle=False, workers=workers)
    asked = data.asked[:15]
    assert [sorted(asked[start : start + 5]) for start in (0, 5, 10)] == [list(range(5))] * 3
    # with workers the enqueuer tells the sequence, as Keras' does; the end of training may come before the last word
    assert data.ended == 3 if workers == 0 else data.ended in (2, 3)


def test_a_shuffled_sequence_comes_in_another_order():
    data, model = Parts(), make()
    model.fit(data, epochs=4, verbose=0, shuffle=True, workers=0)
    orders = [data.asked[start : start + 5] for start in range(0, 20, 5)]
    assert all(sorted(order) == list(range(5)) for order in orders)
    assert len({tuple(order) for order in orders}) > 1


# -- ends


def test_a_generator_that_ends_early_warns_and_keeps_the_history():
    model = make()
    with pytest.warns(UserWarning, match=r"ran out of data; interrupting training.*in this case, 15 batches"):
        history = model.fit(once(7), steps_per_epoch=5, epochs=3, verbose=0)
    assert len(history.history["loss"]) == 2
    assert int(model.optimizer.iterations) == 7


def test_a_generator_without_steps_is_read_to_its_end():
    model = make()
    assert len(model.fit(once(7), verbose=0).history["loss"]) == 1
    assert int(model.optimizer.iterations) == 7
    generations.set_keras_version("2.2.4")
    with pytest.raises(ValueError, match=r"`steps_per_epoch=None` is only valid for a generator based on"):
        make().fit(once(7), verbose=0)


def test_known_endless_iterators_need_steps():
    with pytest.raises(ValueError, match="`steps_per_epoch=None` is only valid"):
        make().fit(itertools.repeat((X, Y)), verbose=0)


def test_a_loader_begins_anew_where_an_epoch_wants_more():
    model = make()
    model.fit(DataLoader(TENSORS, 4), steps_per_epoch=8, epochs=2, verbose=0)
    assert int(model.optimizer.iterations) == 16


# -- failures


class Broken(RuntimeError):
    pass


class Breaks(Parts):
    def __getitem__(self, index: int) -> Any:
        if index == 3:
            raise Broken("batch 3 is broken")
        return super().__getitem__(index)


@pytest.mark.parametrize("how", [{"workers": 0}, {"workers": 2}, {"workers": 2, "use_multiprocessing": True}], ids=str)
def test_an_error_in_the_data_ends_fit_with_itself_and_leaves_nobody_behind(how: dict[str, Any]):
    model, began = make(), time.monotonic()
    with pytest.raises(Broken, match="batch 3 is broken") as caught:
        model.fit(Breaks(), epochs=2, verbose=0, shuffle=False, **how)
    assert time.monotonic() - began < 10  # a second is meant; the machine may be busy
    text = "".join(map(str, caught.traceback)) + str(caught.value.__cause__)
    assert "__getitem__" in text
    assert not multiprocessing.active_children()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("torchkeras-worker")]
    assert int(model.optimizer.iterations) == 3


def test_an_error_in_a_generator_shows_its_own_line():
    def broken() -> Any:
        yield X[:4], Y[:4]
        raise Broken("after one batch")

    with pytest.raises(Broken, match="after one batch") as caught:
        make().fit(broken(), steps_per_epoch=3, verbose=0)
    assert caught.traceback[-1].name == "broken"


def test_a_worker_that_hangs_is_reported_by_name_after_the_time_set():
    release = threading.Event()

    class Hangs(Parts):
        def __getitem__(self, index: int) -> Any:
            if index == 2:
                release.wait(20)
            return super().__getitem__(index)

    try:
        with pytest.raises(TimeoutError, match=r"A worker hangs: no batch came for 0.3 s.*Batch .*2.* is made by worker thread"):
            make().fit(Hangs(), verbose=0, shuffle=False, workers=1, hang_timeout=0.3)
    finally:
        release.set()


def test_ctrl_c_keeps_whole_steps_and_the_history_so_far():
    class Presses(Callback):
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            if len(self.model.history.epoch) == 2 and batch == 1:
                raise KeyboardInterrupt

    model, plain = make(), make()
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, batch_size=4, epochs=5, verbose=0, shuffle=False, callbacks=[Presses()])
    assert model.history.epoch == [0, 1]
    assert int(model.optimizer.iterations) == 11
    plain.fit(X, Y, batch_size=4, epochs=2, verbose=0, shuffle=False)
    plain.train_on_batch(X[:4], Y[:4])
    for one, other in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not model.training
    model.fit(X, Y, epochs=1, verbose=0)  # goes on as if nothing had been


# -- weights and forms of batches


def test_class_weights_reach_the_batches_of_a_generator():
    weights = {0: 1.0, 1: 2.0, 2: 0.5}
    by_array, by_generator = make(), make()
    expected = by_array.fit(X, Y, batch_size=4, epochs=2, shuffle=False, verbose=0, class_weight=weights).history
    assert by_generator.fit(endless(), steps_per_epoch=5, epochs=2, verbose=0, class_weight=weights).history == expected
    with pytest.raises(ValueError, match="must contain all classes in the data"):
        make().fit(endless(), steps_per_epoch=5, verbose=0, class_weight={0: 1.0})


def test_sample_weights_come_as_the_third_of_a_batch():
    weights = RNG.random(20)
    by_array, by_generator = make(), make()
    expected = by_array.fit(X, Y, batch_size=4, shuffle=False, verbose=0, sample_weight=weights).history
    batches = ((X[part], Y[part], weights[part]) for part in PARTS)
    assert by_generator.fit(batches, steps_per_epoch=5, verbose=0).history == expected


def test_batches_of_lists_and_dicts():
    model = make()
    model.fit(([X[part], Y[part]] for part in PARTS), steps_per_epoch=5, verbose=0)
    name = model.input_names[0]
    model.fit((({name: X[part]}, {"p": Y[part]}) for part in PARTS), steps_per_epoch=5, verbose=0)
    assert int(model.optimizer.iterations) == 10


@pytest.mark.parametrize(
    ("batch", "match"),
    [
        ((X, Y, np.ones(20), 1), r"must be \(x, y\) or \(x, y, sample_weight\), but got a tuple of 4"),
        (X, "but got inputs only: ndarray"),
        ((X, Y[:3]), r"same number of samples, but got x: 20, y: 3.*In batch 1 of the data given to fit"),
        ((X[:, :2], Y), r"expected dense_input to have shape \(4,\) but got array with shape \(2,\)"),
        ((X, np.full(20, 9)), "class ids from 9 to 9"),
    ],
)
def test_batches_that_do_not_fit_are_refused_before_anything_is_trained(batch: Any, match: str):
    model = make()
    before = model.get_weights()
    with pytest.raises(ValueError, match=match):
        model.fit(iter([batch]), steps_per_epoch=1, verbose=0)
    for was, now in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(was, now)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"y": Y}, "fit got y beside a Parts, which gives its own"),
        ({"sample_weight": np.ones(20)}, "fit got sample_weight beside a Parts"),
        ({"batch_size": 4}, "`batch_size` argument must not be given to fit together with a Parts"),
        ({"validation_split": 0.5}, "`validation_split` is only supported for arrays and tensors, but got a Parts"),
        ({"steps_per_epoch": 0}, "steps_per_epoch of at least 1, or None, but got 0"),
    ],
)
def test_arguments_that_do_not_go_with_batches_are_refused(arguments: dict[str, Any], match: str):
    with pytest.raises(ValueError, match=match):
        make().fit(Parts(), verbose=0, **arguments)
