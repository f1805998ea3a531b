"""Where windows lie: TensorFlow's "same", causal, strides, dilation and transposition, against sums written out in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from torchkeras import generations, layers
from torchkeras.layers.convolutional import conv, up_sampling

small = settings(max_examples=60, deadline=None)


def tensorflow_pads(length: int, window: int, stride: int, dilation: int, padding: str) -> tuple[int, int]:
    """The rule of TensorFlow's documentation."""
    reach = dilation * (window - 1) + 1
    if padding == "valid":
        return 0, 0
    if padding == "causal":
        return reach - 1, 0
    rest = length % stride
    total = max(reach - (stride if rest == 0 else rest), 0)
    return total // 2, total - total // 2


def convolve(x: np.ndarray, kernel: np.ndarray, stride: int, dilation: int, padding: str) -> np.ndarray:
    """One axis: x (steps, channels), kernel (window, channels, filters)."""
    x = np.pad(x, (tensorflow_pads(len(x), len(kernel), stride, dilation, padding), (0, 0)))
    reach = dilation * (len(kernel) - 1) + 1
    starts = range(0, len(x) - reach + 1, stride)
    return np.array([sum(x[start + dilation * tap] @ kernel[tap] for tap in range(len(kernel))) for start in starts])


@given(
    length=st.integers(1, 12),
    window=st.integers(1, 5),
    spread=st.sampled_from([(1, 1), (2, 1), (3, 1), (4, 1), (1, 2), (1, 3)]),
    padding=st.sampled_from(["valid", "same", "causal"]),
    data_format=st.sampled_from(["channels_last", "channels_first"]),
)
@small
def test_conv1d_is_the_sum_over_its_window(length, window, spread, padding, data_format):
    stride, dilation = spread
    if padding == "valid" and dilation * (window - 1) + 1 > length:
        length += dilation * window
    x, kernel = np.random.randn(length, 2), np.random.randn(window, 2, 3)
    layer = layers.Conv1D(
        3, window, strides=stride, padding=padding, dilation_rate=dilation, data_format=data_format, use_bias=False, weights=[kernel], dtype="float64"
    )
    inputs = torch.tensor(x)[None]
    got = layer(inputs if data_format == "channels_last" else inputs.mT)
    got = (got if data_format == "channels_last" else got.mT)[0].detach().numpy()
    np.testing.assert_allclose(got, convolve(x, kernel, stride, dilation, padding), atol=1e-10)


@given(
    sizes=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    window=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    data_format=st.sampled_from(["channels_last", "channels_first"]),
)
@small
def test_conv2d_pads_each_axis_by_itself(sizes, window, strides, dilation, data_format):
    if max(strides) > 1:
        dilation = (1, 1)
    x, columns, rows = np.random.randn(*sizes, 1), np.random.randn(window[1]), np.random.randn(window[0])
    # a kernel that is a product of one for each axis: first along the columns, then along the rows
    along = np.stack([convolve(row, columns[:, None, None], strides[1], dilation[1], "same") for row in x])
    wanted = np.stack([convolve(along[:, number], rows[:, None, None], strides[0], dilation[0], "same") for number in range(along.shape[1])], axis=1)
    kernel = np.multiply.outer(rows, columns)[:, :, None, None]
    layer = layers.Conv2D(
        1, window, strides, "same", dilation_rate=dilation, data_format=data_format, use_bias=False, weights=[kernel], dtype="float64"
    )
    got = layer(torch.tensor(x).view(1, *sizes, 1) if data_format == "channels_last" else torch.tensor(x).view(1, 1, *sizes))
    np.testing.assert_allclose(got.detach().numpy().reshape(wanted.shape), wanted, atol=1e-10)


