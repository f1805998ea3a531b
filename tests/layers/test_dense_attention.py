"""Attention and AdditiveAttention."""

import pytest
import torch

from tests.golden_cases import golden
from tests.layers.golden_layer import check_golden_layer
from tests.layers.harness import check_dynamic_export, check_layer
from torchkeras.layers import AdditiveAttention, Attention, Input
from torchkeras.layers.base import get_mask, set_mask

BOTH = [Attention, AdditiveAttention]


@pytest.mark.parametrize("case", golden("layer", "Attention", "AdditiveAttention"), ids=str)
def test_attention_matches_keras(case, keras_version):
    check_golden_layer(case)


@pytest.mark.filterwarnings("ignore:There is a performance drop")  # of vmap, over torch's kernel on the CPU
@pytest.mark.parametrize("cls", BOTH)
@pytest.mark.parametrize(
    ("kwargs", "shapes", "masked"),
    [
        ({}, [(2, 3, 4), (2, 5, 4)], False),
        ({"use_scale": True, "causal": True}, [(2, 3, 4), (2, 5, 4)], True),
        ({"use_scale": False, "causal": True, "dropout": 0.3}, [(2, 3, 4), (2, 5, 2), (2, 5, 4)], False),
    ],
)
def test_attention_stands_the_harness(cls, kwargs, shapes, masked):
    if cls is AdditiveAttention and len(shapes) == 3:
        kwargs = {**kwargs, "use_scale": False}
    check_dynamic_export(check_layer(cls, kwargs, shapes, masked=masked, random="dropout" in kwargs))


@pytest.mark.parametrize("cls", BOTH)
def test_masked_steps_do_not_count(cls):
    layer, query, value = cls(), torch.randn(2, 3, 4), torch.randn(2, 5, 4)
    mask = torch.tensor([[True, True, True, False, False], [True] * 5])
    set_mask(value, mask)
    y = layer([query, value])
    torch.testing.assert_close(y[0], layer([query[:1], value[:1, :3].clone()])[0])
    torch.testing.assert_close(layer([query, value.clone()], mask=[None, mask]), y)
    assert get_mask(y) is None


@pytest.mark.parametrize("cls", BOTH)
def test_a_row_without_valid_steps_takes_the_mean(cls):
    layer, query, value = cls(), torch.randn(1, 2, 4), torch.randn(1, 3, 4)
    y = layer([query, value], mask=[None, torch.zeros(1, 3, dtype=torch.bool)])
    torch.testing.assert_close(y, value.mean(1, keepdim=True).expand(1, 2, 4), atol=1e-3, rtol=0)


@pytest.mark.parametrize("cls", BOTH)
def test_the_query_mask_zeroes_and_goes_on(cls):
    query, value, mask = torch.randn(2, 3, 4), torch.randn(2, 5, 4), torch.tensor([[True, False, True]] * 2)
    set_mask(query, mask)
    y = cls()([query, value])
    assert (y[:, 1] == 0).all()
    assert torch.equal(get_mask(y), mask)


@pytest.mark.parametrize("cls", BOTH)
@pytest.mark.parametrize("masked", [False, True])
def test_causal_queries_see_nothing_later(cls, masked):
    layer, x = cls(causal=True), torch.randn(2, 6, 4)
    mask = [None, torch.ones(2, 6, dtype=torch.bool)] if masked else None
    y = layer([x, x], mask=mask)
    changed = x.clone()
    changed[:, 4:] += 1
    torch.testing.assert_close(layer([changed, changed], mask=mask)[:, :4], y[:, :4])
    torch.testing.assert_close(y[:, 0], x[:, 0])


def test_dropout_drops_weights_in_training():
    layer, query, value = Attention(dropout=0.5), torch.zeros(1, 1, 2), torch.ones(1, 1000, 2)
    torch.testing.assert_close(layer([query, value]), torch.ones(1, 1, 2))
    y = layer([query, value], training=True)
    assert 0.8 < float(y[0, 0, 0]) < 1.2
    assert float(y[0, 0, 0]) != 1.0
    with pytest.raises(ValueError, match=r"Attention 'a' needs a rate.*got 2\.0"):
        Attention(dropout=2, name="a")


@pytest.mark.parametrize("cls", BOTH)
def test_bad_inputs(cls):
    layer, x = cls(name="a"), torch.randn(2, 3, 4)
    for _ in range(2):
        for wrong, got in ((x, "one tensor"), ([x], "1"), ([x] * 4, "4")):
            with pytest.raises(ValueError, match=rf"{cls.__name__} 'a' should be called on a list of inputs, \[query, value\].*but got {got}"):
                layer(wrong)
        layer([x, x])
    with pytest.raises(ValueError, match=r"'a' needs its mask as a list \[query_mask, value_mask\]"):
        layer([x, x], mask=[torch.ones(2, 3, dtype=torch.bool)])


def test_additive_attention_needs_the_size_of_its_features():
    with pytest.raises(ValueError, match=r"AdditiveAttention 'a' needs to know the size of the last axis"):
        AdditiveAttention(name="a")([Input((None, None)), Input((None, None))])
