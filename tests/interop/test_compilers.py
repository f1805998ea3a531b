"""Compilers and exporters: torch.compile, torch.export, ONNX, torch.jit.trace."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from tests.interop.kinds import KINDS, X, Y
from tests.interop.rows import row


@pytest.fixture(autouse=True)
def _fresh_compiler():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@row("`torch.compile(fullgraph=True)`, before the first call and after training", case="-after training")
@pytest.mark.parametrize("before", [True, False], ids=["before the first call", "after training"])
def test_torch_compile_in_one_graph(kind, before, request):
    model = KINDS[kind]() if before else request.getfixturevalue("model")
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    output = compiled(X)
    torch.testing.assert_close(output, model(X))
    ((output - Y) ** 2).mean().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    model.train()
    compiled(X)
    torch.testing.assert_close(compiled.eval()(X), model(X))


@row("`torch.export.export` with a batch of any size")
def test_torch_export_with_a_batch_of_any_size(model):
    batch = torch.export.Dim("batch", min=2, max=1024)
    program = torch.export.export(model, (X,), dynamic_shapes=({0: batch},))
    for size in (2, 5, 8):
        torch.testing.assert_close(program.module()(X[:size]), model(X[:size]))
    assert set(program.state_dict) == set(model.state_dict())


@row("`torch.onnx.export(dynamo=True)`, run by ONNX itself (extra `onnx`)")
def test_onnx_export(model):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    from onnx.reference import ReferenceEvaluator

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's exporter about itself
        program = torch.onnx.export(model, (X,), dynamo=True, verbose=False)
    onnx.checker.check_model(program.model_proto)
    runner = ReferenceEvaluator(program.model_proto)
    (got,) = runner.run(None, {runner.input_names[0]: X.numpy()})
    np.testing.assert_allclose(got, model(X).detach().numpy(), rtol=1e-4, atol=1e-5)


@row("`torch.jit.trace`")
def test_jit_trace(model):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(model, X)
    torch.testing.assert_close(traced(X[:3]), model(X[:3]))


@row(
    "`model.to_torch()`: a module of torch's own parts, which `torch.fx.symbolic_trace` takes",
    subclassed="no, an error says why",
    wrapped="no: `model.module` is one",
)
def test_to_torch_and_fx(model, kind):
    if kind in ("subclassed", "wrapped"):
        with pytest.raises(ValueError, match=r"to_torch\(\) needs a graph of layers: Model '\w+' has no graph of layers"):
            model.to_torch()
        if kind == "subclassed":
            return
    plain = model.module if kind == "wrapped" else model.to_torch()
    assert not any(type(part).__module__.startswith("torchkeras") for part in plain.modules())
    torch.testing.assert_close(plain(X), model(X))
    torch.testing.assert_close(torch.fx.symbolic_trace(plain)(X), model(X))
