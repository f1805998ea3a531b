"""Subclassed models, written the way of Keras or of torch, and models around modules that are there already."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from torchkeras.layers import LSTM, BatchNormalization, Dense, Dropout, Embedding, Input, Layer
from torchkeras.models import Model, Sequential

X = np.random.default_rng(0).standard_normal((16, 3)).astype("float32")
Y = np.random.default_rng(1).standard_normal((16, 2)).astype("float32")


class Keras(Model):
    """Layers as attributes, in lists and in dicts."""

    def __init__(self):
        super().__init__()
        self.first = Dense(4, activation="relu")
        self.blocks = [Dense(4) for _ in range(2)]
        self.drop = Dropout(0.5)
        self.heads = {"a": Dense(2)}
        self.blocks.append(Dense(4, name="late"))

    def call(self, inputs, training=None):
        h = self.first(inputs)
        for block in self.blocks:
            h = block(h)
        return self.heads["a"](self.drop(h, training=training))


class Torch(Model):
    """`forward`, and modules of both kinds."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 4)
        self.norm = BatchNormalization()
        self.out = Dense(2)

    def forward(self, x):
        return self.out(self.norm(torch.relu(self.linear(x))))


@pytest.mark.parametrize(
    ("cls", "parameters", "layers"),
    [
        (Keras, ["first", "blocks.0", "blocks.1", "blocks.2", "heads.a"], ["Dense", "Dense", "Dense", "Dense", "Dropout", "Dense"]),
        (Torch, ["linear", "norm", "out"], ["Linear", "BatchNormalization", "Dense"]),
    ],
)
def test_subclassed_models_train(cls, parameters, layers, capsys):
    model = cls()
    model.compile(torch.optim.Adam, "mse", metrics=["mae"])
    model.build((None, 3))
    start = model.evaluate(X, Y, verbose=0)[0]
    model.fit(X, Y, epochs=30, verbose=0)
    assert model.evaluate(X, Y, verbose=0)[0] < start
    assert [name for name, _ in model.named_parameters()] == [f"{name}.{kind}" for name in parameters for kind in ("weight", "bias")]
    assert sorted(type(layer).__name__ for layer in model.layers) == sorted(layers)
    model.summary()
    assert "multiple" in capsys.readouterr().out
    twin = cls()
    twin(X)
    twin.set_weights(model.get_weights())
    np.testing.assert_array_equal(twin.predict(X), model.predict(X))
    assert model.evaluate(X, Y, verbose=0)[0] == pytest.approx(np.mean((model.predict(X) - Y) ** 2), rel=1e-5)


@pytest.mark.parametrize("cls", [Keras, Torch])
def test_building_by_a_shape(cls):
    model = cls()
    with pytest.raises(ValueError, match="has not been built yet"):
        model.summary()
    model.build((None, 3))
    assert model.built
    assert model.count_params() > 0
    assert all(not tensor.is_meta for tensor in model.state_dict().values())
    before = model.get_weights()
    model(X)
    np.testing.assert_equal(model.get_weights(), before)
    assert model.compute_output_shape((None, 3)) == (None, 2)


def test_building_by_several_shapes():
    class Two(Model):
        def __init__(self):
            super().__init__()
            self.out = Dense(2)

        def call(self, inputs):
            a, b = (inputs["a"], inputs["b"]) if isinstance(inputs, dict) else inputs
            return self.out(torch.cat([a, b], -1))

    for shape in ([(None, 3), (None, 4)], {"a": (None, 3), "b": (None, 4)}):
        model = Two()
        model.build(shape)
        assert model.out.kernel.shape == (7, 2)
    with pytest.raises(ValueError, match="needs a shape to be built"):
        Two().build()
    with pytest.raises(ValueError, match=r"\(Two\) could not be run on inputs of shape \(None, 3\), \(None, 3, 3\)"):
        Two().build([(None, 3), (None, 3, 3)])


def test_a_build_of_ones_own():
    class Mine(Model):
        builds = 0

        def build(self, input_shape):
            Mine.builds += 1
            self.out = Dense(input_shape[-1])
            super().build(input_shape)

        def call(self, inputs):
            return self.out(inputs)

    model = Mine()
    assert model(X).shape == X.shape
    assert Mine.builds == 1


