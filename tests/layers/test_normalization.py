"""BatchNormalization and LayerNormalization."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.golden_cases import golden
from tests.layers.golden_layer import check_golden_layer
from tests.layers.harness import check_dynamic_export, check_layer
from torchkeras.generations import set_keras_version, using_keras_version
from torchkeras.layers import BatchNormalization, Input, LayerNormalization


@pytest.mark.parametrize("case", golden("layer", "BatchNormalization", "LayerNormalization"), ids=str)
def test_normalization_matches_keras(case, keras_version):
    check_golden_layer(case)


@pytest.mark.parametrize("version", ["2.2.4", "2.4.0"])
@pytest.mark.parametrize(
    ("kwargs", "shape", "unknown"),
    [
        ({}, (4, 3), (0,)),
        ({"axis": 1, "gamma_regularizer": "l2", "beta_constraint": "non_neg"}, (2, 3, 4), (0, 2)),
        ({"axis": -1, "center": False}, (2, 3, 4), (0, 1)),
        ({"scale": False}, (2, 3, 2, 2), (0, 1, 2)),
        ({"axis": 2}, (2, 3, 2, 2), (0, 1)),
        ({"axis": -1}, (2, 2, 1, 2, 2), (0,)),
    ],
)
def test_batch_normalization_stands_the_harness(version, kwargs, shape, unknown):
    set_keras_version(version)
    # "modes": training moves the averages, which is tested below
    check_dynamic_export(check_layer(BatchNormalization, kwargs, shape, unknown=unknown, skip=["modes"]))


@pytest.mark.parametrize("kwargs", [{"axis": [1, 2]}, {"renorm": True}, {"virtual_batch_size": 2}])
def test_batch_normalization_by_formula_stands_the_harness(kwargs):
    # "vmap": virtual_batch_size splits the axis that vmap hides; "modes" as above
    subject = check_layer(BatchNormalization, kwargs, (4, 3, 2), skip=["modes", "vmap"])
    if "virtual_batch_size" not in kwargs:  # which has to divide every batch
        check_dynamic_export(subject)


@pytest.mark.parametrize(
    ("kwargs", "shape"), [({}, (3, 4)), ({"axis": 1}, (2, 3, 4)), ({"axis": (1, 2), "center": False}, (2, 3, 4)), ({"axis": [3, 1]}, (2, 3, 2, 2))]
)
def test_layer_normalization_stands_the_harness(kwargs, shape):
    check_layer(LayerNormalization, kwargs, shape)


def reference(xs, *, momentum, epsilon, debiased, fused, axis):
    """Moving statistics by plain float64 arithmetic, step by step."""
    channels = xs[0].shape[axis]
    mean, variance = np.zeros(channels), np.ones(channels)
    biased_mean, biased_variance = np.zeros(channels), np.zeros(channels)
    for step, x in enumerate(xs, 1):
        flat = np.moveaxis(x.astype(np.float64), axis, -1).reshape(-1, channels)
        n = len(flat)
        new_mean, new_variance = flat.mean(0), flat.var(0)
        if debiased:
            new_variance = new_variance * n / (n - 1 - epsilon)
        if fused:
            new_variance = new_variance * n / (n - 1)
        if debiased:
            biased_mean = momentum * biased_mean + (1 - momentum) * new_mean
            biased_variance = momentum * biased_variance + (1 - momentum) * new_variance
            mean, variance = biased_mean / (1 - momentum**step), biased_variance / (1 - momentum**step)
        else:
            mean = momentum * mean + (1 - momentum) * new_mean
            variance = momentum * variance + (1 - momentum) * new_variance
    return mean, variance


@given(
    version=st.sampled_from(["2.2.4", "2.4.0"]),
    shape=st.sampled_from([(5, 3), (4, 2, 3), (3, 2, 4, 3), (2, 2, 1, 2, 3)]),
    axis=st.sampled_from([-1, 1]),
    momentum=st.sampled_from([0.0, 0.5, 0.99]),
    updates=st.integers(1, 12),
)
@settings(max_examples=40, deadline=None)
def test_moving_statistics_are_exact_after_many_updates(version, shape, axis, momentum, updates):
    xs = [np.random.randn(*shape).astype("float32") * 3 + 1 for _ in range(updates)]
    with using_keras_version(version):
        layer = BatchNormalization(axis=axis, momentum=momentum)
    for x in xs:
        layer(x, training=True)
    debiased = version == "2.2.4"
    fused = len(shape) == 4 and (axis == -1 or not debiased)
    mean, variance = reference(xs, momentum=momentum, epsilon=1e-3, debiased=debiased, fused=fused, axis=axis)
    np.testing.assert_allclose(layer.get_weights()[2], mean, rtol=2e-5, atol=1e-5)
    np.testing.assert_allclose(layer.get_weights()[3], variance, rtol=2e-5, atol=1e-5)


def test_training_normalizes_by_the_batch_and_inference_by_the_averages():
    layer, x = BatchNormalization(momentum=0.5), torch.randn(50, 3) * 4 + 2
    y = layer(x, training=True)
    torch.testing.assert_close(y.mean(0), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(y.std(0, correction=0), torch.ones(3), atol=1e-3, rtol=0)
    torch.testing.assert_close(layer(x), (x - layer.moving_mean) / (layer.moving_variance + 1e-3).sqrt())
    assert not torch.allclose(layer.running_mean, torch.zeros(3))


@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 4), (2, 3, 4, 2)])
def test_gradients_in_training_are_right(shape):
    layer = BatchNormalization()
    layer(torch.zeros(shape))
    layer.double()
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)

    def run(x, weight, bias):
        return torch.func.functional_call(copy.deepcopy(layer), {"weight": weight, "bias": bias}, (x,), {"training": True})

    assert torch.autograd.gradcheck(run, (x, torch.rand_like(layer.weight, requires_grad=True), torch.rand_like(layer.bias, requires_grad=True)))


@pytest.mark.parametrize("version", ["2.2.4", "2.4.0"])
def test_a_batch_of_one_has_no_variance(version):
    set_keras_version(version)
    layer = BatchNormalization(momentum=0.0)
    x = torch.tensor([[3.0, -5.0]], requires_grad=True)
    y = layer(x, training=True)
    torch.testing.assert_close(y, torch.zeros(1, 2))
    torch.testing.assert_close(layer.running_mean, x[0].detach())
    torch.testing.assert_close(layer.running_var.abs(), torch.zeros(2))
    y.sum().backward()
    torch.testing.assert_close(x.grad, torch.zeros(1, 2))


@pytest.mark.parametrize(("version", "inference"), [("2.2.4", False), ("2.4.0", True)])
def test_frozen_layers_follow_their_release(version, inference):
    set_keras_version(version)
    layer, x = BatchNormalization(), torch.randn(8, 3)
    layer(x, training=True)
    before = layer.get_weights()
    layer.trainable = False
    y = layer(x * 3, training=True)
    np.testing.assert_array_equal(layer.get_weights(), before)
    torch.testing.assert_close(y.mean(0).abs().max() < 1e-5, torch.tensor(not inference))
    layer.trainable = True
    layer(x * 3, training=True)
    assert not np.array_equal(layer.get_weights()[2], before[2])


def test_the_kernel_on_channels_last_data_copies_nothing():
    layer, x = BatchNormalization(), torch.randn(2, 4, 5, 3)
    for training in (True, False):
        y = layer(x, training=training)
        assert y.is_contiguous()
        assert y.shape == x.shape


@pytest.mark.parametrize("version", ["2.2.4", "2.4.0"])
@pytest.mark.parametrize("shape", [(6, 3), (2, 3, 4, 3)])
def test_training_compiles_in_one_graph_and_moves_the_averages(version, shape):
    set_keras_version(version)
    torch._dynamo.reset()
    layer, x = BatchNormalization(), torch.randn(shape)
    layer(x)
    other = copy.deepcopy(layer)
    layer.train(), other.train()
    compiled = torch.compile(other, fullgraph=True, backend="aot_eager")
    for _ in range(3):
        torch.testing.assert_close(compiled(x), layer(x))
        torch.testing.assert_close(other.running_var, layer.running_var)
        torch.testing.assert_close(other.running_mean, layer.running_mean)


@pytest.mark.parametrize("version", ["2.2.4", "2.4.0"])
def test_a_state_dict_of_torch_batch_norm_loads_into_an_unbuilt_layer(version):
    set_keras_version(version)
    torch_layer, x = torch.nn.BatchNorm2d(3, eps=1e-3), torch.randn(2, 4, 5, 3)
    torch_layer(x.permute(0, 3, 1, 2))
    layer = BatchNormalization()
    layer.load_state_dict(torch_layer.state_dict())
    torch.testing.assert_close(layer(x).permute(0, 3, 1, 2), torch_layer.eval()(x.permute(0, 3, 1, 2)))


def test_state_goes_between_releases():
    x = torch.randn(5, 3)
    with using_keras_version("2.2.4"):
        old = BatchNormalization()
    new = BatchNormalization()
    for layer, other in ((old, new), (new, old)):
        layer(x, training=True)
        other.load_state_dict(layer.state_dict())
        torch.testing.assert_close(other(x), layer(x))


def test_the_averages_go_on_after_loading_a_state():
    set_keras_version("2.2.4")
    first, second, xs = BatchNormalization(), BatchNormalization(), [torch.randn(5, 3) for _ in range(4)]
    for x in xs[:2]:
        first(x, training=True)
    second.load_state_dict(first.state_dict())
    for x in xs[2:]:
        first(x, training=True), second(x, training=True)
    torch.testing.assert_close(second.running_var, first.running_var)
    assert "num_batches_tracked" in first.state_dict()
    assert len(first.get_weights()) == 4


def test_a_mixed_precision_input_keeps_float_statistics():
    layer = BatchNormalization()
    layer(torch.zeros(2, 3))
    y = layer(torch.randn(8, 3, dtype=torch.bfloat16), training=True)
    assert y.dtype == torch.bfloat16
    assert layer.running_mean.dtype == torch.float32


def test_virtual_batches_are_normalized_by_themselves():
    layer, x = BatchNormalization(virtual_batch_size=2, momentum=0.0), torch.randn(6, 3)
    y = layer(x, training=True)
    parts = x.reshape(2, 3, 3)  # as TensorFlow: the samples of a part lie batch / size apart
    wanted = (parts - parts.mean(0)) / (parts.var(0, correction=0) + 1e-3).sqrt()
    torch.testing.assert_close(y, wanted.reshape(6, 3))
    assert layer.gamma.shape == (1, 1, 3)
    torch.testing.assert_close(layer.running_var[0, 0], parts.var(0, correction=0).mean(0))


def test_adjustment_scales_and_shifts_in_training_alone():
    layer, x = BatchNormalization(adjustment=lambda shape: (torch.full((shape[0], 1), 2.0), torch.full((shape[0], 1), 5.0))), torch.randn(6, 3)
    plain = BatchNormalization()
    torch.testing.assert_close(layer(x, training=True), plain(x, training=True) * 2 + 5)
    torch.testing.assert_close(layer(x), plain(x))
    with pytest.warns(UserWarning, match="adjustment function of BatchNormalization 'b' has no place in a config"):
        BatchNormalization(adjustment=lambda shape: shape, name="b").get_config()


def test_renorm_clipping_bounds_the_correction():
    x = torch.randn(6, 3) * 5 + 3
    bounded = BatchNormalization(renorm=True, renorm_clipping={"rmin": 1.0, "rmax": 1.0, "dmax": 0.0})
    torch.testing.assert_close(bounded(x, training=True), BatchNormalization(fused=False)(x, training=True), atol=1e-5, rtol=1e-5)
    config = bounded.get_config()
    assert config["renorm_clipping"] == {"rmin": 1.0, "rmax": 1.0, "dmax": 0.0}


@pytest.mark.parametrize(("fused", "factor"), [(True, 12 / 11), (None, 12 / 11), (False, 1.0)])
def test_fused_decides_the_variance(fused, factor):
    layer, x = BatchNormalization(fused=fused, momentum=0.0), torch.randn(2, 2, 3, 4)
    layer(x, training=True)
    torch.testing.assert_close(layer.running_var, x.var((0, 1, 2), correction=0) * factor)


def test_layer_normalization_over_axes_in_another_order_reads_weights_as_keras_does():
    x = torch.randn(2, 3, 4)
    layer = LayerNormalization(axis=(2, 1))
    layer(x)
    assert layer.gamma.shape == (4, 3)
    layer.set_weights([np.arange(12.0).reshape(4, 3), np.zeros((4, 3))])
    plain = LayerNormalization(axis=(1, 2))(x)
    torch.testing.assert_close(layer(x), plain * torch.arange(12.0).reshape(3, 4))


def test_bad_arguments():
    with pytest.raises(TypeError, match=r"BatchNormalization 'b' needs an axis that is an int or a list of ints, but got 'last'"):
        BatchNormalization("last", name="b")
    with pytest.raises(ValueError, match=r"BatchNormalization 'b' has axis=3, but got an input of shape \(2, 3\)"):
        BatchNormalization(3, name="b")(torch.zeros(2, 3))
    with pytest.raises(ValueError, match=r"LayerNormalization 'n' has an axis twice in axis=\[1, -1\]"):
        LayerNormalization([1, -1], name="n")(torch.zeros(2, 3))
    with pytest.raises(ValueError, match=r"BatchNormalization 'b' needs to know the size of axis -1.*\(None, None\)"):
        BatchNormalization(name="b")(Input((None,)))
    with pytest.raises(ValueError, match=r"'b': fused=True goes with axis 1 or 3.*renorm=True"):
        BatchNormalization(fused=True, renorm=True, name="b")
    with pytest.raises(ValueError, match=r"'b': fused=True needs an input of four axes, but got \(2, 3\)"):
        BatchNormalization(fused=True, name="b")(torch.zeros(2, 3))
    with pytest.raises(ValueError, match=r"renorm_clipping knows the keys.*\['max'\]"):
        BatchNormalization(renorm=True, renorm_clipping={"max": 3})
    with pytest.raises(ValueError, match=r"'b' needs a virtual_batch_size of at least 1.*but got 0"):
        BatchNormalization(virtual_batch_size=0, name="b")


@pytest.mark.parametrize("cls", [BatchNormalization, LayerNormalization])
def test_another_number_of_channels_is_refused(cls):
    layer = cls(name="n")
    layer(torch.zeros(2, 3))
    with pytest.raises(ValueError, match=r"'n'.*expected axis -1 of input shape to have value 3, found 5"):
        layer(torch.zeros(2, 5))
