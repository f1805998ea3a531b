"""EarlyStopping, ReduceLROnPlateau and ModelCheckpoint on random values, against a direct reading of Keras' rules."""

from __future__ import annotations

import math
import tempfile
import warnings
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from torchkeras.callbacks import EarlyStopping, ModelCheckpoint, ReduceLROnPlateau

VALUES = st.lists(st.one_of(st.floats(-2, 2, width=16), st.just(math.nan), st.just(None)), min_size=1, max_size=14)
MODES = st.sampled_from(["min", "max"])


class Optimizer:
    """A rate in float32, as Keras keeps it."""

    def __init__(self, lr):
        self._lr = np.float32(lr)

    @property
    def lr(self):
        return float(self._lr)

    @lr.setter
    def lr(self, value):
        self._lr = np.float32(value)


class Model:
    def __init__(self, folder=None):
        self.optimizer = Optimizer(0.5)
        self.stop_training = False
        self.folder = folder
        self.weights = [np.zeros(1)]
        self.saved = []

    def get_weights(self):
        return [weight.copy() for weight in self.weights]

    def set_weights(self, weights):
        self.weights = [weight.copy() for weight in weights]

    def save(self, path, overwrite=True):
        self.saved.append((Path(path).name, float(self.weights[0][0])))

    save_weights = save


def _run(callback, values):
    """A training whose weights are the number of the epoch; the epochs that ran."""
    model = Model()
    callback.set_model(model)
    callback.on_train_begin({})
    for epoch, value in enumerate(values):
        model.weights = [np.full(1, float(epoch))]
        callback.on_epoch_begin(epoch, {})
        callback.on_epoch_end(epoch, {"loss": 1.0} if value is None else {"loss": 1.0, "m": value})
        if model.stop_training:
            break
    ran = epoch + 1
    callback.on_train_end({})
    return model, ran


