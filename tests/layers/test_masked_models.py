"""Dense, packed and scan agree through nested models, Bidirectional and TimeDistributed, to the loss and its gradients; padding never counts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from torchkeras import generations
from torchkeras.layers import GRU, LSTM, Bidirectional, Concatenate, Dense, Embedding, Input, Masking, SimpleRNN, TimeDistributed
from torchkeras.models import Model, Sequential
from torchkeras.utils import set_random_seed

FORMS = ["auto", "dense", "packed", "scan"]
KINDS = {"lstm": LSTM, "gru": GRU, "rnn": SimpleRNN}
STEPS = 6


def tagger(kind, form, backwards):
    """A functional model around a nested one: words -> tags, with a Bidirectional, a TimeDistributed and stacked layers on the way."""
    layer = KINDS[kind]
    inner = Sequential(
        [Bidirectional(layer(3, return_sequences=True, masked=form), input_shape=(None, 4)), layer(3, return_sequences=True, masked=form)],
        name="inner",
    )
    ids = Input((None,))
    words = Embedding(7, 4, mask_zero=True)(ids)
    read = layer(3, return_sequences=True, go_backwards=backwards, masked=form)(words)
    joined = Concatenate()([inner(words), read])
    return Model(ids, TimeDistributed(Dense(5, activation="softmax"))(joined))


def reader(kind, form, backwards):
    """Sentences of words: TimeDistributed over a masked layer, then another over the sentences."""
    layer = KINDS[kind]
    sentences = Input((None, 3, 2))
    words = TimeDistributed(Sequential([Masking(input_shape=(3, 2)), layer(3, masked=form)]))(sentences)
    return Model(sentences, Dense(1)(Bidirectional(layer(2, go_backwards=backwards, masked=form))(words)))


def loss_and_gradients(make, weights, x, y, loss):
    model = make()
    if weights is not None:
        model.set_weights(weights)
    model.compile("sgd", loss)
    value = model.train_on_batch(x, y)
    return float(value), model.get_weights(), model


batches = st.integers(1, 4).flatmap(lambda rows: st.lists(st.lists(st.integers(0, 6), min_size=STEPS, max_size=STEPS), min_size=rows, max_size=rows))


@pytest.mark.parametrize("version", ["2.4.0", "2.2.4"])
@settings(max_examples=12, deadline=None)
@given(kind=st.sampled_from(list(KINDS)), rows=batches, backwards=st.booleans(), seed=st.integers(0, 100))
def test_forms_agree_to_the_loss(version, kind, rows, backwards, seed):
    with generations.using_keras_version(version):
        x, y = np.array(rows), (np.array(rows) * 3 + 1) % 5
        set_random_seed(seed)
        weights = tagger(kind, "auto", backwards).get_weights()
        found = {
            form: loss_and_gradients(lambda form=form: tagger(kind, form, backwards), weights, x, y, "sparse_categorical_crossentropy")
            for form in FORMS
        }
    for form in FORMS[1:]:
        assert found[form][0] == pytest.approx(found["auto"][0], rel=1e-5, abs=1e-6)
        for mine, theirs in zip(found[form][1], found["auto"][1], strict=True):  # a step of SGD: the gradients
            np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)


@settings(max_examples=15, deadline=None)
@given(kind=st.sampled_from(list(KINDS)), lengths=st.lists(st.integers(0, 3), min_size=8, max_size=8), seed=st.integers(0, 100))
def test_forms_agree_under_masks_inside_time_distributed(kind, lengths, seed):
    set_random_seed(seed)
    x = np.random.default_rng(seed).normal(size=(2, 4, 3, 2)).astype("float32")
    x *= (np.arange(3) < np.array(lengths).reshape(2, 4, 1))[..., None]
    weights = reader(kind, "auto", False).get_weights()
    found = [loss_and_gradients(lambda form=form: reader(kind, form, False), weights, x, np.ones((2, 1)), "mse") for form in FORMS]
    for value, trained, _ in found[1:]:
        assert value == pytest.approx(found[0][0], rel=1e-5, abs=1e-6)
        for mine, theirs in zip(trained, found[0][1], strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)


@settings(max_examples=12, deadline=None)
@given(
    kind=st.sampled_from(list(KINDS)), lengths=st.lists(st.integers(1, STEPS), min_size=1, max_size=4), seed=st.integers(0, 100), left=st.booleans()
)
def test_each_row_is_tagged_as_if_alone(kind, lengths, seed, left):
    """Through the whole functional model: what stands in the padding, and what the other rows are, does not matter."""
    set_random_seed(seed)
    model = tagger(kind, "auto", False)
    generator = np.random.default_rng(seed)
    rows = [generator.integers(1, 7, length) for length in lengths]
    padded = np.stack([np.pad(row, (STEPS - len(row), 0) if left else (0, STEPS - len(row))) for row in rows])
    together = model.predict(padded)
    for row, tags in zip(rows, together, strict=True):
        own = tags[STEPS - len(row) :] if left else tags[: len(row)]
        np.testing.assert_allclose(own, model.predict(row[None])[0], rtol=1e-5, atol=1e-6)


def test_a_model_of_ones_own_hands_no_input_mask_on():
    class Own(Model):
        def __init__(self):
            super().__init__()
            self.read = LSTM(3)

        def call(self, inputs):
            return self.read(inputs)

    x = torch.ones(2, 4, 3)
    x._keras_mask = torch.tensor([[True, True, False, False]] * 2)
    assert getattr(Own()(x), "_keras_mask", None) is None


def test_a_model_runs_once_for_a_masked_batch():
    calls = []

    class Counted(Dense):
        def call(self, inputs):
            calls.append(1)
            return super().call(inputs)

    model = Sequential([LSTM(3, input_shape=(None, 2)), Counted(1)])
    x = torch.ones(2, 4, 2)
    x._keras_mask = torch.tensor([[True, True, False, False]] * 2)
    calls.clear()
    torch.testing.assert_close(model(x), model(x[:, :2]))
    assert len(calls) == 2
