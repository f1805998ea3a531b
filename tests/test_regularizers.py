"""Penalties: values and configs of genuine Keras, gradients, names."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.golden_cases import golden
from torchkeras import config, generations, registry, regularizers


@pytest.mark.parametrize("case", golden("regularizer"), ids=str)
def test_regularizer_matches_keras(case, keras_version):
    regularizer = getattr(regularizers, case["class"])(**case["kwargs"])
    assert regularizer.get_config() == case["config"]
    again = regularizers.deserialize(json.loads(json.dumps(regularizers.serialize(regularizer))))
    assert type(again) is type(regularizer)
    x, expected = torch.from_numpy(case.arrays("inputs")[0]), torch.as_tensor(case.arrays("outputs")[0])
    for each in (regularizer, again):
        torch.testing.assert_close(each(x), expected, rtol=1e-5, atol=case["atol"])


@pytest.mark.parametrize(
    "regularizer",
    [regularizers.L1(0.3), regularizers.L2(0.2), regularizers.L1L2(0.3, 0.2), regularizers.EigenvalueRegularizer(0.5)],
    ids=lambda regularizer: type(regularizer).__name__,
)
def test_gradients_are_right(regularizer):
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(regularizer, x)


def test_gradient_at_zero_is_zero():
    x = torch.zeros(2, 2, requires_grad=True)
    regularizers.L1L2(0.1, 0.2)(x).backward()
    assert x.grad.tolist() == [[0, 0], [0, 0]]


@given(l1=st.floats(0, 2), l2=st.floats(0, 2), values=st.lists(st.floats(-3, 3), min_size=1, max_size=6))
def test_l1l2_is_the_sum_of_both(l1, l2, values):
    config.set_floatx("float64")
    x = np.array(values)
    penalty = regularizers.L1L2(l1, l2)(torch.from_numpy(x))
    assert penalty.shape == ()
    assert penalty.item() == pytest.approx(l1 * np.abs(x).sum() + l2 * (x**2).sum())


def test_a_strided_view_gives_the_same_penalty():
    x = torch.randn(3, 5)
    torch.testing.assert_close(regularizers.L1L2(0.1, 0.2)(x.mT), regularizers.L1L2(0.1, 0.2)(x))


def test_eigenvalue_regularizer_is_keras_1s():
    # recorded from Keras 1.2.2 with k = 0.3; singular values 3.469, 2.080, 0.760
    w = [[1.764052391052246, 0.40015721321105957, 0.978738009929657], [2.2408931255340576, 1.8675580024719238, -0.9772778749465942]]
    w += [[0.9500884413719177, -0.15135720372200012, -0.10321885347366333], [0.4105985164642334, 0.14404356479644775, 1.4542734622955322]]
    gradient = [[0.12248263508081436, 0.07209306210279465, -0.010354212485253811], [0.2187069207429886, 0.12873049080371857, -0.018488600850105286]]
    gradient += [
        [0.05557373911142349, 0.03271060436964035, -0.004697985015809536],
        [0.023798415437340736, 0.014007710851728916, -0.0020118444226682186],
    ]
    x = torch.tensor(w, requires_grad=True)
    penalty = regularizers.EigenvalueRegularizer(0.3)(x)
    penalty.backward()
    torch.testing.assert_close(penalty, torch.tensor(1.0405579), rtol=1e-6, atol=0)
    # the recorded powers reach 1e9 unscaled, so the float32 gradient keeps five digits
    torch.testing.assert_close(x.grad, torch.tensor(gradient), rtol=1e-5, atol=2e-6)


def test_eigenvalue_regularizer_needs_a_matrix():
    with pytest.raises(ValueError, match=r"needs a matrix, but got a tensor of shape \(2, 2, 2\)"):
        regularizers.EigenvalueRegularizer(0.1)(torch.zeros(2, 2, 2))


@pytest.mark.parametrize(
    ("version", "name", "expected"),
    [
        ("2.4.0", "l1", ("L1", {"l1": 0.01})),
        ("2.4.0", "L2", ("L2", {"l2": 0.01})),
        ("2.4.0", "l1_l2", ("L1L2", {"l1": 0.01, "l2": 0.01})),
        ("2.4.0", "L1L2", ("L1L2", {"l1": 0.0, "l2": 0.0})),
        ("2.2.4", "l1", ("L1L2", {"l1": 0.01, "l2": 0.0})),
        ("2.2.4", "l2", ("L1L2", {"l1": 0.0, "l2": 0.01})),
        ("2.2.4", "l1_l2", ("L1L2", {"l1": 0.01, "l2": 0.01})),
        ("1.2.2", "activity_l2", ("L1L2", {"l1": 0.0, "l2": 0.01})),
        ("1.2.2", "activity_l1", ("L1L2", {"l1": 0.01, "l2": 0.0})),
        ("1.2.2", "l1l2", ("L1L2", {"l1": 0.01, "l2": 0.01})),
        ("1.2.2", "activity_l1l2", ("L1L2", {"l1": 0.01, "l2": 0.01})),
        ("1.2.2", "WeightRegularizer", ("L1L2", {"l1": 0.0, "l2": 0.0})),
    ],
)
def test_names_make_what_the_release_makes(version, name, expected):
    generations.set_keras_version(version)
    class_name, arguments = expected
    assert regularizers.serialize(regularizers.get(name)) == {
        "class_name": class_name,
        "config": {key: float(np.float32(value)) for key, value in arguments.items()},
    }


def test_the_old_name_of_the_factor_is_taken():
    assert regularizers.l1(l=0.5).get_config() == {"l1": 0.5}
    assert regularizers.l2(l=0.5).get_config() == {"l2": 0.5}
    assert regularizers.l2(0.5).get_config() == {"l2": 0.5}
    generations.set_keras_version("2.2.4")
    assert regularizers.l2(l=0.5).get_config() == {"l1": 0.0, "l2": 0.5}


def test_factors_are_rounded_to_floatx():
    config.set_floatx("float16")
    assert regularizers.L1(0.1).l1 == float(np.float16(0.1))
    config.set_floatx("bfloat16")
    assert regularizers.L1(0.1).l1 == float(np.float32(0.1))


@pytest.mark.parametrize(("value", "error"), [(float("inf"), ValueError), (float("nan"), ValueError), ("x", TypeError)])
def test_factors_are_finite_numbers(value, error):
    with pytest.raises(error, match=rf"L2 takes .*but got {value!r}"):
        regularizers.L2(value)


def test_keras_1_configs_are_read():
    regularizer = regularizers.get({"name": "L1L2Regularizer", "l1": 0.5, "l2": 0.25})
    assert regularizer.get_config() == {"l1": 0.5, "l2": 0.25}
    assert regularizers.deserialize({"class_name": "l1_l2", "config": {"l1": 0.5}}).l1 == 0.5


def test_get_takes_instances_classes_functions_and_none():
    def own(x):
        return x.sum()

    instance = regularizers.L1L2(0.1)
    assert regularizers.get(instance) is instance
    assert type(regularizers.get(regularizers.L2)) is regularizers.L2
    assert regularizers.get(own) is own
    assert regularizers.get(None) is None
    with registry.custom_object_scope({"own": own}):
        assert regularizers.get("own") is own
    with pytest.raises(ValueError, match=r"Unknown regularizer: 'l1_2'\. Did you mean 'l1_l2'"):
        regularizers.get("l1_2")


def test_a_subclass_is_written_and_read():
    class Own(regularizers.Regularizer):
        def __init__(self, power=1):
            self.power = power

        def __call__(self, x):
            return x.abs().pow(self.power).sum()

        def get_config(self):
            return {"power": self.power}

    written = regularizers.serialize(Own(3))
    assert written == {"class_name": "Own", "config": {"power": 3}}
    assert regularizers.deserialize(written, {"Own": Own}).power == 3
    assert regularizers.Regularizer()(torch.ones(2)).item() == 0


@pytest.mark.parametrize("version", generations.VERSIONS)
def test_regularizers_are_copied_under_any_release(version):
    regularizer = regularizers.L2(0.5)
    generations.set_keras_version(version)
    assert copy.deepcopy(regularizer)(torch.ones(2)).item() == 1
