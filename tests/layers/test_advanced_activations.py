"""Activations with settings or weights of their own."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.golden_cases import golden
from tests.layers.golden_layer import check_golden_layer
from tests.layers.harness import check_layer
from torchkeras.generations import set_keras_version
from torchkeras.layers import ELU, Input, LeakyReLU, PReLU, ReLU, Softmax, ThresholdedReLU, advanced_activations
from torchkeras.layers.base import get_mask, set_mask


@pytest.mark.parametrize("case", golden("layer", "LeakyReLU", "PReLU", "ELU", "ThresholdedReLU", "Softmax", "ReLU"), ids=str)
def test_activation_layers_match_keras(case, keras_version):
    check_golden_layer(case)


@pytest.mark.parametrize(
    ("cls", "kwargs", "shape", "unknown"),
    [
        (LeakyReLU, {"alpha": 0.2}, (2, 3), (0, 1)),
        (PReLU, {}, (2, 3, 4), (0,)),
        (PReLU, {"shared_axes": [1], "alpha_regularizer": "l2", "alpha_constraint": "non_neg"}, (2, 3, 4), (0, 1)),
        (PReLU, {"shared_axes": (2, 3)}, (2, 3, 2, 2), (0, 2)),
        (PReLU, {"shared_axes": [1, 2]}, (2, 3, 4), (0, 1)),
        (ELU, {"alpha": 0.7}, (2, 3), (0, 1)),
        (ThresholdedReLU, {"theta": 0.3}, (2, 3), (0, 1)),
        (Softmax, {"axis": 1}, (2, 3, 4), (0, 1)),
        (ReLU, {"max_value": 1.0, "negative_slope": 0.1, "threshold": 0.2}, (2, 3), (0, 1)),
    ],
)
def test_activation_layers_stand_the_harness(cls, kwargs, shape, unknown):
    check_layer(cls, kwargs, shape, unknown=unknown)


values = st.floats(-10, 10, width=32)


@given(x=st.lists(values, min_size=1, max_size=8), alpha=st.floats(0, 2))
@settings(max_examples=30, deadline=None)
def test_closed_forms(x, alpha):
    x = torch.tensor([x], dtype=torch.float64)
    inputs = x.float()
    below = x <= 0
    for layer, wanted in [
        (LeakyReLU(alpha), torch.where(below, alpha * x, x)),
        (ELU(alpha), torch.where(below, alpha * (x.exp() - 1), x)),
        (ThresholdedReLU(alpha), torch.where(inputs > torch.tensor(alpha, dtype=torch.float32), x, 0)),
        (PReLU(alpha_initializer=lambda shape, dtype=None: torch.full(shape, alpha)), torch.where(below, alpha * x, x)),
        (Softmax(), torch.softmax(x, -1)),
        (ReLU(max_value=alpha), x.clamp(0, alpha)),
    ]:
        torch.testing.assert_close(layer(inputs).double(), wanted, rtol=1e-5, atol=1e-6)


def test_prelu_shares_alpha_along_axes():
    layer = PReLU(shared_axes=[1, 2])
    layer(torch.zeros(2, 4, 5, 3))
    assert layer.alpha.shape == (1, 1, 3)
    layer.set_weights([np.array([0.1, 0.2, 0.3]).reshape(1, 1, 3)])
    y = layer(-torch.ones(1, 4, 5, 3))
    torch.testing.assert_close(y, torch.tensor([-0.1, -0.2, -0.3]).expand(1, 4, 5, 3))
    assert y.is_contiguous()  # channels last went through torch's kernel as a view


def test_softmax_leaves_out_what_its_mask_says():
    x = torch.randn(2, 3, 3)
    keep = torch.tensor([[True, True, False]] * 3).expand(2, 3, 3)
    y = Softmax()(x, mask=keep)
    torch.testing.assert_close(y[..., :2], torch.softmax(x[..., :2], -1))
    assert (y[..., 2] == 0).all()
    assert get_mask(y) is None
    half = Softmax()(x.half(), mask=keep)
    assert torch.isfinite(half).all()


def test_softmax_hands_the_mask_of_steps_on_untouched():
    x, steps = torch.randn(2, 3, 4), torch.tensor([[True, False, True]] * 2)
    wanted = torch.softmax(x, -1)
    set_mask(x, steps)
    y = Softmax()(x)
    torch.testing.assert_close(y, wanted)
    assert torch.equal(get_mask(y), steps)


@pytest.mark.parametrize(("version", "handed"), [("2.2.4", True), ("2.4.0", False)])
def test_relu_hands_masks_on_as_its_release_does(version, handed):
    set_keras_version(version)
    x = torch.randn(2, 3, 4)
    set_mask(x, torch.ones(2, 3, dtype=torch.bool))
    assert (get_mask(ReLU()(x)) is not None) is handed


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"alpha of LeakyReLU 'a' needs a number, but got None"):
        LeakyReLU(None, name="a")
    with pytest.raises(ValueError, match=r"threshold of ReLU 'a' needs a number, but got None"):
        ReLU(threshold=None, name="a")
    with pytest.raises(ValueError, match=r"ReLU 'a' needs a max_value and a negative_slope of at least 0, but got -1"):
        ReLU(max_value=-1, name="a")
    with pytest.raises(ValueError, match=r"PReLU 'a' has shared_axes=\[3\], but got an input of shape \(2, 3, 4\)"):
        PReLU(shared_axes=3, name="a")(torch.zeros(2, 3, 4))
    with pytest.raises(ValueError, match=r"PReLU 'a' needs to know the size of each axis that is not shared.*\(None, None, 4\)"):
        PReLU(name="a")(Input((None, 4)))
    layer = PReLU(shared_axes=[1], name="a")
    layer(torch.zeros(2, 3, 4))
    with pytest.raises(ValueError, match=r"'a'.*expected axis 2 of input shape to have value 4, found 5"):
        layer(torch.zeros(2, 3, 5))


def test_softmax_refuses_axes_that_the_input_lacks():
    with pytest.raises(ValueError, match=r"Softmax 's' has axis=5, but got an input of shape \(2, 3\) with the axes 0 to 1\. Choose"):
        Softmax(axis=5, name="s")(torch.ones(2, 3))
    layer = Softmax(axis=-3)
    layer(torch.ones(2, 3, 4))
    with pytest.raises(ValueError, match="expected min_ndim=3, found ndim=2"):
        layer(torch.ones(2, 3))
    with pytest.raises(TypeError, match=r"Softmax 't' needs an axis that is an int, but got \[1, 2\]\. For several axes"):
        Softmax(axis=[1, 2], name="t")


def test_prelu_is_the_same_without_torchs_own_kernel(monkeypatch):
    x = torch.tensor([[-2.0, -1.0, 0.0, 3.0]], requires_grad=True)
    layer = PReLU("ones")
    layer(x)
    layer.set_weights([torch.tensor([0.5, -0.25, 2.0, 4.0])])
    found = []
    for _ in range(2):
        y = layer(x)
        found.append((y, *torch.autograd.grad(y.square().sum() + y.sum(), [x, layer.weight])))
        monkeypatch.setattr("torchkeras.layers.advanced_activations._prelu", advanced_activations._choice_prelu)
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=0)
