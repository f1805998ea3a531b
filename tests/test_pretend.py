"""The pretend accelerator catches what it is for."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import DataDependentOutputException

from tests.pretend import on_device, pretending


def test_forward_and_backward_stay_on_the_device():
    before = torch.accelerator.is_available()
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 36, 5)).train()
    with pretending() as device:
        moved = on_device(net, device)
        output = moved(torch.randn(2, 3, 8, 8, device=device))
        output.sum().backward()
        assert output.device == device
        assert all(parameter.grad.device == device for parameter in moved.parameters())
    assert net[0].weight.device.type == "cpu"
    assert torch.accelerator.is_available() == before


@pytest.mark.parametrize("look", [torch.Tensor.item, bool, float], ids=["item", "bool", "float"])
def test_a_look_at_a_value_is_caught(look):
    with pretending() as device, pytest.raises(DataDependentOutputException, match="_local_scalar_dense"):
        look(torch.ones((), device=device))


def test_a_tensor_left_on_the_cpu_is_caught():
    with pretending() as device, pytest.raises(RuntimeError, match="two devices"):
        torch.ones(3, device=device) + torch.ones(3)


def test_a_real_tensor_is_caught():
    left = torch.ones(3)
    with pretending() as device, pytest.raises(AssertionError, match="FakeTensors"):
        torch.ones(3, device=device) + left