@given(
    length=st.integers(1, 6),
    window=st.integers(1, 6),
    spread=st.sampled_from([(1, 1), (2, 1), (3, 1), (4, 1), (1, 2), (1, 3)]),
    padding=st.sampled_from(["valid", "same"]),
    data_format=st.sampled_from(["channels_last", "channels_first"]),
    more=st.integers(-1, 3),
)
@small
def test_conv1d_transpose_is_the_gradient_of_conv1d(length, window, spread, padding, data_format, more):
    stride, dilation = spread
    extra = None if more < 0 else min(more, stride - 1)
    reach = dilation * (window - 1) + 1
    arguments = {"strides": stride, "padding": padding, "dilation_rate": dilation, "use_bias": False, "dtype": "float64"}
    if extra is None:
        long = length * stride if padding == "same" else length * stride + max(reach - stride, 0)
    else:
        pad = reach // 2 if padding == "same" else 0
        long = (length - 1) * stride + reach - 2 * pad + extra
        if padding == "same" and not 0 < reach - 2 * pad + extra <= stride:
            with pytest.raises(ValueError, match="cannot make an output of the length"):
                layers.Conv1DTranspose(2, window, output_padding=extra, **arguments)
            return
    kernel = np.random.randn(window, 2, 3)  # (window, outputs, inputs) here, (window, inputs, outputs) there
    back = layers.Conv1DTranspose(2, window, output_padding=extra, data_format=data_format, weights=[kernel], **arguments)
    there = layers.Conv1D(3, window, weights=[kernel], **arguments)
    x = torch.randn(1, long, 2, dtype=torch.float64, requires_grad=True)
    y = there(x)
    assert y.shape == (1, length, 3)
    cotangent = torch.randn_like(y)
    (wanted,) = torch.autograd.grad(y, x, cotangent)
    got = back(cotangent) if data_format == "channels_last" else back(cotangent.mT).mT
    torch.testing.assert_close(got, wanted)


@pytest.mark.parametrize("size", [2, 3, 5, 41, (2, 3)])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_upsampling2d_repeats(size, data_format):
    rows, columns = size if isinstance(size, tuple) else (size, size)
    x = torch.randn(2, 5, 4, 3)
    first, second = (1, 2) if data_format == "channels_last" else (2, 3)
    wanted = x.repeat_interleave(rows, first).repeat_interleave(columns, second)
    assert torch.equal(layers.UpSampling2D(size, data_format)(x), wanted)


def test_upsampling3d_repeats():
    x = torch.randn(2, 3, 2, 4, 5)
    wanted = x.repeat_interleave(2, 1).repeat_interleave(3, 2).repeat_interleave(4, 3)
    assert torch.equal(layers.UpSampling3D((2, 3, 4))(x), wanted)


@pytest.mark.parametrize("size", [2, 3, (4, 1)])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_bilinear_upsampling_lies_where_the_release_says(size, data_format):
    rows, columns = size if isinstance(size, tuple) else (size, size)
    x = np.random.randn(5, 4)

    def lines(length, factor, half_pixel):
        at = np.arange(length * factor)
        at = (at + 0.5) / factor - 0.5 if half_pixel else at / factor
        return [np.interp(at, np.arange(length), np.eye(length)[k]) for k in range(length)]  # beyond the ends: the last value

    for version, half_pixel in (("2.2.4", False), ("2.4.0", True)):
        wanted = np.transpose(lines(5, rows, half_pixel)) @ x @ np.array(lines(4, columns, half_pixel))
        with generations.using_keras_version(version):
            layer = layers.UpSampling2D(size, data_format, interpolation="bilinear")
        got = layer(torch.tensor(x).view((1, 5, 4, 1) if data_format == "channels_last" else (1, 1, 5, 4)))
        np.testing.assert_allclose(got.numpy().reshape(wanted.shape), wanted, atol=1e-10)


def test_cropping_undoes_zero_padding():
    x = torch.randn(2, 4, 3, 5, 2)
    pads = ((1, 0), (2, 1), (0, 3))
    for data_format in ("channels_last", "channels_first"):
        padded = layers.ZeroPadding3D(pads, data_format)(x)
        assert padded.sum() == pytest.approx(float(x.sum()), rel=1e-4)
        assert torch.equal(layers.Cropping3D(pads, data_format)(padded), x)


def test_cropping_is_a_view():
    x = torch.zeros(1, 4, 4, 1)
    layers.Cropping2D(1)(x).add_(1)
    assert x.sum() == 4


