"""The core layers against genuine Keras, and on bad input."""

import numpy as np
import pytest
import torch

import torchkeras.layers.core as core
from tests.golden_cases import golden
from tests.layers.golden_layer import check_golden_layer
from tests.layers.harness import check_layer
from torchkeras import layers
from torchkeras.generations import set_keras_version
from torchkeras.layers import Activation, ActivityRegularization, Dense, Input, Masking
from torchkeras.layers.base import get_mask, set_mask


@pytest.mark.parametrize("case", golden("layer", "Dense", "Activation", "ActivityRegularization", "Masking"), ids=str)
def test_core_layers_match_keras(case, keras_version):
    check_golden_layer(case)


@pytest.mark.parametrize(
    ("kwargs", "shape"),
    [
        ({"units": 3}, (2, 4)),
        ({"units": 2, "activation": "tanh", "use_bias": False}, (2, 3, 4)),
        ({"units": 3, "activation": "softmax", "kernel_regularizer": "l2", "bias_constraint": "non_neg", "activity_regularizer": "l1"}, (2, 4)),
    ],
)
def test_dense_stands_the_harness(kwargs, shape):
    check_layer(Dense, kwargs, shape)


@pytest.mark.parametrize("name", ["relu", "softmax", "linear"])
def test_activation_stands_the_harness(name):
    check_layer(Activation, {"activation": name}, (2, 3, 4), unknown=(0, 1), masked=True)


def test_activity_regularization_stands_the_harness():
    check_layer(ActivityRegularization, {"l1": 0.1, "l2": 0.2}, (2, 3), unknown=(0, 1))


def test_masking_stands_the_harness():
    check_layer(Masking, {"mask_value": -1.0}, (2, 3, 4), unknown=(0, 1))


def test_dense_is_applied_over_the_last_axis_of_any_rank():
    layer = Dense(3)
    x = torch.randn(2, 4, 5, 6)
    torch.testing.assert_close(layer(x)[1, 2], layer(x[1, 2]))


def test_dense_shares_its_kernel_with_torch():
    layer = Dense(3)
    layer(torch.zeros(1, 4))
    assert layer.weight.shape == (3, 4)
    assert layer.kernel.shape == (4, 3)
    layer.kernel.data.fill_(2.0)
    assert (layer.weight == 2).all()


def test_a_state_dict_of_torch_linear_loads_into_an_unbuilt_dense():
    linear, x = torch.nn.Linear(4, 3), torch.randn(2, 4)
    layer = Dense(3)
    layer.load_state_dict(linear.state_dict())
    torch.testing.assert_close(layer(x), linear(x))


@pytest.mark.parametrize("units", [0, -3])
def test_dense_refuses_units_below_one(units):
    with pytest.raises(ValueError, match=f"Dense 'dense' needs units of at least 1, but got {units}"):
        Dense(units, name="dense")


def test_dense_refuses_another_last_axis():
    layer = Dense(3, name="dense")
    layer(torch.zeros(2, 4))
    with pytest.raises(ValueError, match=r"'dense'.*expected axis -1 of input shape to have value 4, found 5.*\(2, 5\)"):
        layer(torch.zeros(2, 5))
    with pytest.raises(ValueError, match=r"min_ndim=2, found ndim=1"):
        layer(torch.zeros(4))


def test_dense_needs_to_know_the_last_axis():
    with pytest.raises(ValueError, match=r"Dense 'dense' needs the size of the input's last axis.*\(None, None\)"):
        Dense(3, name="dense")(Input((None,)))


def test_dense_refuses_an_unknown_argument_and_weights_of_another_shape():
    with pytest.raises(TypeError, match="unexpected keyword argument 'unitz'"):
        Dense(3, unitz=4)
    with pytest.raises(ValueError, match=r"has the shape \(4, 3\), but set_weights got an array of shape \(3, 4\)"):
        Dense(3, weights=[np.zeros((3, 4)), np.zeros(3)])(torch.zeros(1, 4))


def test_activation_refuses_an_unknown_name():
    with pytest.raises(ValueError, match=r"'rely'.*'relu'"):
        Activation("rely")


@pytest.mark.parametrize(("version", "wanted"), [("2.2.4", 0.1 * 6 + 0.5 * 6), ("2.4.0", (0.1 * 6 + 0.5 * 6) / 2)])
def test_activity_regularization_adds_its_penalty(version, wanted):
    set_keras_version(version)
    layer = ActivityRegularization(l1=0.1, l2=0.5)
    x = torch.tensor([[1.0, -1.0, 1.0], [1.0, 1.0, -1.0]])
    assert layer(x) is x
    torch.testing.assert_close(layer.losses[0], torch.tensor(wanted))


def test_a_users_masking_may_have_a_call_or_a_mask_of_its_own():
    class Doubled(Masking):
        def call(self, inputs):
            return super().call(inputs) * 2

    class Inverted(Masking):
        def compute_mask(self, inputs, mask=None):
            return (inputs == 0).all(-1)

    x = torch.tensor([[[1.0, 2.0], [0.0, 0.0]]])
    for _ in range(2):
        y = Doubled()(x)
        assert torch.equal(y, x * 2)
        assert get_mask(y).tolist() == [[True, False]]
    layer = Inverted()
    for _ in range(2):
        y = layer(x)
        assert torch.equal(y, x)
        assert get_mask(y).tolist() == [[False, True]]


def test_masking_zeroes_and_masks_the_marked_steps():
    x = torch.tensor([[[1.0, 9.0], [9.0, 9.0]], [[9.0, 9.0], [0.0, 0.0]]])
    y = Masking(9.0)(x)
    torch.testing.assert_close(y, torch.tensor([[[1.0, 9.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]]))
    assert get_mask(y).tolist() == [[True, False], [False, True]]


def test_masks_pass_where_they_are_supported():
    x, mask = torch.randn(2, 3, 4), torch.tensor([[True, True, False], [True, False, False]])
    set_mask(x, mask)
    for layer in (Activation("relu"), ActivityRegularization(0.1), Dense(2), layers.Dropout(0.5)):
        assert torch.equal(get_mask(layer(x)), mask), layer


def test_keras_path_of_the_core_layers():
    assert core.Lambda is layers.Lambda
    assert all(hasattr(core, name) for name in core.__all__)
