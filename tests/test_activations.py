"""Activations: values of genuine Keras, gradients, the logits left on results, names."""

from __future__ import annotations

import gc
import math
import weakref

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional as F

from tests.golden_cases import golden
from torchkeras import activations, registry

ELEMENTWISE = ["relu", "elu", "selu", "softplus", "softsign", "tanh", "sigmoid", "hard_sigmoid", "exponential", "linear", "swish"]
NEWER = ["gelu", "silu", "mish", "relu6", "leaky_relu", "log_softmax"]


@pytest.mark.parametrize("case", golden("activation"), ids=str)
def test_activation_matches_keras(case, keras_version):
    x, expected = torch.from_numpy(case.arrays("inputs")[0]), torch.from_numpy(case.arrays("outputs")[0])
    y = getattr(activations, case["class"])(x, **case["kwargs"])
    torch.testing.assert_close(y, expected, rtol=1e-5, atol=case["atol"])


X = [-3.0, -2.5, 0.0, 1.0, 2.5, 6.0, 7.0]
# values and gradients at the corners, recorded from Keras 2.2.4 and tf.keras 2.4.0, which agree
CORNERS = [
    ({"max_value": 1.0}, [0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 1, 0, 0, 0]),
    ({"max_value": 6.0}, [0, 0, 0, 1, 2.5, 6, 6], [0, 0, 0, 1, 1, 0, 0]),
    ({"threshold": 1.0}, [0, 0, 0, 0, 2.5, 6, 7], [0, 0, 0, 0, 1, 1, 1]),
    ({"alpha": 0.2}, [-0.6, -0.5, 0, 1, 2.5, 6, 7], [0.2, 0.2, 0.2, 1, 1, 1, 1]),
    ({"alpha": 0.2, "threshold": 1.0}, [-0.8, -0.7, -0.2, 0, 2.5, 6, 7], [0.2, 0.2, 0.2, 0, 1, 1, 1]),
    ({"alpha": 0.2, "max_value": 2.5, "threshold": -1.0}, [-0.4, -0.3, 0, 1, 2.5, 2.5, 2.5], [0.2, 0.2, 1, 1, 1, 0, 0]),
]


@pytest.mark.parametrize(("kwargs", "value", "gradient"), CORNERS, ids=str)
def test_relu_at_its_corners(kwargs, value, gradient):
    x = torch.tensor(X, requires_grad=True)
    y = activations.relu(x, **kwargs)
    y.sum().backward()
    torch.testing.assert_close(y.detach(), torch.tensor(value, dtype=torch.float32))
    torch.testing.assert_close(x.grad, torch.tensor(gradient, dtype=torch.float32))


@given(
    x=st.floats(-10, 10),
    alpha=st.sampled_from([0.0, 0.1, 1.0]),
    max_value=st.sampled_from([None, 0.5, 6.0]),
    threshold=st.sampled_from([0.0, 0.3]),
)
def test_relu_is_its_definition(x, alpha, max_value, threshold):
    expected = x if x > threshold else alpha * (x - threshold)
    if max_value is not None and x > threshold:
        expected = min(expected, max_value)
    y = activations.relu(torch.tensor(x, dtype=torch.float64), alpha, max_value, threshold)
    assert y.item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", ELEMENTWISE + NEWER + ["softmax"])
