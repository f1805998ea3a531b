"""Constraints: values and configs of genuine Keras, what they promise, names."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.golden_cases import golden
from torchkeras import config, constraints, registry


@pytest.mark.parametrize("case", golden("constraint"), ids=str)
def test_constraint_matches_keras(case, keras_version):
    constraint = getattr(constraints, case["class"])(**case["kwargs"])
    assert constraint.get_config() == case["config"]
    again = constraints.deserialize(json.loads(json.dumps(constraints.serialize(constraint))))
    x, expected = torch.from_numpy(case.arrays("inputs")[0]), torch.from_numpy(case.arrays("outputs")[0])
    for each in (constraint, again):
        torch.testing.assert_close(each(x), expected, rtol=1e-5, atol=case["atol"])


@given(rows=st.integers(1, 4), columns=st.integers(1, 4), bound=st.floats(0.1, 3), axis=st.sampled_from([0, 1, -1, (0, 1), None]))
def test_max_norm_bounds_every_norm(rows, columns, bound, axis):
    w = torch.randn(rows, columns, dtype=torch.float64) * 3
    norms = torch.linalg.vector_norm(constraints.MaxNorm(bound, axis)(w), dim=axis)
    assert (norms <= bound).all()


def test_max_norm_leaves_zeros_and_small_weights():
    w = torch.tensor([[0.0, 0.3], [0.0, 0.4]])
    torch.testing.assert_close(constraints.MaxNorm(1.0)(w), w, rtol=1e-6, atol=0)


def test_the_fuzz_factor_is_the_current_one():
    config.set_epsilon(1.0)
    assert constraints.UnitNorm()(torch.tensor([[3.0], [4.0]])).tolist() == [[0.5], [pytest.approx(4 / 6)]]


def test_weights_and_their_gradients_are_left_alone():
    w = torch.randn(3, 3, requires_grad=True)
    before = w.detach().clone()
    for name in ("max_norm", "non_neg", "unit_norm", "min_max_norm"):
        constraints.get(name)(w).sum().backward()
    assert torch.equal(w.detach(), before)
    assert w.grad.isfinite().all()


# recorded from tf.keras 2.4.0: the place on the diagonal that each cell reads
RINGS = {
    2: [[0, 0], [0, 0]],
    3: [[1, 1, 1], [1, 0, 1], [1, 1, 1]],
    4: [[3, 3, 3, 3], [3, 1, 1, 3], [3, 1, 1, 3], [3, 3, 3, 3]],
    5: [[3, 3, 3, 3, 3], [3, 2, 2, 2, 3], [3, 2, 1, 2, 3], [3, 2, 2, 2, 3], [3, 3, 3, 3, 3]],
    6: [[5] * 6, [5, 4, 4, 4, 4, 5], [5, 4, 2, 2, 4, 5], [5, 4, 2, 2, 4, 5], [5, 4, 4, 4, 4, 5], [5] * 6],
}


@pytest.mark.parametrize("size", RINGS)
def test_radial_constraint_is_tf_keras(size):
    w = torch.randn(size, size, 2, 3)
    diagonal = torch.stack([w[place, place] for place in range(size)])
    assert torch.equal(constraints.RadialConstraint()(w), diagonal[torch.tensor(RINGS[size])])


@pytest.mark.parametrize(
    ("shape", "message"),
    [((3, 3), r"4 axes .*but got the shape \(3, 3\)"), ((3, 5, 1, 1), r"square window .*\(3, 5, 1, 1\)"), ((1, 1, 2, 2), r"at least 2 by 2")],
)
def test_radial_constraint_checks_the_shape(shape, message):
    with pytest.raises(ValueError, match=message):
        constraints.RadialConstraint()(torch.zeros(shape))


NAMES = {
    constraints.MaxNorm: ["MaxNorm", "max_norm", "maxnorm"],
    constraints.NonNeg: ["NonNeg", "non_neg", "nonneg"],
    constraints.UnitNorm: ["UnitNorm", "unit_norm", "unitnorm"],
    constraints.MinMaxNorm: ["MinMaxNorm", "min_max_norm"],
    constraints.RadialConstraint: ["RadialConstraint", "radial_constraint"],
}


@pytest.mark.parametrize(("cls", "name"), [(cls, name) for cls, names in NAMES.items() for name in names])
def test_every_name_is_known(cls, name):
    assert type(constraints.get(name)) is cls
    assert getattr(constraints, name) is cls


def test_keras_1_spellings_are_taken():
    assert constraints.maxnorm(m=3).get_config() == {"max_value": 3, "axis": 0}
    assert constraints.get({"name": "MaxNorm", "m": 3, "axis": 1}).get_config() == {"max_value": 3, "axis": 1}
    low = constraints.get({"name": "MinMaxNorm", "low": 0.1, "high": 0.2, "rate": 0.5, "axis": 1})
    assert low.get_config() == {"min_value": 0.1, "max_value": 0.2, "rate": 0.5, "axis": 1}


def test_get_takes_instances_classes_functions_and_none():
    def own(w):
        return w

    instance = constraints.UnitNorm()
    assert constraints.get(instance) is instance
    assert type(constraints.get(constraints.NonNeg)) is constraints.NonNeg
    assert constraints.get(own) is own
    assert constraints.get(None) is None
    with registry.custom_object_scope({"own": own}):
        assert constraints.get("own") is own
    with pytest.raises(ValueError, match=r"Unknown constraint: 'maxnrom'\. Did you mean 'maxnorm'"):
        constraints.get("maxnrom")


def test_the_base_class_changes_nothing():
    w = torch.ones(2)
    assert constraints.Constraint()(w) is w
    assert constraints.Constraint().get_config() == {}
