"""The arithmetic of Keras 1.2.2's recurrent layers, with its arguments and weights translated by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.golden_cases import golden
from tests.layers.golden_layer import close
from torchkeras.layers.base import set_mask
from torchkeras.layers.core import Dense
from torchkeras.layers.recurrent import GRU, LSTM, SimpleRNN
from torchkeras.layers.wrappers import Bidirectional, TimeDistributed

CLASSES = {"LSTM": LSTM, "GRU": GRU, "SimpleRNN": SimpleRNN, "Dense": Dense}
NAMES = {"output_dim": "units", "inner_activation": "recurrent_activation"}
DROPPED = ("consume_less", "forget_bias_init", "input_dim", "input_length")  # how it computes, and how weights start
ORDER = {"LSTM": "ifco", "GRU": "zrh"}


def translated(class_name, kwargs):
    return CLASSES[class_name](**{NAMES.get(key, key): value for key, value in kwargs.items() if key not in DROPPED})


def joined(class_name, names, arrays):
    """Keras 1 keeps a kernel for each gate unless consume_less is "gpu"."""
    if class_name not in ORDER or len(arrays) == 3:
        return arrays
    gates = {name.removesuffix(":0")[-3:]: array for name, array in zip(names, arrays, strict=True)}
    return [np.concatenate([gates[f"{letter}_{gate}"] for gate in ORDER[class_name]], axis=-1) for letter in "WUb"]


@pytest.mark.parametrize("case", golden("layer", "SimpleRNN", "LSTM", "GRU", "Bidirectional", "TimeDistributed", versions=("1.2.2",)), ids=str)
def test_matches_keras_1(case, keras_version):
    inner = case["kwargs"].get("layer")
    if inner is None:
        layer, class_name = translated(case["class"], case["kwargs"]), case["class"]
    else:
        rest = {key: value for key, value in case["kwargs"].items() if key != "layer"}
        class_name = inner["class_name"]
        layer = {"Bidirectional": Bidirectional, "TimeDistributed": TimeDistributed}[case["class"]](translated(class_name, inner["config"]), **rest)
    x = torch.as_tensor(case.array(case["inputs"][0])).requires_grad_()
    layer(x.detach())
    arrays, names = case.arrays("weights"), case["weight_names"]
    halves = [(0, len(arrays) // 2), (len(arrays) // 2, len(arrays))] if case["class"] == "Bidirectional" else [(0, len(arrays))]
    layer.set_weights([array for start, end in halves for array in joined(class_name, names[start:end], arrays[start:end])])
    if case.get("masks") and case["masks"][0]:
        set_mask(x, torch.as_tensor(case.array(case["masks"][0])))
    y = layer(x)
    close(y, case.arrays("outputs")[0], case["atol"], "output")
    if case.get("grads"):
        (gradient,) = torch.autograd.grad((y * torch.as_tensor(case.array(case["cotangents"][0]))).sum(), x)
        close(gradient, case.array(case["grads"]["inputs"][0]), case["grad_atol"], "gradient of the input")
