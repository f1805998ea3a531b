"""Every metric case recorded from genuine Keras."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.golden_cases import Case, golden
from torchkeras import losses, metrics


@pytest.fixture(autouse=True)
def _fresh_names():
    metrics.reset_uids()


def tensor(case: Case, key: str | None) -> torch.Tensor | None:
    return None if key is None else torch.as_tensor(case.array(key))


def close(actual: torch.Tensor, expected: Any, atol: float) -> None:
    torch.testing.assert_close(actual.detach(), torch.as_tensor(expected), rtol=1e-5, atol=atol)


@pytest.mark.parametrize("case", golden("metric_function"), ids=str)
def test_a_metric_function_matches_keras(case, keras_version):
    y_true, y_pred = (tensor(case, key) for key in case["inputs"])
    expected = case.array(case["outputs"][0])
    close(metrics.get(case["class"])(y_true, y_pred, **case["kwargs"]), expected, case["atol"])
    close(losses.bind_release(metrics.get(case["class"]))(y_true.numpy(), y_pred.numpy(), **case["kwargs"]), expected, case["atol"])


@pytest.mark.parametrize("case", golden("metric_function"), ids=str)
def test_the_mean_of_a_metric_function_matches_keras(case, keras_version):
    y_true, y_pred = (tensor(case, key) for key in case["inputs"])
    metric = metrics.MeanMetricWrapper(metrics.get(case["class"]), **case["kwargs"])
    close(metric(y_true, y_pred), case.array(case["outputs"][0]).mean(), case["atol"])


@pytest.mark.parametrize("case", golden("metric_class"), ids=str)
def test_a_metric_object_matches_keras(case, keras_version):
    metric = getattr(metrics, case["class"])(**case["kwargs"])
    assert metric.get_config() == case["config"]
    for (y_true, y_pred), weight, expected in zip(case["updates"], case["sample_weights"], case.arrays("outputs"), strict=True):
        metric.update_state(tensor(case, y_true), tensor(case, y_pred), sample_weight=tensor(case, weight))
        close(metric.result(), expected, case["atol"])
    if case["state"] is not None:
        for variable, key in zip(metric.variables, case["state"], strict=True):
            close(variable.read_value().float(), case.array(key).astype("float32"), case["atol"])
    metric.reset_states()
    close(metric.result(), case.array(case["result_after_reset"]), case["atol"])


@pytest.mark.parametrize("case", golden("metric_class"), ids=str)
def test_a_metric_made_again_from_its_config_is_the_same(case, keras_version):
    metric = getattr(metrics, case["class"])(**case["kwargs"])
    again = metrics.deserialize(metrics.serialize(metric))
    assert type(again) is type(metric)
    assert again.get_config() == metric.get_config()


@pytest.mark.parametrize("case", golden("metric_values"), ids=str)
def test_a_metric_of_values_matches_keras(case, keras_version):
    metric = getattr(metrics, case["class"])(**case["kwargs"])
    for values, weight, expected in zip(case.arrays("inputs"), case["sample_weights"], case.arrays("outputs"), strict=True):
        metric.update_state(torch.as_tensor(values), sample_weight=tensor(case, weight))
        close(metric.result(), expected, case["atol"])