def test_masks_flow_between_layers_inside_call():
    class Text(Model):
        def __init__(self):
            super().__init__()
            self.embedding, self.lstm, self.out = Embedding(10, 3, mask_zero=True), LSTM(4), Dense(2)

        def call(self, ids):
            return self.out(self.lstm(self.embedding(ids)))

    model = Text()
    ids = np.array([[1, 2, 0, 0], [3, 4, 5, 6]])
    torch.testing.assert_close(model(ids)[:1], model(ids[:1, :2]))
    assert not torch.allclose(model.lstm(model.embedding.embeddings[torch.as_tensor(ids)])[:1], model.lstm(model.embedding(ids[:1, :2])))


def test_a_subclassed_model_is_a_layer():
    x = Input((3,))
    inner = Torch()
    model = Model(x, Dense(1)(inner(x)))
    assert model.layers[1] is inner
    model.compile("sgd", "mse")
    running = inner.norm.moving_mean.clone()
    model.fit(X, Y[:, :1], verbose=0)
    assert (inner.norm.moving_mean != running).any()
    stack = Sequential([Torch(), Dense(1)])
    assert stack(X).shape == (16, 1)


def test_a_subclass_with_a_graph():
    class Named(Model):
        def __init__(self, units, **kwargs):
            x = Input((3,))
            super().__init__(inputs=x, outputs=Dense(units)(x), **kwargs)

        def twice(self, x):
            return 2 * self(x)

    model = Named(2, name="named")
    assert (model.name, model.output_shape) == ("named", (None, 2))
    torch.testing.assert_close(model.twice(X), 2 * model(X))


# -- Model(module)


def test_a_module_that_is_there_is_fitted():
    module = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 2))
    model = Model(module)
    assert model.name == "sequential"
    model.compile(torch.optim.Adam, nn.MSELoss(), metrics=["mae"])
    history = model.fit(X, Y, epochs=3, verbose=0, validation_split=0.25)
    assert list(history.history) == ["loss", "mae", "val_loss", "val_mae"]
    assert model.module is module
    assert model.layers == [module]
    assert [name for name, _ in model.named_parameters()] == ["module.0.weight", "module.0.bias", "module.3.weight", "module.3.bias"]
    assert model.count_params() == 50
    assert not module.training
    np.testing.assert_allclose(model.predict(X), module(torch.as_tensor(X)).detach(), rtol=1e-6)
    with pytest.raises(TypeError, match=r"Model\(module\) takes an nn.Module, but got the class Linear: write Model\(Linear\(...\)\)"):
        Model(nn.Linear)


def test_several_inputs_become_arguments():
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix = nn.Bilinear(3, 2, 2)

        def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
            return self.mix(left, right)

    model = Model(Two(), name="two")
    assert model.name == "two"
    model.compile("sgd", "mse")
    model.fit([X, Y], Y, verbose=0)
    by_name = model.predict({"right": Y, "left": X})
    np.testing.assert_array_equal(by_name, model.predict([X, Y]))


def test_the_modules_own_optimizer_is_used():
    module = nn.Linear(3, 2)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)
    model = Model(module)
    model.compile(optimizer, nn.MSELoss())
    before = module.weight.detach().clone()
    model.fit(X, Y, verbose=0)
    assert model.optimizer is optimizer
    assert (module.weight != before).any()
    assert optimizer.state


def test_a_torch_loss_is_no_part_of_the_model():
    model = Model(nn.Linear(3, 2))
    keys = list(model.state_dict())
    model.compile("sgd", nn.CrossEntropyLoss(weight=torch.ones(2)))
    model.fit(X, np.zeros(16, "int64"), verbose=0)
    assert list(model.state_dict()) == keys
    assert model.layers == [model.module]
    own = Keras()
    own(X)
    keys = list(own.state_dict())
    own.compile("sgd", [nn.MSELoss()])
    own.fit(X, Y, verbose=0)
    assert list(own.state_dict()) == keys
    assert len(own.layers) == 6


def test_a_mask_that_is_none_is_no_mask():
    class Sum(Layer):
        supports_masking = True

        def call(self, inputs, mask=None):
            return inputs.sum(1) if mask is None else (inputs * mask[..., None]).sum(1)

    embedding = Embedding(10, 3, mask_zero=True, embeddings_initializer="ones")
    ids, x = np.array([[1, 2, 0, 0]]), Input((None,), dtype="int32")
    counts = Sum()
    assert counts(embedding(ids))[0, 0] == 2
    assert counts(embedding(ids), mask=None)[0, 0] == 4
    model = Model(x, [counts(embedding(x)), counts(embedding(x), mask=None)])
    for one in (model, Model.from_config(model.get_config(), {"Sum": Sum})):
        assert [found[0, 0] for found in one.predict(ids)] == [2, 4]