def test_gradients_are_right(name):
    x = torch.randn(2, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(activations.get(name), x)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("softplus", math.log1p(math.exp(25.0))),
        ("swish", 25 / (1 + math.exp(-25))),
        ("exponential", math.exp(25)),
        ("softsign", 25 / 26),
        ("hard_sigmoid", 1.0),
        ("gelu", 25.0),
    ],
)
def test_float64_keeps_its_digits(name, expected):
    assert activations.get(name)(torch.tensor(25.0, dtype=torch.float64)).item() == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize("name", ELEMENTWISE + NEWER + ["softmax"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_the_dtype_stays(name, dtype):
    assert activations.get(name)(torch.randn(2, 3).to(dtype)).dtype == dtype


def test_hard_sigmoid_and_softplus_are_bounded():
    x = torch.tensor([-1e30, 1e30])
    assert activations.hard_sigmoid(x).tolist() == [0, 1]
    assert activations.softplus(x).tolist() == [0, x[1].item()]


def test_linear_returns_its_argument():
    x = torch.ones(2)
    assert activations.linear(x) is activations.get(None)(x) is x


def test_gelu_approximates_by_tanh_on_request():
    x = torch.randn(5)
    assert torch.equal(activations.gelu(x, approximate=True), F.gelu(x, approximate="tanh"))


def test_softmax_needs_two_axes_and_follows_its_axis():
    with pytest.raises(ValueError, match=r"at least two axes, but got the shape \(3,\)"):
        activations.softmax(torch.zeros(3))
    x = torch.randn(2, 3, 4)
    for axis in (0, 1, 2, -1):
        torch.testing.assert_close(activations.softmax(x, axis).sum(axis), torch.ones_like(x.sum(axis)))


# the logits left on results


@pytest.fixture
def x():
    return torch.randn(4, 3, requires_grad=True) * 1


@pytest.mark.parametrize("name", ["softmax", "sigmoid"])
def test_logits_are_found(name, x):
    y = activations.get(name)(x)
    other = {"softmax": "sigmoid", "sigmoid": "softmax"}[name]
    assert activations.logits_of(y) is x
    assert activations.logits_of(y, name) is x
    assert activations.logits_of(y, other) is None


@pytest.mark.parametrize(
    "made",
    [
        lambda x: activations.softmax(x.detach()),
        lambda x: activations.softmax(x, axis=0),
        lambda x: activations.softmax(x) * 1,
        lambda x: activations.softmax(x)[:2],
        lambda x: activations.softmax(x).detach(),
        lambda x: activations.softmax(x).clone(),
        lambda x: torch.softmax(x, -1),
    ],
    ids=["no gradient", "other axis", "product", "slice", "detached", "clone", "torch's own"],
)
def test_other_tensors_have_no_logits(made, x):
    assert activations.logits_of(made(x)) is None


def test_without_gradients_nothing_is_left(x):
    with torch.no_grad():
        assert activations.logits_of(activations.sigmoid(x)) is None
    with torch.inference_mode():
        assert activations.logits_of(activations.sigmoid(x)) is None


def test_a_change_in_place_ends_the_logits(x):
    y = activations.softmax(x)
    y.mul_(2)
    assert activations.logits_of(y) is None
    y = activations.sigmoid(x)
    with torch.no_grad():
        x.add_(1)
    assert activations.logits_of(y) is None


def test_who_watches_the_probabilities_gradient_gets_it(x):
    kept, hooked = activations.softmax(x), activations.softmax(x)
    kept.retain_grad()
    hooked.register_hook(lambda gradient: None)
    assert activations.logits_of(kept) is activations.logits_of(hooked) is None


def test_the_logits_make_no_reference_cycle(x):
    gc.disable()
    try:
        y = activations.softmax(x)
        seen = weakref.ref(y)
        del y
        assert seen() is None
    finally:
        gc.enable()


def test_the_fused_form_has_the_gradient_of_the_probabilities(x):
    labels = torch.tensor([0, 1, 2, 0])
    y = activations.softmax(x)
    fused = torch.autograd.grad(F.cross_entropy(activations.logits_of(y), labels), x, retain_graph=True)[0]
    plain = torch.autograd.grad(F.nll_loss(y.log(), labels), x)[0]
    torch.testing.assert_close(fused, plain)


@pytest.mark.parametrize("name", ["softmax", "sigmoid"])
def test_logits_work_inside_torch_func(name):
    def loss(x):
        y = activations.get(name)(x)
        return activations.logits_of(y).sum()

    assert torch.equal(torch.func.grad(loss)(torch.randn(2, 3)), torch.ones(2, 3))


def test_activations_export_to_a_graph():
    class Model(torch.nn.Module):
        def forward(self, x):
            return activations.softmax(activations.sigmoid(activations.hard_sigmoid(x)))

    x = torch.randn(2, 3, requires_grad=True)
    exported = torch.export.export(Model(), (x,)).module()
    torch.testing.assert_close(exported(x), Model()(x))


def test_compiling_breaks_no_graph():
    compiled = torch.compile(lambda x: activations.softmax(activations.sigmoid(x)), backend="eager", fullgraph=True)
    x = torch.randn(2, 3, requires_grad=True)
    torch.testing.assert_close(compiled(x), activations.softmax(activations.sigmoid(x)))


@pytest.mark.parametrize("name", ELEMENTWISE + NEWER + ["softmax"])
def test_activations_never_read_values(name):
    with FakeTensorMode():
        y = activations.get(name)(torch.randn(2, 3, requires_grad=True))
        y.sum().backward()


# names


@pytest.mark.parametrize("name", ELEMENTWISE + NEWER + ["softmax"])
def test_names_and_functions_are_one(name):
    function = activations.get(name)
    assert getattr(activations, name) is function
    assert activations.get(activations.serialize(function)) is function
    assert activations.deserialize(name) is function


def test_functions_and_modules_are_taken():
    module = torch.nn.GELU()
    assert activations.get(module) is module
    assert isinstance(activations.get(torch.nn.GELU), torch.nn.GELU)
    assert activations.get(torch.tanh) is torch.tanh
    assert activations.serialize(torch.tanh) == "tanh"
    assert activations.serialize(F.gelu) == "gelu"


def test_a_module_without_a_config_cannot_be_written():
    with pytest.raises(ValueError, match=r"GELU\(approximate='none'\) cannot be written to a config"):
        activations.serialize(torch.nn.GELU())


def test_own_activations_are_found():
    def own(x):
        return x

    assert activations.deserialize("own", custom_objects={"own": own}) is own
    with registry.custom_object_scope({"own": own}):
        assert activations.get("own") is own


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match=r"Unknown activation function: 'sofmax'\. Did you mean 'softmax'"):
        activations.get("sofmax")
    with pytest.raises(ValueError, match=r"Could not read 3 as an? activation function"):
        activations.get(3)


def test_a_hard_sigmoid_can_be_differentiated_twice():
    x = torch.tensor([-4.0, -1.0, 0.0, 2.0, 3.0], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad((activations.hard_sigmoid(x) ** 2).sum(), x, create_graph=True)
    (bend,) = torch.autograd.grad(slope.sum(), x)
    torch.testing.assert_close(bend, torch.tensor([0.0, 0.08, 0.08, 0.08, 0.0], dtype=torch.float64))
