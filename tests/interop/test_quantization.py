"""Quantization: what docs/interop.md says of torch.ao and torchao."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from tests.interop.kinds import X
from tests.interop.rows import PAGE, row
from torchkeras.layers import Dense


def linears(model: nn.Module) -> list[nn.Module]:
    return [module for module in model.modules() if isinstance(module, (Dense, nn.Linear))]


@row("dynamic quantization by `torch.ao`, with the class below for `Dense`")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_dynamic_quantization_by_torch(model):
    if torch.backends.quantized.engine == "none":
        pytest.skip("this build of torch has no quantized kernels")
    (block,) = [code for code in re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL) if "quantize_dynamic" in code]
    names = {"model": model}
    exec(compile(block, "interop.md", "exec"), names)
    quantized = names["quantized"]
    assert linears(model)
    assert linears(quantized) == []
    assert any(isinstance(module, torch.ao.nn.quantized.dynamic.Linear) for module in quantized.modules())
    assert not torch.equal(quantized(X), model(X))
    torch.testing.assert_close(quantized(X), model(X), rtol=0.1, atol=0.05)
    torch.testing.assert_close(torch.from_numpy(quantized.predict(X.numpy(), verbose=0)), quantized(X))


@row("8-bit weights by `torchao.quantization.quantize_` (the test runs where torchao is installed)")
@pytest.mark.filterwarnings("ignore")
def test_quantization_by_torchao(model):
    quantization = pytest.importorskip("torchao.quantization")
    expected = model(X).detach()
    quantization.quantize_(model, quantization.Int8WeightOnlyConfig(), filter_fn=lambda module, name: isinstance(module, (Dense, nn.Linear)))
    assert all(type(module.weight.data) is not torch.Tensor for module in linears(model))
    torch.testing.assert_close(model(X), expected, rtol=0.1, atol=0.05)
