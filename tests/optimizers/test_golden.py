"""Every recorded trajectory of Keras' optimizers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.golden_cases import golden
from torchkeras import optimizers


def make(case):
    optimizer = getattr(optimizers, case["class"])(**case["kwargs"])
    parameters = [torch.nn.Parameter(torch.tensor(start)) for start in case.arrays("inputs")]
    return optimizer.bind(parameters), parameters


@pytest.mark.parametrize("case", golden("optimizer", "SGD", "RMSprop", "Adam"), ids=str)
def test_fifteen_steps_are_keras(case, keras_version):
    optimizer, parameters = make(case)
    gradients, trajectories = case.arrays("gradients"), case.arrays("outputs")
    for step in range(15):
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = torch.tensor(gradient[step])
        optimizer.step()
        for parameter, trajectory in zip(parameters, trajectories, strict=True):
            np.testing.assert_allclose(parameter.detach().numpy(), trajectory[step], rtol=1e-5, atol=case["atol"])


@pytest.mark.parametrize("case", golden("optimizer", "SGD", "RMSprop", "Adam"), ids=str)
def test_config_is_keras(case, keras_version):
    optimizer = getattr(optimizers, case["class"])(**case["kwargs"])
    assert optimizer.get_config() == case["config"]
