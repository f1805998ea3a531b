"""Steps that users write themselves, as in tf.keras."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from torchkeras import metrics
from torchkeras.layers import Dense
from torchkeras.models import Model, Sequential
from torchkeras.optimizers import SGD

RNG = np.random.default_rng(0)
X, Y = RNG.random((20, 4)).astype("float32"), RNG.random((20, 1)).astype("float32")


class ByHand(Model):
    """Trains as the standard step does, in the words of a custom one."""

    def train_step(self, data: Any) -> dict[str, Any]:
        x, y = data
        self.optimizer.zero_grad()
        y_pred = self(x, training=True)
        loss = self.compiled_loss(y, y_pred, regularization_losses=self.losses)
        loss.backward()
        self.optimizer.step()
        self.compiled_metrics.update_state(y, y_pred)
        return {metric.name: metric.result() for metric in self.metrics}

    def test_step(self, data: Any) -> dict[str, Any]:
        x, y = data
        y_pred = self(x, training=False)
        self.compiled_loss(y, y_pred, regularization_losses=self.losses)
        self.compiled_metrics.update_state(y, y_pred)
        return {metric.name: metric.result() for metric in self.metrics}


def sub(base: type[Model]) -> Model:
    class Sub(base):  # type: ignore[valid-type, misc]
        def __init__(self) -> None:
            super().__init__()
            self.hidden = Dense(5, activation="tanh", kernel_regularizer="l2")
            self.out = Dense(1)

        def call(self, inputs: Any) -> Any:
            return self.out(self.hidden(inputs))

    torch.manual_seed(0)
    model = Sub()
    model(X[:1])
    model.compile("adam", "mse", metrics=["mae"])
    return model


def test_a_step_in_tf_keras_words_trains_as_the_standard_one():
    plain, own = sub(Model), sub(ByHand)
    how = {"batch_size": 6, "epochs": 3, "shuffle": False, "verbose": 0, "validation_data": (X, Y)}
    expected, got = plain.fit(X, Y, **how).history, own.fit(X, Y, **how).history
    assert list(got) == list(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(got[name], values, rtol=1e-6, err_msg=name)
    for one, other in zip(plain.get_weights(), own.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert own.evaluate(X, Y, verbose=0) == pytest.approx(plain.evaluate(X, Y, verbose=0))
    assert own.train_on_batch(X, Y) == pytest.approx(plain.train_on_batch(X, Y))
    assert own.test_on_batch(X, Y, return_dict=True) == pytest.approx(plain.test_on_batch(X, Y, return_dict=True))


def test_a_step_may_call_the_standard_one():
    class Counting(Model):
        steps = 0

        def train_step(self, data: Any) -> dict[str, Any]:
            self.steps += 1
            return {**super().train_step(data), "steps": self.steps}

    plain, own = sub(Model), sub(Counting)
    expected = plain.fit(X, Y, epochs=2, batch_size=10, shuffle=False, verbose=0).history
    got = own.fit(X, Y, epochs=2, batch_size=10, shuffle=False, verbose=0).history
    assert got.pop("steps") == [2.0, 4.0]
    assert got == expected


def test_a_model_without_call_trains_by_its_step_and_its_own_metrics():
    class Gan(Model):
        def __init__(self, generator: Any, critic: Any) -> None:
            super().__init__()
            self.generator, self.critic = generator, critic
            self.tracker = metrics.Mean(name="critic_loss")

        def compile(self, critic_optimizer: Any) -> None:
            super().compile()
            self.critic_optimizer = critic_optimizer

        @property
        def metrics(self) -> list[Any]:
            return [self.tracker]

        def train_step(self, data: Any) -> dict[str, Any]:
            fake = self.generator(torch.randn(data.shape[0], 2))
            loss = self.critic(fake).mean() - self.critic(data).mean()
            grads = torch.autograd.grad(loss, [weight.parameter for weight in self.critic.trainable_weights])
            self.critic_optimizer.apply_gradients(zip(grads, [weight.parameter for weight in self.critic.trainable_weights], strict=True))
            self.tracker.update_state(loss)
            return {"critic_loss": self.tracker.result()}

    model = Gan(Sequential([Dense(4, input_shape=(2,))]), Sequential([Dense(1, input_shape=(4,))]))
    model.compile(SGD(0.1))
    before = model.critic.get_weights()
    history = model.fit(X, epochs=2, batch_size=5, verbose=0).history
    assert list(history) == ["critic_loss"]
    assert int(model.critic_optimizer.iterations) == 8
    assert (before[0] != model.critic.get_weights()[0]).any()


def test_an_own_step_of_prediction_is_used():
    class Doubles(Model):
        def predict_step(self, data: Any) -> Any:
            return 2 * super().predict_step(data)

    plain, own = sub(Model), sub(Doubles)
    np.testing.assert_allclose(own.predict(X), 2 * plain.predict(X), rtol=1e-6)
    np.testing.assert_allclose(own.predict_on_batch(X), 2 * plain.predict_on_batch(X), rtol=1e-6)


def test_a_step_that_returns_no_dict_is_refused():
    class Wrong(Model):
        def train_step(self, data: Any) -> Any:
            return 1.0

    with pytest.raises(TypeError, match="train_step must return a dict of values for the logs, but gave float"):
        sub(Wrong).fit(X, Y, verbose=0)
