"""Weights of samples and classes, several outputs, and what compile settles."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.training.small import RNG, TARGETS, X, Y, equal, make, two_outputs
from torchkeras import generations, losses, metrics
from torchkeras.layers import BatchNormalization, Dense, Embedding, Input
from torchkeras.models import Model, Sequential
from torchkeras.optimizers import Adam

# -- weights


def test_some_outputs_may_have_weights_and_others_none():
    weights = RNG.random(20).astype("float32")
    model = two_outputs()
    made = model.predict(X)
    errors = [np.square(made[0] - TARGETS[0]).mean(-1), np.square(made[1] - TARGETS[1]).mean(-1)]
    for form in ([weights, None], {"a": weights}):
        got = model.evaluate(X, TARGETS, sample_weight=form, batch_size=20, verbose=0, return_dict=True)
        assert got["a_loss"] == pytest.approx((errors[0] * weights).mean(), rel=1e-5)
        assert got["b_loss"] == pytest.approx(errors[1].mean(), rel=1e-5)


def test_class_weights_by_output():
    inputs = Input((4,))
    model = Model(inputs, [Dense(3, activation="softmax", name="a")(inputs), Dense(3, activation="softmax", name="b")(inputs)])
    model.compile("sgd", "sparse_categorical_crossentropy")
    weights = {0: 1.0, 1: 2.0, 2: 3.0}
    by_hand = np.array([weights[y] for y in Y])
    expected = model.test_on_batch(X, [Y, Y], sample_weight=[by_hand, None])
    assert model.train_on_batch(X, [Y, Y], class_weight={"a": weights}) == pytest.approx(expected, rel=1e-5)
    with pytest.raises(ValueError, match=r"class_weight names the outputs \['c'\]"):
        model.fit(X, [Y, Y], class_weight={"c": weights}, verbose=0)


@pytest.mark.parametrize(("version", "both"), [("2.2.4", False), ("2.4.0", True)])
def test_class_and_sample_weights_together(version: str, both: bool):
    generations.set_keras_version(version)
    classes, samples = {0: 1.0, 1: 2.0, 2: 3.0}, RNG.random(20)
    by_hand = samples * np.array([classes[y] for y in Y]) if both else samples
    one, other = make(), make()
    one.fit(X, Y, sample_weight=samples, class_weight=classes, shuffle=False, verbose=0)
    other.fit(X, Y, sample_weight=by_hand, shuffle=False, verbose=0)
    equal(one, other)


def test_class_weights_of_one_hot_and_binary_targets():
    weights = {0: 1.0, 1: 4.0}
    y = Y % 2
    by_hand = np.where(y == 1, 4.0, 1.0)
    for units, activation, loss, target in (
        (2, "softmax", "categorical_crossentropy", np.eye(2)[y]),
        (1, "sigmoid", "binary_crossentropy", y),
        (1, "sigmoid", "binary_crossentropy", y[:, None].astype(bool)),
    ):
        model = Sequential([Dense(units, activation=activation, input_shape=(4,))])
        model.compile("sgd", loss)
        expected = model.test_on_batch(X, target, sample_weight=by_hand)
        assert model.train_on_batch(X, target, class_weight=weights) == pytest.approx(expected, rel=1e-5)


def test_weights_of_steps():
    model = Sequential([Dense(2, input_shape=(3, 4))])
    model.compile("sgd", "mse", sample_weight_mode="temporal")
    x, y, weights = RNG.random((5, 3, 4)).astype("float32"), RNG.random((5, 3, 2)), RNG.random((5, 3))
    error = np.square(model.predict(x) - y).mean(-1)
    assert model.evaluate(x, y, sample_weight=weights, verbose=0) == pytest.approx((error * weights).mean(), rel=1e-5)
    with pytest.raises(ValueError, match=r"sample_weight array for output 'dense' with shape \(5,\).*'temporal' needs one weight a time step"):
        model.fit(x, y, sample_weight=np.ones(5), verbose=0)


@pytest.mark.parametrize(
    ("weights", "match"),
    [
        (np.ones((20, 2)), r"sample_weight for output 'p' has the shape \(20, 2\), but the targets \(20, 1\)"),
        (np.ones((20, 1, 1)), r"sample_weight for output 'p' has the shape \(20, 1, 1\)"),
        (np.array(1.0), r"sample_weight for output 'p' has the shape \(\)"),
        ([np.ones(20), np.ones(20)], "sample_weight has 2 entries, but the model has 1 outputs"),
        ({"q": np.ones(20)}, r"sample_weight names the outputs \['q'\]"),
    ],
)
def test_sample_weights_that_do_not_fit_are_refused(weights: Any, match: str):
    model = make()
    with pytest.raises(ValueError, match=match):
        model.fit(X, Y, sample_weight=weights, verbose=0)
    assert not getattr(model.optimizer, "is_bound", True) or int(model.optimizer.iterations) == 0


# -- several outputs


def test_targets_by_name_or_for_trained_outputs_only():
    model = two_outputs()
    with pytest.raises(ValueError, match=r"y has no targets for the outputs \['b'\]. It has \['a'\]"):
        model.fit(X, {"a": TARGETS[0]}, verbose=0)
    with pytest.raises(ValueError, match=r"y has targets for \['c'\], but the model's outputs are \['a', 'b'\]"):
        model.fit(X, {"a": TARGETS[0], "c": TARGETS[1]}, verbose=0)
    with pytest.raises(ValueError, match=r"has 2 outputs \(a, b\), but y has 3 arrays"):
        model.fit(X, [*TARGETS, TARGETS[0]], verbose=0)
    model.compile("sgd", {"a": "mse"})
    one = model.evaluate(X, TARGETS[:1], verbose=0, return_dict=True)
    assert (
        one == model.evaluate(X, {"a": TARGETS[0]}, verbose=0, return_dict=True) == model.evaluate(X, [TARGETS[0], None], verbose=0, return_dict=True)
    )
    assert list(one) == ["loss", "a_loss"]


def test_each_output_has_its_own_copy_of_a_metric_object():
    model = two_outputs(metrics=[metrics.MeanSquaredError(name="m")], loss_weights=[1.0, 0.5])
    got = model.evaluate(X, TARGETS, batch_size=20, verbose=0, return_dict=True)
    assert got["a_m"] == pytest.approx(got["a_loss"])
    assert got["b_m"] == pytest.approx(got["b_loss"])
    assert got["loss"] == pytest.approx(got["a_loss"] + 0.5 * got["b_loss"])


def test_metrics_of_one_name_are_numbered_and_weighted_ones_prefixed():
    model = make(weighted_metrics=["accuracy"])
    model.evaluate(X, Y, verbose=0)
    assert model.metrics_names == ["loss", "accuracy", "accuracy_1"]
    generations.set_keras_version("2.2.4")
    assert make(weighted_metrics=["accuracy"]).metrics_names == ["loss", "acc", "weighted_acc"]


def test_a_loss_of_reduction_none_is_summed_for_the_gradient_and_averaged_for_the_logs():
    one, other = (Sequential([Dense(1, input_shape=(4,), kernel_initializer="zeros")]) for _ in range(2))
    one.compile("sgd", losses.MeanSquaredError(reduction="none"))
    other.compile("sgd", losses.MeanSquaredError(reduction="sum"))
    y = X[:, :1]
    got, summed = one.fit(X, y, batch_size=20, verbose=0).history["loss"], other.fit(X, y, batch_size=20, verbose=0).history["loss"]
    assert got[0] == pytest.approx(summed[0] / 20)
    equal(one, other)


# -- compile


def test_recompiling_keeps_weights_and_takes_a_new_optimizer():
    model = make()
    model.fit(X, Y, verbose=0)
    before = model.get_weights()
    model.compile("sgd", "sparse_categorical_crossentropy")
    for was, now in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(was, now)
    model.fit(X, Y, verbose=0)
    assert type(model.optimizer).__name__ == "SGD"
    assert int(model.optimizer.iterations) == 1


@pytest.mark.parametrize("version", ["2.2.4", "2.4.0"])
def test_what_is_trained_is_fixed_by_compile(version: str):
    generations.set_keras_version(version)
    model = make()
    model.layers[0].trainable = False
    before = model.get_weights()
    if version == "2.2.4":
        with pytest.warns(UserWarning, match="Discrepancy between trainable weights and collected trainable weights"):
            model.fit(X, Y, verbose=0)
    else:
        model.fit(X, Y, verbose=0)
    assert (before[0] != model.get_weights()[0]).any()
    assert not model.layers[0].trainable
    model.compile("adam", "sparse_categorical_crossentropy")
    before = model.get_weights()
    model.fit(X, Y, verbose=0)
    np.testing.assert_array_equal(before[0], model.get_weights()[0])
    assert (before[2] != model.get_weights()[2]).any()


def test_two_models_train_their_own_parts_of_shared_layers():
    critic = Sequential([Dense(4, input_shape=(4,)), BatchNormalization(), Dense(1)])
    critic.compile("sgd", "mse")
    critic.trainable = False
    inputs = Input((4,))
    both = Model(inputs, critic(Dense(4, name="maker")(inputs)))
    both.compile("sgd", "mse")
    y = X[:, :1]
    before, critics = both.get_weights(), critic.get_weights()
    both.train_on_batch(X, y)
    for was, now in zip(critics, critic.get_weights(), strict=True):
        np.testing.assert_array_equal(was, now)
    assert (before[0] != both.get_weights()[0]).any()
    makers = both.get_layer("maker").get_weights()
    critic.train_on_batch(X, y)
    assert (critics[0] != critic.get_weights()[0]).any()
    np.testing.assert_array_equal(makers[0], both.get_layer("maker").get_weights()[0])


def test_target_tensors_and_unknown_arguments_are_refused():
    model = Sequential([Dense(1, input_shape=(4,))])
    with pytest.raises(ValueError, match="compile does not take target_tensors: there is no graph to put them into"):
        model.compile("sgd", "mse", target_tensors=[1])
    with pytest.raises(ValueError, match="experimental_steps_per_execution=4, but each step runs by itself"):
        model.compile("sgd", "mse", experimental_steps_per_execution=4)
    with pytest.raises(TypeError, match="unexpected keyword argument 'optimiser'"):
        model.compile(loss="mse", optimiser="sgd")
    with pytest.raises(ValueError, match="sample_weight_mode must be None or 'temporal', but got 'steps'"):
        model.compile("sgd", "mse", sample_weight_mode="steps")


def test_positional_arguments_of_keras_2():
    generations.set_keras_version("2.2.4")
    model = Sequential([Dense(2, input_shape=(3, 4))])
    model.compile("sgd", "mse", None, None, "temporal", ["mae"])
    assert model._sample_weight_modes == "temporal"
    assert model.metrics_names == ["loss", "weighted_mean_absolute_error"]


@pytest.mark.parametrize(("version", "sparse"), [("2.2.4", False), ("2.4.0", True)])
def test_embeddings_have_sparse_gradients_where_that_matters(version: str, sparse: bool):
    generations.set_keras_version(version)
    model = Sequential([Embedding(10, 3, input_length=2), Dense(1)])
    model.compile(Adam(clipnorm=1.0), "mse")
    model.train_on_batch(np.array([[1, 2], [1, 3]]), np.zeros((2, 2, 1)))
    assert model.layers[0].sparse_gradients is sparse
    model.compile(Adam(), "mse")
    model.train_on_batch(np.array([[1, 2], [1, 3]]), np.zeros((2, 2, 1)))
    assert not model.layers[0].sparse_gradients