@settings(max_examples=300, deadline=None)
@given(VALUES, MODES, st.integers(0, 3), st.floats(0, 0.5, width=16), st.one_of(st.none(), st.floats(-1, 1, width=16)))
def test_early_stopping_follows_the_rule(values, mode, patience, min_delta, baseline):
    sign = 1 if mode == "max" else -1
    best, wait, best_epoch, stop = (baseline if baseline is not None else -sign * math.inf), 0, None, None
    for epoch, value in enumerate(values):
        if value is None:
            continue
        if sign * (value - sign * min_delta) > sign * best:
            best, wait, best_epoch = value, 0, epoch
        else:
            wait += 1
            if wait >= patience:
                stop = epoch
                break
    callback = EarlyStopping("m", min_delta=min_delta, patience=patience, mode=mode, baseline=baseline, restore_best_weights=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of values that are missing
        model, ran = _run(callback, values)
    assert ran == (len(values) if stop is None else stop + 1)
    assert model.stop_training == (stop is not None)
    assert callback.stopped_epoch == (stop or 0)
    assert (callback.best, callback.wait) == (best, wait)
    kept = best_epoch if stop is not None and best_epoch is not None else ran - 1
    assert model.weights[0][0] == kept


@settings(max_examples=300, deadline=None)
@given(
    VALUES, MODES, st.integers(0, 3), st.sampled_from([1e-4, 0.25]), st.integers(0, 2), st.sampled_from([0.5, 0.1]), st.sampled_from([0.0, 0.05, 0.2])
)
def test_reduce_lr_follows_the_rule(values, mode, patience, min_delta, cooldown, factor, min_lr):
    sign = 1 if mode == "max" else -1
    rate, best, wait, cooling = np.float32(0.5), -sign * math.inf, 0, 0
    for value in values:
        if value is None:
            continue
        if cooling > 0:
            cooling, wait = cooling - 1, 0
        if sign * value > sign * best + min_delta:
            best, wait = value, 0
        elif cooling <= 0:
            wait += 1
            if wait >= patience and float(rate) > min_lr:
                rate, cooling, wait = np.float32(max(float(rate) * factor, min_lr)), cooldown, 0
    callback = ReduceLROnPlateau("m", factor, patience, mode=mode, min_delta=min_delta, cooldown=cooldown, min_lr=min_lr)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of values that are missing
        model, _ = _run(callback, values)
    assert model.optimizer.lr == float(rate)
    assert (callback.best, callback.wait, callback.cooldown_counter) == (best, wait, cooling)


@settings(max_examples=300, deadline=None)
@given(VALUES, MODES, st.booleans(), st.integers(1, 3))
def test_checkpoints_follow_the_rule(values, mode, best_only, period):
    sign = 1 if mode == "max" else -1
    best, since, saved = -sign * math.inf, 0, []
    for epoch, value in enumerate(values):
        since += 1
        if since >= period:
            since = 0
            if not best_only:
                saved.append((f"{epoch + 1:02d}.h5", float(epoch)))
            elif value is not None and sign * value > sign * best:
                best = value
                saved.append((f"{epoch + 1:02d}.h5", float(epoch)))
    callback = ModelCheckpoint(Path(tempfile.gettempdir()) / "{epoch:02d}.h5", "m", mode=mode, save_best_only=best_only, period=period)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of values that are missing
        model, _ = _run(callback, values)
    assert model.saved == saved
    assert callback.best == best


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=5), st.integers(1, 7))
def test_checkpoints_every_so_many_batches_count_over_epochs(lengths, freq):
    """A batch counts once, whichever epoch it is in; at an epoch's start those since the last one counted are added."""
    callback = ModelCheckpoint(Path(tempfile.gettempdir()) / "{epoch}-{batch}.h5", save_freq=freq)
    model = Model()
    callback.set_model(model)
    callback.on_train_begin({})
    wanted, since, last = [], 0, 0
    for epoch, length in enumerate(lengths):
        callback.on_epoch_begin(epoch, {})
        for batch in range(length):
            since += batch + 1 if batch <= last else batch - last
            last = batch
            if since >= freq:
                since = 0
                wanted.append(f"{epoch + 1}-{batch + 1}.h5")
            callback.on_train_batch_end(batch, {"loss": 1.0})
        callback.on_epoch_end(epoch, {"loss": 1.0})
    assert [name for name, _ in model.saved] == wanted


@settings(max_examples=150, deadline=None)
@given(VALUES, st.integers(0, 13), MODES, st.integers(1, 3), st.sampled_from(["stopping", "plateau", "checkpoint"]))
def test_a_state_carries_a_callback_over_a_resume(values, cut, mode, patience, which):
    """Stopped after any epoch and gone on with in a new object, a callback does what it would have done in one run."""

    def make():
        if which == "stopping":
            return EarlyStopping("m", patience=patience, mode=mode, restore_best_weights=True)
        if which == "plateau":
            return ReduceLROnPlateau("m", 0.5, patience, mode=mode, cooldown=1)
        return ModelCheckpoint(Path(tempfile.gettempdir()) / "{epoch:02d}.h5", "m", mode=mode, save_best_only=True, period=patience)

    def run(callback, model, epochs):
        for epoch in epochs:
            if model.stop_training:
                break
            model.weights = [np.full(1, float(epoch))]
            callback.on_epoch_begin(epoch, {})
            callback.on_epoch_end(epoch, {"m": values[epoch]} if values[epoch] is not None else {})

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of values that are missing
        results = []
        for parts in ([range(len(values))], [range(min(cut, len(values))), range(min(cut, len(values)), len(values))]):
            model, state = Model(), None
            for part in parts:
                callback = make()
                callback.set_model(model)
                callback.on_train_begin({})
                if state is not None:
                    callback.load_state_dict(state)
                run(callback, model, part)
                state = callback.state_dict()
            results.append((model.stop_training, model.optimizer.lr, model.saved, float(model.weights[0][0]), callback.best))
    assert results[0] == results[1]
