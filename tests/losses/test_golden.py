"""Every loss case recorded from genuine Keras."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.golden_cases import Case, golden
from torchkeras import losses
from torchkeras.losses.weighting import weighted_mean


def tensors(case: Case) -> tuple[torch.Tensor, torch.Tensor]:
    y_true, y_pred = (torch.as_tensor(array) for array in case.arrays("inputs"))
    return y_true, y_pred.requires_grad_()


def close(actual: torch.Tensor, expected: Any, atol: float) -> None:
    torch.testing.assert_close(actual.detach(), torch.as_tensor(expected), rtol=1e-5, atol=atol)


@pytest.mark.parametrize("case", golden("loss"), ids=str)
def test_a_loss_function_matches_keras(case, keras_version):
    y_true, y_pred = tensors(case)
    values = losses.get(case["class"])(y_true, y_pred, **case["kwargs"])
    close(values, case.array(case["outputs"][0]), case["atol"])
    values.backward(torch.as_tensor(case.array(case["cotangents"][0])))
    close(y_pred.grad, case.array(case["grads"]["y_pred"]), case["grad_atol"])


@pytest.mark.parametrize("case", golden("loss"), ids=str)
def test_the_mean_of_a_batch_matches_keras(case, keras_version):
    y_true, y_pred = tensors(case)
    function = losses.get(case["class"])
    loss = losses.LossFunctionWrapper(function, **case["kwargs"]) if case["kwargs"] else function
    value = losses.Objective(loss)(y_true, y_pred)
    close(value, case.array(case["outputs"][0]).mean(), case["atol"])
    value.backward()
    reference = y_pred.detach().clone().requires_grad_()
    function(y_true, reference, **case["kwargs"]).mean().backward()
    close(y_pred.grad, reference.grad, case["grad_atol"])


@pytest.mark.parametrize("case", golden("loss_class"), ids=str)
def test_a_loss_object_matches_keras(case, keras_version):
    y_true, y_pred = tensors(case)
    loss = getattr(losses, case["class"])(**case["kwargs"])
    weight = case.array(case["sample_weight"])
    close(loss(y_true, y_pred, sample_weight=weight), case.array(case["outputs"][0]), case["atol"])
    again = losses.deserialize(losses.serialize(loss))
    torch.testing.assert_close(again(y_true, y_pred, sample_weight=weight), loss(y_true, y_pred, sample_weight=weight))


@pytest.mark.parametrize("case", golden("weighted_loss"), ids=str)
def test_weights_and_masks_enter_as_in_keras(case, keras_version):
    y_true, y_pred = tensors(case)
    weight, mask = (None if array is None else torch.as_tensor(array) for array in (case.array(case["sample_weight"]), case.array(case["mask"])))
    expected = case.array(case["outputs"][0])
    close(weighted_mean(losses.get(case["class"])(y_true, y_pred), weight, mask), expected, case["atol"])
    close(losses.Objective(case["class"])(y_true, y_pred, weight, mask), expected, case["atol"])
