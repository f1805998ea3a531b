"""Rows of unequal length: each batch is padded to its longest row, masked, and gives what the padded and masked run gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from torchkeras import generations
from torchkeras.layers import GRU, LSTM, Bidirectional, Concatenate, Conv1D, Dense, Embedding, Input, Masking, TimeDistributed
from torchkeras.models import Model, Sequential
from torchkeras.preprocessing.sequence import Ragged, pad_sequences
from torchkeras.training.ragged import bucketed
from torchkeras.utils import set_random_seed

LENGTHS = [3, 1, 6, 2, 5, 4, 6, 2, 3, 1]
EXACT = {"rtol": 1e-5, "atol": 1e-7}


def ids(seed=0):
    generator = np.random.default_rng(seed)
    return [generator.integers(1, 9, length) for length in LENGTHS]


def tagger(mask_zero):
    set_random_seed(3)
    model = Sequential(
        [
            Embedding(9, 4, mask_zero=mask_zero, input_shape=(None,)),
            Bidirectional(GRU(3, return_sequences=True)),
            TimeDistributed(Dense(5, "softmax")),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def classifier(mask_zero=True):
    set_random_seed(3)
    model = Sequential([Embedding(9, 4, mask_zero=mask_zero, input_shape=(None,)), LSTM(3), Dense(1, "sigmoid")])
    model.compile("adam", "binary_crossentropy")
    return model


def same_weights(one, other):
    for mine, theirs in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, **EXACT)


def padded_batches(batches, *columns):
    """Each batch padded to its own longest row."""
    for rows in batches:
        yield tuple(pad_sequences([column[row] for row in rows], padding="post", dtype=column[0].dtype) for column in columns)


@pytest.mark.parametrize("keras", ["2.4.0", "2.2.4"])
@pytest.mark.parametrize("mask_zero", [True, False])
def test_fit_and_evaluate_give_what_the_padded_and_masked_run_gives(mask_zero, keras):
    with generations.using_keras_version(keras):
        rows, tags = ids(), [(row * 7 + 1) % 5 for row in ids()]
        mine, theirs = tagger(mask_zero), tagger(True)
        history = mine.fit(rows, tags, batch_size=4, epochs=2, shuffle=False, verbose=0).history
        batches = [range(4), range(4, 8), range(8, 10)]
        for epoch in range(2):
            data = [(x, y) for x, y in padded_batches(batches, rows, tags)]
            expected = theirs.fit(iter(data), steps_per_epoch=3, epochs=1, verbose=0).history
            assert history["loss"][epoch] == pytest.approx(expected["loss"][0], rel=1e-5)
            assert history["accuracy" if keras == "2.4.0" else "acc"][epoch] == pytest.approx(
                expected["accuracy" if keras == "2.4.0" else "acc"][0], rel=1e-5
            )
        same_weights(mine, theirs)
        expected = theirs.evaluate(iter(data), steps=3, verbose=0)
        assert mine.evaluate(rows, tags, batch_size=4, verbose=0) == pytest.approx(expected, rel=1e-5)


def test_the_order_is_that_of_arrays():
    rows, labels = ids(), np.arange(10.0) % 2
    mine, theirs = classifier(), classifier()
    for model, x in ((mine, rows), (theirs, pad_sequences(rows, padding="post"))):
        set_random_seed(5)
        model.fit(x, labels, batch_size=3, epochs=3, verbose=0)
    same_weights(mine, theirs)


def test_predict_gives_rows_as_they_came():
    rows = ids()
    model = tagger(True)
    for data in (rows, Ragged(rows), Ragged(rows, bucket=True)):
        found = model.predict(data, batch_size=3)
        assert [len(row) for row in found] == LENGTHS
        for row, tagged in zip(rows, found, strict=True):
            np.testing.assert_allclose(tagged, model.predict(row[None])[0], **EXACT)
    model = classifier()
    for data in (rows, Ragged(rows, bucket=True)):
        found = model.predict(data, batch_size=3)
        assert found.shape == (10, 1)
        np.testing.assert_allclose(found, np.concatenate([model.predict(row[None]) for row in rows]), **EXACT)


def test_nested_tensors_are_rows():
    rows, labels = ids(), np.arange(10.0) % 2
    parts = [torch.from_numpy(row) for row in rows]
    expected = classifier().evaluate(rows, labels, verbose=0)
    for layout in (torch.strided, torch.jagged):
        with pytest.warns() if layout is torch.strided else _nothing():
            nested = torch.nested.nested_tensor(parts, layout=layout)
        assert classifier().evaluate(nested, labels, verbose=0) == pytest.approx(expected)


class _nothing:
    def __enter__(self):
        return None

    def __exit__(self, *_):
        return None


def test_rows_of_vectors_need_no_masking_layer():
    generator = np.random.default_rng(0)
    rows = [generator.normal(size=(length, 3)).astype("float32") for length in LENGTHS]
    labels = np.arange(10.0)

    def make(masking):
        set_random_seed(1)
        model = Sequential([*([Masking()] if masking else []), LSTM(4, return_sequences=True), LSTM(2), Dense(1)])
        model.compile("sgd", "mse")
        return model

    mine, theirs = make(False), make(True)
    for model, x in ((mine, rows), (theirs, pad_sequences(rows, padding="post", dtype="float32"))):
        set_random_seed(5)
        model.fit(x, labels, batch_size=4, epochs=2, verbose=0, validation_split=0.3)
    same_weights(mine, theirs)
    assert mine.history.history["val_loss"] == pytest.approx(theirs.history.history["val_loss"], rel=1e-5)


@pytest.mark.parametrize("by_name", [False, True])
def test_several_inputs_each_have_lengths_of_their_own(by_name):
    def make():
        set_random_seed(1)
        one, other, size = Input((None,), name="one"), Input((None,), name="other"), Input((2,), name="size")
        embed = Embedding(9, 4, mask_zero=True)
        joined = Concatenate()([LSTM(3)(embed(one)), LSTM(3)(embed(other)), size])
        model = Model([one, other, size], Dense(1)(joined))
        model.compile("sgd", "mse")
        return model

    x = [ids(), ids(1)[::-1], np.ones((10, 2))]
    padded = [pad_sequences(x[0], padding="post"), pad_sequences(x[1], padding="post"), x[2]]
    mine, theirs = make(), make()
    for model, data in ((mine, x), (theirs, padded)):
        set_random_seed(5)
        model.fit(dict(zip(["one", "other", "size"], data, strict=True)) if by_name else data, np.ones(10), batch_size=4, epochs=2, verbose=0)
    same_weights(mine, theirs)
    np.testing.assert_allclose(mine.predict(x), theirs.predict(padded), **EXACT)


def test_rows_may_come_from_a_generator():
    rows, labels = ids(), np.arange(10.0) % 2
    mine, theirs = classifier(False), classifier(True)
    mine.fit(iter([(Ragged(rows), labels)]), steps_per_epoch=1, verbose=0)
    theirs.fit(rows, labels, batch_size=10, shuffle=False, verbose=0)
    same_weights(mine, theirs)


def test_buckets_hold_rows_of_like_length_and_every_row_once():
    lengths = np.random.default_rng(0).integers(1, 100, 1000)
    rows = np.random.default_rng(1).permutation(1000)
    for shuffled in (False, True):
        batches = bucketed(rows, lengths, 32, shuffled)
        assert sorted(np.concatenate(batches)) == list(range(1000))
        assert [len(batch) for batch in batches] == [32] * 31 + [8]
        full = sum(lengths[batch].max() * len(batch) for batch in batches)
        assert full < 1.15 * lengths.sum() < sum(lengths[rows[i : i + 32]].max() * 32 for i in range(0, 992, 32))


def test_training_in_buckets_is_training_on_those_batches():
    rows, labels = ids(), np.arange(10.0) % 2
    mine, theirs = classifier(), classifier()
    mine.fit(Ragged(rows, bucket=True), labels, batch_size=4, shuffle=False, verbose=0)
    order = np.argsort(LENGTHS, kind="stable")
    theirs.fit([rows[row] for row in order], labels[order], batch_size=4, shuffle=False, verbose=0)
    same_weights(mine, theirs)


def test_padding_of_targets_never_counts():
    """A convolution drops the mask, as in tf.keras; the targets still know where they end."""
    rows, tags = ids(), [row % 5 for row in ids()]
    model = Sequential([Embedding(9, 4, input_shape=(None,)), Conv1D(5, 1, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", weighted_metrics=["accuracy"])
    loss, accuracy = model.evaluate(rows, tags, batch_size=10, verbose=0)
    found = [model.predict(row[None])[0] for row in rows]
    losses = [-np.log(each[np.arange(len(tag)), tag]) for each, tag in zip(found, tags, strict=True)]
    assert loss == pytest.approx(sum(each.sum() for each in losses) / 60, rel=1e-5)  # tf.keras divides by all steps, 10 x 6
    right = np.concatenate([each.argmax(1) == tag for each, tag in zip(found, tags, strict=True)])
    assert accuracy == pytest.approx(right.mean(), rel=1e-5)
    with pytest.raises(ValueError, match=r"outputs of the shapes \(4, 6, 5\) and \(2, 3, 5\) from batches of rows of unequal length"):
        model.predict(rows, batch_size=4)


def test_weights_of_samples_enter():
    rows, labels = ids(), np.arange(10.0) % 2
    weight = np.linspace(0, 1, 10)
    mine, theirs = classifier(), classifier()
    mine.fit(rows, labels, sample_weight=weight, shuffle=False, verbose=0)
    theirs.fit(pad_sequences(rows, padding="post"), labels, sample_weight=weight, shuffle=False, verbose=0)
    same_weights(mine, theirs)


@pytest.mark.parametrize("keras", ["2.4.0", "2.2.4"])
@pytest.mark.parametrize("which", ["steps", "classes", "both", "rows and classes", "nested"])
def test_weights_of_steps_and_classes_enter(which, keras):
    """A class weight weighs each step by its class, which genuine Keras refuses for sequences: the same as weights of the steps."""
    rows, tags = ids(), [(row * 7 + 1) % 5 for row in ids()]
    generator = np.random.default_rng(2)
    steps = [generator.uniform(size=length).astype("float32") for length in LENGTHS]
    of_rows = np.linspace(0, 1, 10).astype("float32")
    by_class = {0: 1.0, 1: 3.0, 2: 0.5, 3: 2.0, 4: 0.0}
    classes = [np.array([by_class[int(tag)] for tag in row], "float32") for row in tags]
    with generations.using_keras_version(keras):
        product = keras == "2.4.0"
        given, expected = {
            "steps": ({"sample_weight": steps}, steps),
            "nested": ({"sample_weight": Ragged(steps)}, steps),
            "classes": ({"class_weight": by_class}, classes),
            "both": ({"sample_weight": steps, "class_weight": by_class}, [a * b if product else a for a, b in zip(steps, classes, strict=True)]),
            "rows and classes": (
                {"sample_weight": of_rows, "class_weight": by_class},
                [b * a if product else a + 0 * b for a, b in zip(of_rows, classes, strict=True)],
            ),
        }[which]
        mine, theirs = tagger(True), tagger(True)
        mine.compile("sgd", "sparse_categorical_crossentropy")
        theirs.compile("sgd", "sparse_categorical_crossentropy", sample_weight_mode="temporal")
        found = mine.fit(rows, tags, batch_size=4, shuffle=False, verbose=0, **given).history["loss"]
        data = list(padded_batches([range(4), range(4, 8), range(8, 10)], rows, tags, expected))
        losses = theirs.fit(iter(data), steps_per_epoch=3, verbose=0).history["loss"]
    assert found == pytest.approx(losses, rel=1e-5)
    same_weights(mine, theirs)


@pytest.mark.parametrize(
    ("rows", "error", "match"),
    [
        ([[1, 2], []], ValueError, "Row 1 has no steps: a sequence of length 0"),
        ([], ValueError, "got no rows"),
        ([np.ones((2, 3)), np.ones((2, 4))], ValueError, r"row 0 has the shape \(2, 3\) and row 1 the shape \(2, 4\)"),
        ([["a", "b"], ["c"]], TypeError, "row 0 has the type <U1"),
        ([[1, 2], 3], ValueError, r"row 1 the shape \(\)"),
        ([[1, [2, 3]]], ValueError, "Row 0 is no array"),
        (5, TypeError, "a list of rows or a nested tensor, but got int"),
    ],
)
def test_bad_rows_are_named(rows, error, match):
    with pytest.raises(error, match=match):
        Ragged(rows)


def test_data_that_do_not_fit_are_refused():
    rows, tags = ids(), [row % 5 for row in ids()]
    model = tagger(True)
    with pytest.raises(ValueError, match=r"row 0 of y has 4 steps and row 0 of x has 3"):
        model.fit(rows, [np.append(tags[0], 1), *tags[1:]], verbose=0)
    with pytest.raises(ValueError, match=r"x: 10, y: 9"):
        model.fit(rows, tags[:-1], verbose=0)
    with pytest.raises(ValueError, match="class ids from 0 to 7, but the output has 5 classes"):
        model.fit(rows, [tags[0] * 0 + 7, *tags[1:]], verbose=0)
    with pytest.raises(ValueError, match=r"must contain all classes in the data.* has the classes \[2, 3, 4\] too"):
        model.fit(rows, tags, class_weight={0: 1.0, 1: 2.0}, verbose=0)
    with pytest.raises(ValueError, match=r"row 1 of it has 2 steps and row 1 of y has 1"):
        model.fit(rows, tags, sample_weight=[np.ones(3), np.ones(2), *tags[2:]], verbose=0)
    with pytest.raises(ValueError, match="y has rows of unequal length, but x has not"):
        model.fit(pad_sequences(rows), Ragged(tags), verbose=0)
    fixed = Sequential([Embedding(9, 4, input_length=6), LSTM(3), Dense(1)])
    fixed.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"expected embedding\w* to have shape \(6,\) but got array with shape \(None,\)"):
        fixed.fit(Ragged(rows), np.ones(10), verbose=0)


def test_ragged_is_a_sequence_of_rows():
    rows = ids()
    ragged = Ragged(rows)
    assert len(ragged) == 10 and ragged.shape == (10, None) and "10 rows of 1 to 6 steps" in repr(ragged)
    np.testing.assert_array_equal(ragged[2], rows[2])
    part = ragged[4:7]
    assert [row.tolist() for row in (part[0], part[1], part[2])] == [row.tolist() for row in rows[4:7]]
    np.testing.assert_array_equal(part.values, np.concatenate(rows[4:7]))


@pytest.mark.parametrize("by_name", [False, True])
def test_rows_of_one_input_may_happen_to_be_of_one_length(by_name):
    def make():
        one, other = Input((None,), name="one"), Input((None,), name="other")
        return Model([one, other], Concatenate()([LSTM(3)(Embedding(9, 4)(one)), LSTM(3)(Embedding(9, 4)(other))]))

    model, same = make(), [np.array([number, 2]) for number in range(1, 9)] * 2
    x = [ids(), same[:10]]
    found = model.predict({"one": x[0], "other": x[1]} if by_name else x, batch_size=4)
    np.testing.assert_allclose(found[3:4], model.predict([x[0][3][None], x[1][3][None]]), **EXACT)


def test_a_model_of_ones_own_takes_rows_by_their_looks():
    class Two(Model):
        def __init__(self):
            super().__init__()
            self.embed, self.read = Embedding(9, 4), GRU(2)

        def call(self, inputs):
            return self.read(self.embed(inputs[0])) - self.read(self.embed(inputs[1]))

    set_random_seed(0)
    model = Two()
    found = model.predict([ids(), ids()[::-1]], batch_size=3)
    np.testing.assert_allclose(found, -found[::-1], **EXACT)
    np.testing.assert_allclose(found[2:3], model.predict([ids()[2][None], ids()[7][None]]), **EXACT)
