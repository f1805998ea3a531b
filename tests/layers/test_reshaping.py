"""Flatten, Reshape, Permute and RepeatVector."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.golden_cases import golden
from tests.layers.golden_layer import check_golden_layer
from tests.layers.harness import check_layer
from torchkeras.layers import Flatten, Input, Permute, RepeatVector, Reshape


@pytest.mark.parametrize("case", golden("layer", "Flatten", "Reshape", "Permute", "RepeatVector"), ids=str)
def test_reshaping_matches_keras(case, keras_version):
    check_golden_layer(case)


@pytest.mark.parametrize(
    ("cls", "kwargs", "shape", "unknown"),
    [
        (Flatten, {}, (2, 3, 4), (0, 1)),
        (Flatten, {"data_format": "channels_first"}, (2, 3, 2, 2), (0, 1)),
        (Flatten, {}, (3,), (0,)),
        (Reshape, {"target_shape": (4, 3)}, (2, 12), (0, 1)),
        (Reshape, {"target_shape": (-1, 2)}, (2, 3, 4), (0, 1)),
        (Permute, {"dims": (2, 1)}, (2, 3, 4), (0, 1)),
        (Permute, {"dims": (3, 1, 2)}, (2, 3, 4, 2), (0, 2)),
        (RepeatVector, {"n": 3}, (2, 4), (0, 1)),
    ],
)
def test_reshaping_stands_the_harness(cls, kwargs, shape, unknown):
    check_layer(cls, kwargs, shape, unknown=unknown)


def test_flatten_of_channels_first_gives_the_order_of_channels_last():
    x = torch.randn(2, 4, 5, 3)
    torch.testing.assert_close(Flatten("channels_first")(x.permute(0, 3, 1, 2)), Flatten()(x))


@given(shape=st.lists(st.integers(1, 4), min_size=1, max_size=4), batch=st.integers(0, 3))
@settings(max_examples=20, deadline=None)
def test_reshape_undoes_flatten_and_neither_copies(shape, batch):
    x = torch.randn(batch, *shape)
    flat = Flatten()(x)
    assert flat.shape == (batch, x[:1].numel() if batch else torch.Size(shape).numel())
    back = Reshape(shape)(flat)
    assert torch.equal(back, x)
    assert back.data_ptr() == x.data_ptr()


def test_reshape_of_an_empty_batch_finds_out_the_free_dimension():
    assert Reshape((-1, 2))(torch.zeros(0, 6)).shape == (0, 3, 2)


def test_reshape_where_the_input_has_unknown_dimensions():
    x = Input((None, None))
    assert tuple(Reshape((-1, 3))(x).shape) == (None, None, 3)  # though no trial size is a multiple of 3
    assert tuple(Reshape((6, 2))(x).shape) == (None, 6, 2)
    assert tuple(Reshape((-1, 2, 2))(Input((6, 2))).shape) == (None, 3, 2, 2)


def test_permute_and_repeat_vector_are_views():
    x = torch.randn(2, 3, 4)
    assert Permute((2, 1))(x).data_ptr() == x.data_ptr()
    assert RepeatVector(5)(x[0]).data_ptr() == x.data_ptr()


@pytest.mark.parametrize("shape", [(5,), (7, 2)])
def test_reshape_refuses_another_number_of_values(shape):
    layer = Reshape((4, 3), name="r")
    for x in (torch.zeros(2, *shape), Input(shape)):
        with pytest.raises(ValueError, match=r"Reshape 'r' makes \(4, 3\) of each sample, which takes 12 values"):
            layer(x)
    with pytest.raises(ValueError, match=r"a multiple of 8 values.*shape \(2, 3, 3\) with 9 a sample"):
        Reshape((-1, 8), name="r")(torch.zeros(2, 3, 3))


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"Reshape 'r' can find out one dimension.*\(-1, -1\)"):
        Reshape((-1, -1), name="r")
    with pytest.raises(ValueError, match=r"Permute 'p' needs dims that are 1, 2.*\(0, 1\)"):
        Permute((0, 1), name="p")
    with pytest.raises(ValueError, match=r"'p'.*expected ndim=3, found ndim=4"):
        Permute((2, 1), name="p")(torch.zeros(2, 3, 4, 5))
    with pytest.raises(ValueError, match="RepeatVector 'v' needs a whole number of steps, at least 1, but got n=0"):
        RepeatVector(0, name="v")
    with pytest.raises(ValueError, match=r"'v'.*expected ndim=2, found ndim=3"):
        RepeatVector(2, name="v")(torch.zeros(2, 3, 4))
    with pytest.raises(ValueError, match=r"Flatten 'f'.*but got 'first'"):
        Flatten("first", name="f")
