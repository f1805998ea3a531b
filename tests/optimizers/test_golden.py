"""Every recorded trajectory of Keras' optimizers, with the state and the config at its end."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
import torch

from tests.golden_cases import golden
from torchkeras import optimizers

CASES = golden("optimizer")


def make(case):
    # The one case that gives Nadam a decay: tf.keras passes over it, and says nothing.
    passed_over = case["class"] == "Nadam" and "decay" in case["kwargs"]
    with pytest.warns(UserWarning, match="passes over decay=0.01") if passed_over else contextlib.nullcontext():
        return getattr(optimizers, case["class"])(**case["kwargs"])


def train(case, optimizer):
    """The parameters after each step, and the optimizer's list of weights at the end."""
    parameters = [torch.nn.Parameter(torch.tensor(start)) for start in case.arrays("inputs")]
    optimizer.bind(parameters)
    after = [[] for _ in parameters]
    for step in range(15):
        for parameter, gradients in zip(parameters, case.arrays("gradients"), strict=True):
            parameter.grad = torch.tensor(gradients[step])
        optimizer.step()
        for parameter, trajectory in zip(parameters, after, strict=True):
            trajectory.append(parameter.detach().numpy().copy())
    return [np.stack(trajectory) for trajectory in after], optimizer.get_weights()


def test_all_cases_are_here():
    assert len(CASES) == 46 + 57
    assert len(golden("optimizer_sparse")) == 12
    assert len(golden("schedule")) == 6


@pytest.mark.parametrize("case", CASES, ids=str)
def test_fifteen_steps_are_keras(case, keras_version):
    trajectories, weights = train(case, make(case))
    for trajectory, expected in zip(trajectories, case.arrays("outputs"), strict=True):
        np.testing.assert_allclose(trajectory, expected, rtol=1e-5, atol=case["atol"])
    for weight, expected in zip(weights, case.arrays("optimizer_weights"), strict=True):
        assert weight.shape == expected.shape
        np.testing.assert_allclose(weight, expected, rtol=1e-5, atol=case["atol"])


@pytest.mark.parametrize("case", CASES, ids=str)
def test_list_operations_do_the_same_as_fused_kernels(case, keras_version, monkeypatch):
    monkeypatch.setattr("torchkeras.optimizers.buckets.FUSED_DEVICES", ())
    trajectories, _ = train(case, make(case))
    for trajectory, expected in zip(trajectories, case.arrays("outputs"), strict=True):
        np.testing.assert_allclose(trajectory, expected, rtol=1e-5, atol=case["atol"])


@pytest.mark.parametrize("case", CASES, ids=str)
def test_config_is_keras(case, keras_version):
    optimizer = make(case)
    assert optimizer.get_config() == case["config"]
    again = type(optimizer).from_config(case["config"])
    assert again.get_config() == case["config"]
    assert optimizers.deserialize(optimizers.serialize(optimizer)).get_config() == case["config"]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_state_goes_through_keras_lists(case, keras_version):
    _, weights = train(case, make(case))
    optimizer = make(case).bind([torch.nn.Parameter(torch.tensor(start)) for start in case.arrays("inputs")])
    optimizer.set_weights(weights)
    for weight, expected in zip(optimizer.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(weight, expected)


@pytest.mark.parametrize("case", golden("optimizer_sparse"), ids=str)
def test_sparse_gradients_are_keras(case, keras_version):
    optimizer = make(case)
    table = torch.nn.Parameter(torch.tensor(case.arrays("inputs")[0]))
    optimizer.bind([table])
    indices, values = case.array(case["indices"]), case.array(case["values"])
    (trajectory,) = case.arrays("outputs")
    for step in range(8):
        rows = torch.tensor(indices[step]).long().unsqueeze(0)
        table.grad = torch.sparse_coo_tensor(rows, torch.tensor(values[step]), table.shape, check_invariants=True)
        optimizer.step()
        np.testing.assert_allclose(table.detach().numpy(), trajectory[step], rtol=1e-5, atol=case["atol"])


@pytest.mark.parametrize("case", golden("optimizer_sparse"), ids=str)
def test_sparse_differs_tells_where_dense_gradients_will_not_do(case, keras_version):
    optimizer = make(case)
    table = torch.nn.Parameter(torch.tensor(case.arrays("inputs")[0]))
    optimizer.bind([table])
    indices, values = case.array(case["indices"]), case.array(case["values"])
    (trajectory,) = case.arrays("outputs")
    for step in range(8):
        table.grad = torch.zeros_like(table).index_add_(0, torch.tensor(indices[step]).long(), torch.tensor(values[step]))
        optimizer.step()
    same = np.allclose(table.detach().numpy(), trajectory[-1], rtol=1e-5, atol=case["atol"])
    assert same is not optimizer.sparse_differs()


@pytest.mark.parametrize("case", golden("schedule"), ids=str)
def test_schedules_are_keras(case, keras_version):
    schedule = getattr(optimizers.schedules, case["class"])(**case["kwargs"])
    rates = [schedule(step) for step in case["steps"]]
    np.testing.assert_allclose(rates, case.arrays("outputs")[0], rtol=1e-5, atol=case["atol"])
    assert schedule.get_config() == case["config"]
    again = optimizers.schedules.deserialize(optimizers.schedules.serialize(schedule))
    assert type(again) is type(schedule)
    assert [again(step) for step in case["steps"]] == rates