def test_several_batch_axes():
    x = torch.randn(2, 3, 8, 8, 4)
    for data_format, inputs in (("channels_last", x), ("channels_first", x.movedim(-1, 2))):
        layer = layers.Conv2D(5, 3, padding="same", strides=2, data_format=data_format)
        outputs = layer(inputs)
        torch.testing.assert_close(outputs[1, 2], layer(inputs[1])[2])
        assert outputs.shape[:2] == (2, 3)
    with generations.using_keras_version("2.2.4"), pytest.raises(ValueError, match="expected ndim=4, found ndim=5"):
        layers.Conv2D(5, 3)(x)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_channels_last_data_stay_where_they_are(rank):
    x = torch.randn(2, *(6,) * rank, 4)
    layer = (layers.Conv1D, layers.Conv2D, layers.Conv3D)[rank - 1](5, 3, padding="same")
    assert layer(x).is_contiguous()
    first = (layers.Conv1D, layers.Conv2D, layers.Conv3D)[rank - 1](5, 3, padding="same", data_format="channels_first")
    assert first(x.movedim(-1, 1).contiguous()).is_contiguous()


def test_same_padding_needs_no_copy_where_it_is_symmetric(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a copy was made")

    monkeypatch.setattr("torch.nn.functional.pad", refuse)
    layers.Conv2D(5, 3, padding="same")(torch.randn(2, 6, 6, 4))
    layers.Conv2D(5, 3, padding="same", strides=2)(torch.randn(2, 7, 7, 4))
    layers.Conv1D(5, 5, padding="same", dilation_rate=2)(torch.randn(2, 6, 4))
    layers.DepthwiseConv2D(3, padding="same")(torch.randn(2, 6, 6, 4))
    layers.MaxPooling2D(2, 1, padding="same")(torch.randn(2, 6, 6, 4))
    with pytest.raises(AssertionError, match="a copy was made"):
        layers.Conv2D(5, 2, padding="same")(torch.randn(2, 6, 6, 4))


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_windows_of_one_entry_with_strides_are_a_matrix_product_of_what_they_see(monkeypatch, rank, padding):
    layer = (layers.Conv1D, layers.Conv2D, layers.Conv3D)[rank - 1](5, 1, strides=(2, 3, 1)[:rank], padding=padding, activation="tanh")
    x = torch.randn(2, 2, *(7, 6, 5)[:rank], 20, dtype=torch.float64)  # with a second batch axis
    layer(x[0].float())
    layer.double()
    monkeypatch.setattr(conv, "_LARGE", 0)
    by_kernel = layer(x)
    expected = torch.autograd.grad(by_kernel.square().sum(), list(layer.parameters()))
    monkeypatch.setattr(conv, "_LARGE", 1 << 20)
    monkeypatch.setattr(type(layer), "_channels_last", None)
    seen = layer(x)
    torch.testing.assert_close(seen, by_kernel)
    torch.testing.assert_close(torch.autograd.grad(seen.square().sum(), list(layer.parameters())), expected)


def test_few_channels_never_reach_the_kernel_whose_gradient_writes_out_of_its_memory(monkeypatch):
    monkeypatch.setattr(conv, "_LARGE", 0)
    monkeypatch.setattr(layers.Conv2D, "_channels_last", None)
    x, layer = torch.randn(4, 64, 64, 8), layers.Conv2D(16, 1, strides=2, use_bias=False)
    outputs = layer(x)
    (found,) = torch.autograd.grad(outputs, layer.weight, torch.ones_like(outputs))
    torch.testing.assert_close(found[:, :, 0, 0], x[:, ::2, ::2].sum((0, 1, 2)).expand(16, 8), rtol=1e-4, atol=1e-3)


def test_enlarging_is_the_same_by_torchs_public_function(monkeypatch):
    """Where a torch has its kernels under other names."""
    cases = [
        (layers.UpSampling2D(2), (2, 3, 4, 5)),
        (layers.UpSampling2D(3, interpolation="bilinear"), (2, 3, 4, 5)),
        (layers.UpSampling3D(2), (1, 2, 3, 2, 4)),
    ]
    inputs = [torch.randn(shape) for _, shape in cases]
    by_kernels = [layer(x) for (layer, _), x in zip(cases, inputs, strict=True)]
    monkeypatch.setattr(up_sampling, "_NEAREST", dict.fromkeys((2, 3), up_sampling._interpolate("nearest")))
    monkeypatch.setattr(up_sampling, "_bilinear", up_sampling._interpolate("bilinear"))
    for (layer, _), x, wanted in zip(cases, inputs, by_kernels, strict=True):
        assert torch.equal(layer(x), wanted)
