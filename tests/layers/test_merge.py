"""Merge layers: values, broadcasting, masks and refusals."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.golden_cases import golden
from tests.layers.golden_layer import check_golden_layer
from tests.layers.harness import check_layer
from torchkeras import layers
from torchkeras.layers import Add, Average, Concatenate, Dot, Input, Maximum, Minimum, Multiply, Subtract
from torchkeras.layers.base import get_mask, set_mask
from torchkeras.layers.merge import _Merge

NAMES = ["Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "Dot"]


@pytest.mark.parametrize("case", golden("layer", *NAMES), ids=str)
def test_merging_matches_keras(case, keras_version):
    check_golden_layer(case)


@pytest.mark.parametrize("cls", [Add, Multiply, Average, Maximum, Minimum])
def test_element_by_element_stands_the_harness(cls):
    check_layer(cls, {}, [(2, 3, 4), (2, 1, 4), (2, 3, 1)], unknown=(0,), masked=False)


@pytest.mark.parametrize(
    ("cls", "kwargs", "shapes", "masked"),
    [
        (Subtract, {}, [(2, 3, 4), (2, 3, 4)], True),
        (Add, {}, [(2, 4), (2, 3, 4)], False),
        (Concatenate, {}, [(2, 3, 4), (2, 3, 1)], True),
        (Concatenate, {"axis": 1}, [(2, 3, 4), (2, 2, 4)], True),
        (Dot, {"axes": 1}, [(2, 3), (2, 3)], False),
        (Dot, {"axes": (2, 1), "normalize": True}, [(2, 3, 4), (2, 4, 2)], True),
        (Dot, {"axes": -1}, [(2, 3), (2, 4, 3)], False),
    ],
)
def test_merging_stands_the_harness(cls, kwargs, shapes, masked):
    check_layer(cls, kwargs, shapes, masked=masked)


@given(
    first=st.lists(st.integers(1, 3), min_size=1, max_size=3),
    second=st.lists(st.integers(1, 3), min_size=1, max_size=3),
    size=st.integers(1, 3),
    data=st.data(),
)
@settings(max_examples=30, deadline=None)
def test_dot_contracts_any_axes(first, second, size, data):
    one, two = data.draw(st.integers(0, len(first))), data.draw(st.integers(0, len(second)))
    first.insert(one, size), second.insert(two, size)
    x, y = torch.randn(2, *first), torch.randn(2, *second)
    wanted = torch.stack([torch.tensordot(a, b, dims=([one], [two])) for a, b in zip(x, y, strict=True)])
    wanted = wanted.unsqueeze(-1) if wanted.dim() == 1 else wanted
    torch.testing.assert_close(Dot((one + 1, two + 1))([x, y]), wanted)
    torch.testing.assert_close(Dot((one - len(first), two - len(second)))([x, y]), wanted)


def test_normalized_dot_is_the_cosine():
    x, y = torch.randn(4, 6), torch.randn(4, 6)
    torch.testing.assert_close(Dot(1, normalize=True)([x, y])[:, 0], torch.cosine_similarity(x, y))
    assert torch.isfinite(Dot(1, normalize=True)([torch.zeros(2, 3), torch.zeros(2, 3)])).all()


def test_fewer_axes_are_lined_up_at_the_end():
    x, y = torch.randn(2, 4), torch.randn(2, 3, 4)
    torch.testing.assert_close(Add()([x, y]), x[:, None] + y)
    assert tuple(Multiply()([Input((4,)), Input((3, 4))]).shape) == (None, 3, 4)


@pytest.mark.parametrize("name", NAMES)
def test_functions_are_the_layers(name):
    x, y = torch.randn(2, 3), torch.randn(2, 3)
    function = getattr(layers, {"Concatenate": "concatenate"}.get(name, name.lower()))
    kwargs = {"axes": 1} if name == "Dot" else {}
    torch.testing.assert_close(function((x, y), **kwargs), getattr(layers, name)(**kwargs)([x, y]))
    assert function([Input((3,)), Input((3,))], name="mine", **kwargs).keras_history[0].name == "mine"


def test_arrays_and_numbers_are_taken():
    y = Add()([np.ones((2, 3)), np.ones((2, 3), dtype="int64")])
    assert y.dtype == torch.float32
    assert y.tolist() == [[2.0] * 3] * 2


def masked(tensor, mask):
    if mask is not None:
        set_mask(tensor, torch.tensor(mask))
    return tensor


def test_the_mask_is_what_all_masked_inputs_count():
    x, y, z = masked(torch.randn(1, 3, 2), [[True, True, False]]), masked(torch.randn(1, 3, 2), [[False, True, True]]), torch.randn(1, 3, 2)
    assert get_mask(Add()([x, y, z])).tolist() == [[False, True, False]]
    assert get_mask(Concatenate()([x, y, z])).tolist() == [[False, True, False]]
    assert get_mask(Concatenate(axis=1)([x, y, z])).tolist() == [[True, True, False, False, True, True, True, True, True]]
    assert get_mask(Concatenate(axis=-2)([z, y])).tolist() == [[True, True, True, False, True, True]]
    assert get_mask(Dot(1)([x, y])) is None
    assert get_mask(Add()([z, z])) is None


def test_a_users_own_merge():
    class Blend(_Merge):
        def _merge_function(self, inputs):
            return inputs[0] * 0.25 + inputs[1] * 0.75

    x, y = torch.randn(2, 3), torch.randn(2, 3)
    torch.testing.assert_close(Blend()([x, y]), x * 0.25 + y * 0.75)
    with pytest.raises(NotImplementedError, match="_Merge should override _merge_function"):
        _Merge()([x, y])


@pytest.mark.parametrize("cls", [Add, Concatenate, Subtract])
def test_one_tensor_is_refused(cls):
    layer, x = cls(name="m"), torch.randn(2, 2, 3)
    for _ in range(2):  # before and after building
        with pytest.raises(ValueError, match=rf"{cls.__name__} 'm' should be called on a list of (at least|exactly) 2 inputs"):
            layer(x)
        with pytest.raises(ValueError, match=r"'m' should be called on a list.*got 1\."):
            cls(name="m")([x])
        layer([x, x])


def test_bad_inputs():
    a, b = torch.zeros(2, 3), torch.zeros(2, 4)
    with pytest.raises(ValueError, match=r"Add 'm' cannot broadcast inputs of the shapes \[\(2, 3\), \(2, 4\)\]"):
        Add(name="m")([a, b])
    with pytest.raises(ValueError, match=r"Maximum 'm' needs inputs of one batch size.*\[\(2, 3\), \(1, 3\)\]"):
        Maximum(name="m")([a, a[:1]])
    with pytest.raises(ValueError, match=r"Subtract 'm' should be called on a list of exactly 2 inputs, but got 3"):
        Subtract(name="m")([a, a, a])
    with pytest.raises(ValueError, match=r"Concatenate 'm' needs inputs whose shapes match except for axis 0"):
        Concatenate(0, name="m")([a, b])
    with pytest.raises(ValueError, match=r"Concatenate 'm' needs inputs whose shapes match except for axis 2"):
        Concatenate(2, name="m")([Input((3,)), Input((3,))])
    with pytest.raises(ValueError, match=r"Dot 'm' needs axes of the same size.*have 3 and 4"):
        Dot(1, name="m")([a, b])
    with pytest.raises(ValueError, match=r"Dot 'm' has axes=2.*no such axis beside the batch"):
        Dot(2, name="m")([a, a])
    with pytest.raises(ValueError, match=r"Dot 'm' needs one axis for each of two inputs, not the batch axis 0.*\(0, 1\)"):
        Dot((0, 1), name="m")
    with pytest.raises(TypeError, match=r"Dot 'm' needs axes that are an int or two of them, but got 'last'"):
        Dot("last", name="m")
    with pytest.raises(ValueError, match=r"Add 'm' needs a list of one mask \(or None\) for each of its 2 inputs"):
        Add(name="m").compute_mask([a, a], [torch.ones(2, 3, dtype=torch.bool)])
