"""Pooling over windows and over the whole space."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.golden_cases import golden
from tests.layers.golden_layer import check_golden_layer
from tests.layers.harness import check_dynamic_export, check_layer
from torchkeras import layers
from torchkeras.layers import global_pooling, pooling
from torchkeras.layers.base import set_mask

CASES = [case for case in golden("layer") if case["file"] == "layers_pool.npz"]
MAX = [layers.MaxPooling1D, layers.MaxPooling2D, layers.MaxPooling3D]
AVERAGE = [layers.AveragePooling1D, layers.AveragePooling2D, layers.AveragePooling3D]
GLOBAL = [getattr(layers, f"Global{name}Pooling{rank}D") for name in ("Max", "Average") for rank in (1, 2, 3)]


def test_there_are_cases_for_every_class():
    assert {case["class"] for case in CASES} == {getattr(pooling, name).__name__ for name in pooling.__all__}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_pooling_matches_keras(case, keras_version):
    check_golden_layer(case)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("cls", [*MAX, *AVERAGE])
def test_pooling_layers_are_ordinary_layers(cls, data_format):
    space = (6, 5, 3)[: cls.rank]
    shape = (2, *space, 2) if data_format == "channels_last" else (2, 2, *space)
    unknown = (0, *range(1, cls.rank + 1)) if data_format == "channels_last" else (0, *range(2, cls.rank + 2))
    check_dynamic_export(check_layer(cls, {"data_format": data_format}, shape, unknown=unknown))
    check_dynamic_export(check_layer(cls, {"pool_size": 3, "strides": 2, "padding": "same", "data_format": data_format}, shape, unknown=unknown))


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("cls", GLOBAL)
def test_global_pooling_layers_are_ordinary_layers(cls, data_format):
    check_dynamic_export(check_layer(cls, {"data_format": data_format}, (2, 4, 3, 5, 3)[: cls.rank + 2], unknown=range(cls.rank + 2)))


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_pools_of_large_samples_are_ordinary_layers(data_format):
    # they run on other code than small ones
    check_dynamic_export(check_layer(layers.GlobalMaxPooling2D, {"data_format": data_format}, (2, 16, 16, 17), unknown=range(4)))
    check_dynamic_export(check_layer(layers.AveragePooling3D, {"data_format": data_format}, (1, 9, 10, 9, 11), unknown=(0,)))


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_maxima_of_large_batches_are_those_of_small_ones(monkeypatch, rank, data_format):
    layer = GLOBAL[rank - 1](data_format)
    x = torch.randint(0, 3, (2, *(14,) * rank, 12)[: rank + 2]).double().requires_grad_()  # many entries are equal
    monkeypatch.setattr(global_pooling, "_LARGE", x.numel())
    outputs = layer(x)
    assert "_Largest" in type(outputs.grad_fn).__name__
    monkeypatch.setattr(global_pooling, "_LARGE", x.numel() + 1)
    wanted = layer(x)
    assert "Amax" in type(wanted.grad_fn).__name__
    torch.testing.assert_close(outputs, wanted)
    torch.testing.assert_close(torch.autograd.grad(outputs.square().sum(), x), torch.autograd.grad(wanted.square().sum(), x))


def test_gradients_of_gradients_of_large_maxima(monkeypatch):
    layer = layers.GlobalMaxPooling1D()
    x = torch.randperm(2 * 3 * 4).double().view(2, 3, 4).requires_grad_()
    monkeypatch.setattr(global_pooling, "_LARGE", 1)
    assert torch.autograd.gradgradcheck(lambda inputs: layer(inputs).pow(3) / 1000, x)


def test_transforms_of_large_maxima(monkeypatch):
    layer = layers.GlobalMaxPooling1D()
    x = torch.randint(0, 3, (2, 4, 3)).double().requires_grad_()
    layer(x)
    cotangents = torch.randn(5, 2, 3, dtype=torch.float64)
    wanted = [torch.autograd.grad(torch.amax(x, 1), x, one)[0] for one in cotangents]
    monkeypatch.setattr(global_pooling, "_LARGE", 1)
    (batched,) = torch.autograd.grad(layer(x), x, cotangents, is_grads_batched=True)
    torch.testing.assert_close(batched, torch.stack(wanted))
    torch.testing.assert_close(torch.func.vjp(layer, x.detach())[1](cotangents[0])[0], wanted[0])
    torch.testing.assert_close(torch.func.vmap(layer)(x.unsqueeze(1)).squeeze(1), layer(x))


def test_masked_global_pooling_is_an_ordinary_layer():
    check_dynamic_export(check_layer(layers.GlobalAveragePooling1D, {}, (2, 4, 3), unknown=(0, 1), masked=True))


@given(
    lengths=st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9)),
    windows=st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 5)),
    strides=st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4)),
    rank=st.integers(1, 3),
    padding=st.sampled_from(["valid", "same"]),
    data_format=st.sampled_from(["channels_last", "channels_first"]),
    large=st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_pools_are_over_the_windows_of_tensorflow(lengths, windows, strides, rank, padding, data_format, large):
    if padding == "valid":
        lengths = tuple(max(pair) for pair in zip(lengths, windows, strict=True))
    lengths, windows, strides = lengths[:rank], windows[:rank], strides[:rank]
    x = np.random.randn(*lengths)
    places = []
    for length, window, stride in zip(lengths, windows, strides, strict=True):
        if padding == "same":
            total = max((math.ceil(length / stride) - 1) * stride + window - length, 0)
            starts = [number * stride - total // 2 for number in range(math.ceil(length / stride))]
        else:
            starts = list(range(0, length - window + 1, stride))
        places.append([slice(max(start, 0), start + window) for start in starts])
    shape = tuple(map(len, places))
    for classes, reduce in ((MAX, np.max), (AVERAGE, np.mean)):
        wanted = np.array([reduce(x[tuple(axis[i] for axis, i in zip(places, index, strict=True))]) for index in np.ndindex(*shape)]).reshape(shape)
        layer = classes[rank - 1](windows, strides, padding, data_format)
        inputs = torch.tensor(x)[None, ..., None].expand(2, *lengths, 3)
        if large and rank == 3:  # as with volumes of many entries
            layer.build = lambda shape, layer=layer: setattr(layer, "_by_planes", layer.data_format == "channels_last")
        got = layer(inputs if data_format == "channels_last" else inputs.movedim(-1, 1))
        got = got if data_format == "channels_last" else got.movedim(1, -1)
        np.testing.assert_allclose(got[1, ..., 2].numpy(), wanted, atol=1e-12)


def test_large_volumes_are_averaged_plane_by_plane():
    x = torch.randn(2, 20, 20, 21, 3, requires_grad=True)
    layer = layers.AveragePooling3D((2, 3, 2), (2, 1, 3), padding="same")
    outputs = layer(x)
    assert layer._by_planes
    layer._by_planes = False
    wanted = layer(x)
    torch.testing.assert_close(outputs, wanted)
    torch.testing.assert_close(torch.autograd.grad(outputs.square().sum(), x), torch.autograd.grad(wanted.square().sum(), x))


def test_equal_largest_entries():
    # a window gives the whole gradient to the first of them, a global pool shares it out, as TensorFlow does
    x = torch.zeros(1, 4, 1, requires_grad=True)
    layers.MaxPooling1D(4)(x).sum().backward()
    assert x.grad.flatten().tolist() == [1, 0, 0, 0]
    x.grad = None
    layers.GlobalMaxPooling1D()(x).sum().backward()
    assert x.grad.flatten().tolist() == [0.25] * 4


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_masked_steps_do_not_count_in_the_average(data_format):
    x = torch.tensor([[[1.0, 2], [3, 4], [100, 100]], [[5, 6], [7, 8], [9, 10]]])
    mask = torch.tensor([[True, True, False], [True, True, True]])
    inputs = x if data_format == "channels_last" else x.mT.contiguous()
    set_mask(inputs, mask)
    outputs = layers.GlobalAveragePooling1D(data_format)(inputs)
    assert outputs.tolist() == [[2, 3], [7, 8]]
    assert not hasattr(outputs, "_keras_mask")
    assert layers.GlobalAveragePooling1D(data_format)(inputs, mask=mask[:, [2, 1, 0]])[0].tolist() == [51.5, 52]
    assert torch.isnan(layers.GlobalAveragePooling1D(data_format)(inputs, mask=torch.zeros(2, 3, dtype=torch.bool))).all()  # as Keras


def test_a_mask_is_seen_after_calls_without_one():
    layer, x = layers.GlobalAveragePooling1D(), torch.tensor([[[1.0], [3.0]]])
    for _ in range(2):
        assert layer(x).item() == 2
    set_mask(x, torch.tensor([[True, False]]))
    assert layer(x).item() == 1


@pytest.mark.parametrize("cls", [*MAX, *AVERAGE])
def test_bad_arguments_are_refused(cls):
    with pytest.raises(ValueError, match=rf"{cls.__name__} '\w+' takes for `pool_size` a whole number of at least 1.*got 0"):
        cls(0)
    with pytest.raises(ValueError, match=r"`strides` a whole number of at least 1.*got \(1, 2, 3, 4\)"):
        cls(2, strides=(1, 2, 3, 4))
    with pytest.raises(ValueError, match=r"`padding` one of \['valid', 'same'\], but got 'causal'"):
        cls(padding="causal")
    with pytest.raises(ValueError, match=r"data_format must be one of .* but got 'NCHW'"):
        cls(data_format="NCHW")


@pytest.mark.parametrize("cls", [*MAX, *AVERAGE])
def test_bad_inputs_are_refused(cls):
    layer = cls(3)
    with pytest.raises(ValueError, match=f"expected ndim={cls.rank + 2}, found ndim=2"):
        layer(torch.zeros(2, 3))
    for _ in range(2):
        with pytest.raises(ValueError, match="to have at least 3 entries, found 2"):
            layer(torch.zeros(2, *(2,) * cls.rank, 4))
        layer(torch.zeros(2, *(3,) * cls.rank, 4))
    assert cls(3, padding="same")(torch.zeros(2, *(2,) * cls.rank, 4)).shape == (2, *(1,) * cls.rank, 4)


@pytest.mark.parametrize("cls", GLOBAL)
def test_global_pools_refuse_another_rank(cls):
    with pytest.raises(ValueError, match=f"expected ndim={cls.rank + 2}, found ndim=2"):
        cls()(torch.zeros(2, 3))
    with pytest.raises(ValueError, match=r"data_format must be one of .* but got 'last'"):
        cls(data_format="last")


@pytest.mark.parametrize("cls", [*MAX, *AVERAGE])
def test_channels_last_data_stay_where_they_are(cls):
    assert cls(2)(torch.randn(2, *(4,) * cls.rank, 3)).is_contiguous() or cls is layers.AveragePooling3D


def test_short_names_are_the_same_classes():
    assert layers.MaxPool2D is pooling.MaxPool2D is layers.MaxPooling2D
    assert layers.GlobalAvgPool1D is layers.GlobalAveragePooling1D


def test_global_maxima_have_the_same_gradient_where_torch_does_not_tell_of_transforms(monkeypatch):
    x = torch.randn(2, 8, 8, 64).round().requires_grad_()  # many are equal
    layer = layers.GlobalMaxPooling2D()
    found = []
    for _ in range(2):
        (gradient,) = torch.autograd.grad(layer(x).square().sum(), x)
        found.append(gradient)
        monkeypatch.setattr(global_pooling, "_is_transformed", lambda: True)
    torch.testing.assert_close(found[0], found[1])
