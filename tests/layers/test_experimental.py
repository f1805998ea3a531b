"""EinsumDense and RandomFourierFeatures: numbers recorded from tf.keras 2.4.0, and the harness."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.layers.harness import check_dynamic_export, check_layer
from torchkeras.layers.experimental import EinsumDense, RandomFourierFeatures
from torchkeras.layers.experimental.preprocessing import Discretization

RECORDED = json.loads(Path(__file__).with_name("recorded_experimental.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", RECORDED["einsum_dense"], ids=lambda case: f"{case['equation']} {np.shape(case['x'])} bias {case['bias_axes']}")
def test_einsum_dense_matches_keras(case):
    arguments = {name: case[name] for name in ("equation", "output_shape", "bias_axes")}
    layer, x = EinsumDense(**arguments), torch.tensor(case["x"])
    layer(x)
    assert [list(weight.shape) for weight in layer.get_weights()] == [list(np.shape(weight)) for weight in case["weights"]]
    layer.set_weights([np.array(weight, "float32") for weight in case["weights"]])
    torch.testing.assert_close(layer(x), torch.tensor(case["y"]), rtol=1e-5, atol=1e-5)
    config = layer.get_config()
    assert {name: config[name] for name in arguments} == arguments
    new = EinsumDense(**arguments)
    new.load_state_dict(layer.state_dict())
    torch.testing.assert_close(new(x), layer(x))


@pytest.mark.parametrize(
    ("kwargs", "shape", "unknown"),
    [
        ({"equation": "ab,bc->ac", "output_shape": 3, "bias_axes": "c", "activation": "tanh"}, (2, 4), (0,)),
        ({"equation": "...x,xy->...y", "output_shape": 3, "bias_axes": "y", "kernel_regularizer": "l2"}, (2, 4, 3), (0, 1)),
        ({"equation": "abc,cde->abde", "output_shape": (None, 2, 3), "bias_axes": "de", "bias_constraint": "non_neg"}, (2, 4, 3), (0, 1)),
        ({"equation": "ab...,bc->ac...", "output_shape": 3, "bias_axes": "c"}, (2, 4, 2, 2), (0, 2, 3)),
    ],
    ids=lambda value: str(value),
)
def test_einsum_dense_is_an_ordinary_layer(kwargs, shape, unknown):
    check_dynamic_export(check_layer(EinsumDense, kwargs, shape, unknown=unknown))


def test_what_an_einsum_cannot_be_is_refused():
    with pytest.raises(ValueError, match=r"takes equations .* but got 'ab->ba'"):
        EinsumDense("ab->ba", 3)
    with pytest.raises(ValueError, match=r"takes equations .* but got '...a,ab->b'"):
        EinsumDense("...a,ab->b", 3)
    with pytest.raises(ValueError, match="axis 'd' of the output has no size"):
        EinsumDense("ab,bc->acd", (3, 2))
    with pytest.raises(ValueError, match="axis 'x' of bias_axes has no size"):
        EinsumDense("ab,bc->ac", 3, bias_axes="x")
    with pytest.raises(ValueError, match=r"it has another number of axes"):
        EinsumDense("ab,bc->ac", 3)(torch.ones(2, 3, 4))
    with pytest.raises(ValueError, match=r"one size for each axis of 'ac' but the batch, but got \[3, 2\]"):
        EinsumDense("ab,bc->ac", (3, 2))(torch.ones(2, 3))
    with pytest.raises(ValueError, match=r"axis 'b' .* is 5 in the input of shape \(2, 5, 4\), but 6"):
        EinsumDense("abc,cd->abd", (6, 3))(torch.ones(2, 5, 4))
    layer = EinsumDense("ab,bc->ac", 3)
    layer(torch.ones(2, 4))
    with pytest.raises(ValueError, match="expected axis 1 of input shape to have value 4, found 1"):
        layer(torch.ones(2, 1))  # which einsum would spread


def test_random_fourier_features_match_keras():
    case = RECORDED["random_fourier_features"]
    layer, x = RandomFourierFeatures(4), torch.tensor(case["x"])
    layer(x)
    assert layer.scale == pytest.approx(case["scale"])
    assert [weight.name.split("/")[1] for weight in layer.weights] == ["kernel_scale:0", "unscaled_kernel:0", "bias:0"]
    layer.set_weights([np.array(weight, "float32") for weight in case["weights"]])
    torch.testing.assert_close(layer(x), torch.tensor(case["y"]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kwargs", [{"output_dim": 3, "trainable": True}, {"output_dim": 3, "trainable": True, "kernel_initializer": "laplacian"}])
def test_random_fourier_features_are_an_ordinary_layer(kwargs):
    check_dynamic_export(check_layer(RandomFourierFeatures, kwargs, (2, 4)))


@pytest.mark.parametrize(("kernel", "distance"), [("gaussian", lambda d: (d**2).sum() / 2), ("laplacian", lambda d: d.abs().sum())])
def test_the_dot_product_of_features_is_nearly_the_kernel(kernel, distance):
    torch.manual_seed(0)
    layer = RandomFourierFeatures(20000, kernel, scale=2.0)
    x = torch.tensor([[0.1, -0.3, 0.4], [0.5, 0.2, -0.1]])
    features = layer(x) * math.sqrt(2 / 20000)
    wanted = torch.exp(-distance((x[0] - x[1]) / 2.0))
    torch.testing.assert_close(features[0] @ features[1], wanted, atol=0.03, rtol=0)


def test_random_fourier_features_refuse_what_they_cannot_take():
    with pytest.raises(ValueError, match="needs an output_dim of at least 1, but got 0"):
        RandomFourierFeatures(0)
    with pytest.raises(ValueError, match=r"needs a scale above 0, but got -1.0"):
        RandomFourierFeatures(2, scale=-1.0)
    with pytest.raises(ValueError, match=r"knows the kernels \['gaussian', 'laplacian'\], but got 'poly'"):
        RandomFourierFeatures(2, "poly")
    with pytest.raises(ValueError, match="expected ndim=2, found ndim=3"):
        RandomFourierFeatures(2)(torch.ones(1, 2, 3))


def test_discretization_numbers_ranges_as_keras_does():
    layer = Discretization([0.0, 1.0, 2.0])
    values = torch.tensor([[-1.5, 1.0, 3.4, 0.5], [0.0, 3.0, 1.3, math.nan]])
    found = layer(values)
    assert found.dtype is torch.int32
    assert found.tolist() == [[0, 2, 3, 1], [1, 3, 2, 3]]
    assert layer(np.array([[0, 1, 5]])).tolist() == [[1, 2, 3]]
    assert Discretization.from_config(layer.get_config()).bins == [0.0, 1.0, 2.0]
    assert layer.state_dict() == {}
    with pytest.raises(ValueError, match=r"needs bins in ascending order, but got \[1.0, 0.0\]"):
        Discretization([1.0, 0.0])
