"""Mixed precision, gradient accumulation, compiled steps, anomaly reports and schedulers: equal results within their precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler

from torchkeras.layers import Dense, Layer
from torchkeras.models import Model, Sequential
from torchkeras.training.anomaly import NonFiniteLoss

pytestmark = pytest.mark.usefixtures("fresh_compiler")

RNG = np.random.default_rng(0)
X, Y = RNG.random((24, 6)).astype("float32"), RNG.integers(0, 3, 24)


def make(optimizer: Any = "sgd", **kwargs: Any) -> Model:
    torch.manual_seed(0)
    model = Sequential([Dense(16, activation="relu", input_shape=(6,)), Dense(3, activation="softmax")])
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], **kwargs)
    return model


def trained(**kwargs: Any) -> tuple[Model, dict[str, list[float]]]:
    model = make(**kwargs)
    return model, model.fit(X, Y, batch_size=8, epochs=3, shuffle=False, verbose=0).history


# -- mixed precision


@pytest.mark.parametrize(("policy", "rounding"), [("mixed_bfloat16", 2.0**-8), ("mixed_float16", 2.0**-11)])
def test_mixed_precision_gives_the_numbers_of_float32_within_its_rounding(policy: str, rounding: float):
    plain, history = trained()
    mixed, mixed_history = trained(mixed_precision=policy)
    np.testing.assert_allclose(mixed_history["loss"], history["loss"], rtol=4 * rounding)
    for one, other in zip(plain.get_weights(), mixed.get_weights(), strict=True):
        assert other.dtype == np.float32
        np.testing.assert_allclose(one, other, atol=4 * rounding * 0.1)  # nine updates at a rate of 0.01
    predicted = mixed.predict(X)
    assert predicted.dtype == np.float32
    np.testing.assert_allclose(predicted, plain.predict(X), atol=4 * rounding)


def test_float16_steps_that_overflow_are_left_out():
    model = make(mixed_precision="mixed_float16")
    before = model.get_weights()
    model.train_on_batch(X * 1e30, Y)
    for was, now in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(was, now)
    model.train_on_batch(X, Y)
    assert any((was != now).any() for was, now in zip(before, model.get_weights(), strict=True))


def test_an_unknown_policy_is_refused():
    with pytest.raises(ValueError, match=r"mixed_precision must be one of \['mixed_float16', 'mixed_bfloat16'\].*got 'half'"):
        make(mixed_precision="half")


# -- accumulation


def test_accumulated_gradients_make_the_update_of_one_large_batch():
    one, many = make("adam"), make("adam", gradient_accumulation_steps=3)
    one.fit(X, Y, batch_size=24, epochs=4, shuffle=False, verbose=0)
    many.fit(X, Y, batch_size=8, epochs=4, shuffle=False, verbose=0)
    assert int(many.optimizer.iterations) == int(one.optimizer.iterations) == 4
    for large, small in zip(one.get_weights(), many.get_weights(), strict=True):
        np.testing.assert_allclose(large, small, rtol=1e-4, atol=1e-5)  # Adam divides by the size of small gradients


def test_what_is_left_at_the_end_of_an_epoch_makes_an_update_of_its_average():
    one, many = make(), make(gradient_accumulation_steps=2)
    many.fit(X, Y, batch_size=8, shuffle=False, verbose=0)  # two batches, and one left
    one.fit(X[:16], Y[:16], batch_size=16, shuffle=False, verbose=0)
    one.fit(X[16:], Y[16:], batch_size=8, shuffle=False, verbose=0)
    for large, small in zip(one.get_weights(), many.get_weights(), strict=True):
        np.testing.assert_allclose(large, small, rtol=1e-5, atol=1e-6)


def test_train_on_batch_gathers_over_its_calls():
    model = make(gradient_accumulation_steps=2)
    before = model.get_weights()
    model.train_on_batch(X[:8], Y[:8])
    np.testing.assert_array_equal(before[0], model.get_weights()[0])
    model.train_on_batch(X[8:16], Y[8:16])
    assert (before[0] != model.get_weights()[0]).any()


@pytest.mark.parametrize("steps", [0, 1.5, True])
def test_a_number_of_accumulated_batches_below_one_is_refused(steps: Any):
    with pytest.raises(ValueError, match=f"gradient_accumulation_steps of at least 1, but got {steps}"):
        make(gradient_accumulation_steps=steps)


# -- torch.compile


def test_compiled_steps_give_the_same_numbers(monkeypatch: pytest.MonkeyPatch):
    compile_ = torch.compile
    monkeypatch.setattr(torch, "compile", lambda function, **mode: compile_(function, backend="aot_eager"))
    plain, history = trained()
    jitted, jitted_history = trained(jit_compile=True)
    np.testing.assert_allclose(jitted_history["loss"], history["loss"], rtol=1e-5)
    assert jitted_history["accuracy"] == history["accuracy"]
    for one, other in zip(plain.get_weights(), jitted.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_steps_compiled_by_inductor_give_the_same_numbers():
    _, history = trained()
    _, jitted_history = trained(jit_compile=True)
    np.testing.assert_allclose(jitted_history["loss"], history["loss"], rtol=1e-5)


def test_where_the_compiler_fails_the_model_runs_as_it_is_with_one_warning(monkeypatch: pytest.MonkeyPatch):
    def failing(function: Any, **mode: Any) -> Any:
        def call(*args: Any) -> Any:
            raise RuntimeError("no compiler here")

        return call

    monkeypatch.setattr(torch, "compile", failing)
    _, history = trained()
    with pytest.warns(RuntimeWarning, match="torch.compile could not compile model 'sequential_1'.*no compiler here") as warned:
        _, jitted_history = trained(jit_compile=True)
    assert len(warned) == 1
    assert jitted_history == history


# -- anomalies


class Breaks(Layer):
    """Gives NaN once its input is large."""

    def call(self, inputs: Any) -> Any:
        return torch.where(inputs.abs().amax() > 100, torch.nan, inputs)


def test_an_anomaly_names_epoch_batch_and_layer_and_changes_nothing():
    model = Sequential([Dense(4, input_shape=(6,), name="first"), Breaks(name="culprit"), Dense(1, name="last")])
    model.compile("sgd", "mse", detect_anomaly=True)
    large = X.copy()
    large[20] = 1e6
    with pytest.raises(NonFiniteLoss, match=r"loss of model 'sequential' is nan in epoch 1, batch 2: the output of layer 'culprit' is not finite"):
        model.fit(large, X[:, :1], batch_size=8, shuffle=False, verbose=0)
    assert int(model.optimizer.iterations) == 2
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


def test_an_anomaly_in_inputs_or_weights_is_told_apart():
    model = Sequential([Dense(4, input_shape=(6,), name="first"), Dense(1, name="last")])
    model.compile("sgd", "mse", detect_anomaly=True)
    with pytest.raises(NonFiniteLoss, match="the inputs themselves have values that are not finite"):
        model.train_on_batch(X * np.inf, X[:, :1])
    model.layers[1].set_weights([np.full((4, 1), np.nan), np.zeros(1)])
    with pytest.raises(NonFiniteLoss, match=r"the weights \['weight'\] of layer 'last' are not finite"):
        model.train_on_batch(X, X[:, :1])


# -- schedulers


def test_a_scheduler_of_torch_moves_the_rate_after_each_epoch():
    rates = []
    model = make(lr_scheduler=lambda optimizer: lr_scheduler.ExponentialLR(optimizer, 0.5))
    for _ in range(3):
        model.fit(X, Y, batch_size=8, verbose=0)
        rates.append(float(model.optimizer.lr))
    assert rates == pytest.approx([0.005, 0.0025, 0.00125])


def test_a_scheduler_may_move_after_each_update():
    model = make(lr_scheduler=(lambda optimizer: lr_scheduler.ExponentialLR(optimizer, 0.5), "batch"))
    model.fit(X, Y, batch_size=8, verbose=0)
    assert float(model.optimizer.lr) == pytest.approx(0.01 / 8)


def test_a_scheduler_that_follows_a_metric_is_given_the_validation_loss():
    seen = []

    class Follows(lr_scheduler.ReduceLROnPlateau):
        def step(self, metrics: float, epoch: int | None = None) -> None:  # type: ignore[override]
            seen.append(metrics)

    model = make(lr_scheduler=Follows)
    history = model.fit(X, Y, epochs=2, verbose=0, validation_split=0.25).history
    assert seen == history["val_loss"]


def test_a_scheduler_of_an_optimizer_of_torch():
    model = Sequential([Dense(3, activation="softmax", input_shape=(6,))])
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    model.compile(optimizer, "sparse_categorical_crossentropy", lr_scheduler=lr_scheduler.StepLR(optimizer, 1))
    model.fit(X, Y, epochs=2, verbose=0)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.001)


def test_a_scheduler_of_another_optimizer_is_refused():
    other = lr_scheduler.StepLR(torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], 0.1), 1)
    with pytest.raises(ValueError, match="The StepLR given as lr_scheduler moves another optimizer"):
        make(lr_scheduler=other).fit(X, Y, verbose=0)
    with pytest.raises(TypeError, match=r"lr_scheduler must be a scheduler of torch\.optim.*got 3"):
        make(lr_scheduler=3)
