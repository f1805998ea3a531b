"""Masks that hang on tensors reach layers, losses and metrics in code that torch.compile takes whole, and leave it with the outputs."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch

from torchkeras.layers import LSTM, Activation, Bidirectional, Dense, Embedding, Input, Masking, SimpleRNN, TimeDistributed
from torchkeras.layers.base import get_mask, set_mask
from torchkeras.models import Model, Sequential
from torchkeras.training import jit
from torchkeras.utils import set_random_seed

pytestmark = pytest.mark.usefixtures("fresh_compiler")

IDS = np.array([[0, 0, 1, 2, 3], [4, 5, 0, 0, 0], [0] * 5, [1, 2, 3, 4, 5]])
TAGS = (IDS * 3 + 1) % 5
BACKENDS = ("eager", "aot_eager")


class Own(Model):
    """A model whose layers hand masks on by the tensors alone."""

    def __init__(self):
        super().__init__()
        self.embed, self.read = Embedding(9, 4, mask_zero=True), SimpleRNN(3, return_sequences=True)
        self.both, self.tag = Bidirectional(SimpleRNN(2, return_sequences=True)), TimeDistributed(Dense(5))
        self.normal = Activation("softmax")

    def call(self, inputs):
        return self.normal(self.tag(self.both(self.read(self.embed(inputs)))))


def functional():
    ids = Input((5,))
    words = Embedding(9, 4, mask_zero=True)(ids)
    return Model(ids, [TimeDistributed(Dense(5, activation="softmax"))(words), SimpleRNN(5, activation="softmax", return_sequences=True)(words)])


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_model_compiles_whole_and_gives_its_mask(backend):
    model = Own()
    x = torch.from_numpy(IDS)
    expected = model(x)
    compiled = torch.compile(model, backend=backend, fullgraph=True)
    for _ in range(2):
        found = compiled(x)
        torch.testing.assert_close(found, expected)
        assert torch.equal(get_mask(found), x != 0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_mask_that_hangs_on_an_input_counts(backend):
    layer, x, mask = LSTM(4, recurrent_activation="hard_sigmoid"), torch.randn(4, 5, 3), torch.from_numpy(IDS != 0)
    unmasked = layer(x)
    set_mask(x, mask)
    torch.testing.assert_close(torch.compile(layer, backend=backend, fullgraph=True)(x), layer(x))
    assert not torch.allclose(layer(x), unmasked)
    model = Sequential([Masking(), SimpleRNN(4), Dense(2)])
    x = torch.randn(4, 5, 3) * mask.unsqueeze(2)
    torch.testing.assert_close(torch.compile(model, backend=backend, fullgraph=True)(x), model(x))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("make", [Own, functional])
def test_losses_and_metrics_of_jit_compile_leave_masked_steps_out(make, backend, monkeypatch):
    monkeypatch.setattr(jit.torch, "compile", functools.partial(torch.compile, backend=backend))
    found = []
    for jit_compile in (False, True):
        set_random_seed(0)
        model = make()
        model(IDS)
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=jit_compile)
        y = TAGS if make is Own else [TAGS, TAGS]
        history = model.fit(IDS, y, batch_size=4, epochs=2, shuffle=False, verbose=0).history
        found.append([*(value for values in history.values() for value in values), *model.evaluate(IDS, y, verbose=0)])
    np.testing.assert_allclose(found[1], found[0], rtol=1e-5)


def test_an_exported_model_masks():
    model = Own()
    x = torch.from_numpy(IDS)
    expected = model(x)
    torch.testing.assert_close(torch.export.export(model, (x,), strict=False).module()(x), expected)
