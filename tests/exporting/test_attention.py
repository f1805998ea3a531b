"""Attentions as plain torch, and layers that are called with training=False."""

from __future__ import annotations

import pytest
import torch

from tests.exporting.checks import exported
from torchkeras import layers
from torchkeras.exporting import ExportError
from torchkeras.layers import Dense, Input
from torchkeras.models import Model, Sequential


@pytest.mark.parametrize("options", [{}, {"use_scale": True}, {"causal": True}, {"use_scale": False, "dropout": 0.5}])
@pytest.mark.parametrize("kind", [layers.Attention, layers.AdditiveAttention])
@pytest.mark.parametrize("with_key", [False, True])
def test_dense_attentions(kind, options, with_key):
    query, value, key = Input((5, 4)), Input((5, 4)), Input((5, 4))
    given = [query, value, key] if with_key else [query, value]
    module, _ = exported(Model(given, kind(**options)(given)), *(torch.rand(2, 5, 4) for _ in given))
    assert bool(options.get("dropout")) == any(isinstance(part, torch.nn.Dropout) for part in module.modules())


@pytest.mark.parametrize("options", [{}, {"value_dim": 5}, {"use_bias": False, "output_shape": 6}, {"dropout": 0.25}, {"attention_axes": (1,)}])
def test_multi_head_attention(options):
    query, value, key = Input((5, 6)), Input((7, 3)), Input((7, 4))
    layer = layers.MultiHeadAttention(2, 3, **options)
    module, text = exported(Model([query, value, key], layer(query, value, key)), torch.rand(2, 5, 6), torch.rand(2, 7, 3), torch.rand(2, 7, 4))
    assert "self.multi_head_attention_query = nn.Linear(6, 6" in text
    if options.get("dropout"):
        module.train()
        inputs = torch.rand(2, 5, 6), torch.rand(2, 7, 3), torch.rand(2, 7, 4)
        assert not torch.equal(module(*inputs), module(*inputs))


def test_a_transformer_block():
    x = Input((None, 8))
    attended = layers.MultiHeadAttention(2, 4, dropout=0.1)(x, x)
    y = layers.LayerNormalization()(x + attended)
    z = Dense(8)(Dense(16, activation="gelu")(y))
    model = Model(x, layers.LayerNormalization()(layers.add([y, layers.Dropout(0.1)(z)])))
    for steps in (3, 9):
        exported(model, torch.rand(2, steps, 8))


def test_what_a_plain_attention_has_not():
    x = Input((5, 4, 3))
    with pytest.raises(ExportError, match="it attends over other axes"):
        Model(x, layers.MultiHeadAttention(2, 3)(x, x)).to_torch()
    y = Input((5, 4))
    with pytest.raises(ExportError, match="return_attention_scores=True"):
        Model(y, layers.MultiHeadAttention(2, 3)(y, y, return_attention_scores=True)).to_torch()
    with pytest.raises(ExportError, match="attention_mask="):
        Model([y, Input((5, 5), name="m")], layers.MultiHeadAttention(2, 3)(y, y, attention_mask=torch.ones(5, 5))).to_torch()


def test_calls_in_inference_mode_stay_so():
    base = Sequential(
        [layers.Conv2D(3, 2, input_shape=(6, 6, 2)), layers.BatchNormalization(), layers.Dropout(0.5), layers.GaussianNoise(1.0)], name="base"
    )
    x = Input((6, 6, 2))
    y = layers.Flatten()(base(x, training=False))
    model = Model(x, Dense(2)(layers.Dropout(0.5)(y, training=False)))
    data = torch.rand(4, 6, 6, 2)
    module, text = exported(model, data)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    wanted = module(data)
    module.train()
    torch.testing.assert_close(module(data), wanted)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert "nn.Dropout" not in text and "F.batch_norm(" in text
    inner = layers.LSTM(3, dropout=0.5, recurrent_dropout=0.5)
    z = Input((4, 2))
    exported(Model(z, inner(z, training=False)), torch.rand(2, 4, 2))
