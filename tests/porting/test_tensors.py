"""While a program runs unchanged, its tensors behave as TensorFlow's; inside of torch and torchkeras they stay torch's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from torchkeras.porting.tensors import follow_tensorflow, follow_torch

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def as_tensorflow():
    follow_tensorflow()
    yield
    follow_torch()


def test_names_move_and_values_stay(as_tensorflow):
    x = torch.ones(3)
    kept = x
    x += 1
    x -= torch.tensor(0.5)
    x *= 2
    x /= 3
    x **= 2
    x //= 1
    x %= 5
    assert kept.tolist() == [1.0, 1.0, 1.0]
    assert x.tolist() == [1.0, 1.0, 1.0]
    assert x is not kept


def test_gradients_survive(as_tensorflow):
    x = torch.ones(3, requires_grad=True)
    y = torch.exp(x)
    y /= y.sum()
    y.sum().backward()
    np.testing.assert_allclose(x.grad, np.zeros(3), atol=1e-6)


def test_parameters_change_in_place(as_tensorflow):
    parameter = nn.Parameter(torch.ones(2))
    same = parameter
    with torch.no_grad():
        parameter -= 0.5
    assert same.tolist() == [0.5, 0.5]


def test_arrays_come_without_detach(as_tensorflow):
    x = torch.ones(2, requires_grad=True) * 2
    assert x.numpy().tolist() == [2.0, 2.0]
    assert np.asarray(x).sum() == 4.0


def test_torch_itself_works_as_ever(as_tensorflow):
    parameter = nn.Parameter(torch.ones(2))
    optimizer = torch.optim.Adam([parameter], foreach=False)
    for _ in range(2):
        parameter.sum().backward()
        optimizer.step()
    assert float(optimizer.state[parameter]["step"]) == 2.0


def test_afterwards_all_is_torch_s_again():
    before = [torch.Tensor.__iadd__, torch.Tensor.numpy, torch.Tensor.__dict__.get("__ipow__")]
    follow_tensorflow()
    follow_tensorflow()
    follow_torch()
    assert [torch.Tensor.__iadd__, torch.Tensor.numpy, torch.Tensor.__dict__.get("__ipow__")] == before
    x = torch.ones(1)
    kept = x
    x += 1
    assert kept is x


def test_a_layer_that_changes_its_input_leaves_it_alone(tmp_path: Path):
    program = tmp_path / "program.py"
    program.write_text(
        "import numpy as np\nfrom keras import backend as K\nfrom keras.layers import Input, Layer, add\nfrom keras.models import Model\n"
        "class Centre(Layer):\n    def call(self, x):\n        x -= K.mean(x, axis=1, keepdims=True)\n        return x\n"
        "x = Input((2,))\nmodel = Model(x, add([x, Centre()(x)]))\nprint(model.predict(np.array([[1., 3.]])).tolist())\n"
    )
    done = subprocess.run([sys.executable, "-m", "torchkeras", "run", str(program)], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "[[0.0, 4.0]]", done.stderr
