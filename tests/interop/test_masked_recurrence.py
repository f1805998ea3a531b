"""Recurrent layers under a mask: what compilers and exporters make of them holds for other masks and batches."""

from __future__ import annotations

import copy
import pickle
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from torchkeras.layers import GRU, LSTM, Attention, Bidirectional, Dense, Embedding, Input, SimpleRNN, TimeDistributed
from torchkeras.models import Model, Sequential

IDS = torch.tensor([[3, 1, 2, 0, 0], [4, 0, 5, 6, 0], [0, 0, 0, 0, 0], [7, 8, 9, 1, 2]])
OTHER = torch.tensor([[0, 1, 0, 3, 4], [5, 0, 0, 0, 0], [6, 7, 8, 9, 1]])


def sequential() -> Sequential:
    return Sequential([Embedding(10, 4, mask_zero=True), LSTM(5, return_sequences=True), Bidirectional(GRU(3)), Dense(2)])


def functional() -> Model:
    ids = Input((None,), dtype="int64")
    states, last, _ = LSTM(5, return_sequences=True, return_state=True)(Embedding(10, 4, mask_zero=True)(ids))
    seen = SimpleRNN(3)(Attention()([states, states]))
    return Model(ids, Dense(2)(torch.cat([seen, last], -1)))


class Subclassed(Model):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = Embedding(10, 4, mask_zero=True)
        self.states, self.every, self.last = LSTM(5, return_sequences=True), TimeDistributed(Dense(3)), Bidirectional(GRU(3))
        self.out = Dense(2)

    def call(self, ids: torch.Tensor) -> torch.Tensor:
        return self.out(self.last(self.every(self.states(self.embedding(ids)))))


@pytest.fixture(params=[sequential, functional, Subclassed], ids=lambda make: make.__name__)
def model(request) -> Model:
    made = request.param()
    made.compile("adam", "mse")
    made.fit(IDS.numpy(), np.zeros((4, 2)), verbose=0)
    return made


def test_torch_compile_in_one_graph(model):
    torch._dynamo.reset()
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    for ids in (IDS, OTHER):
        torch.testing.assert_close(compiled(ids), model(ids), rtol=1e-5, atol=1e-6)
    torch._dynamo.reset()


def test_torch_export_with_a_batch_of_any_size(model):
    program = torch.export.export(model, (IDS,), dynamic_shapes=({0: torch.export.Dim("batch", min=2)},))
    for ids in (IDS, OTHER):
        torch.testing.assert_close(program.module()(ids), model(ids), rtol=1e-5, atol=1e-6)


def test_onnx_export(model):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    from onnx.reference import ReferenceEvaluator

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's exporter about itself
        program = torch.onnx.export(model, (IDS,), dynamo=True, verbose=False)
    runner = ReferenceEvaluator(program.model_proto)
    other = torch.cat([OTHER, IDS[:1]])
    for ids in (IDS, other):
        with np.errstate(over="ignore"):  # ONNX' own sigmoid of a shut gate
            (got,) = runner.run(None, {runner.input_names[0]: ids.numpy()})
        np.testing.assert_allclose(got, model(ids).detach().numpy(), rtol=1e-4, atol=1e-5)


def test_copies_and_gradients(model):
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(twin(OTHER), model(OTHER))
    parameters, buffers = dict(model.named_parameters()), dict(model.named_buffers())
    found = torch.func.grad(lambda weights: torch.func.functional_call(model, (weights, buffers), (OTHER,)).square().mean())(parameters)
    model.zero_grad()
    nn.functional.mse_loss(model(OTHER), torch.zeros(3, 2)).backward()
    for name, parameter in parameters.items():
        torch.testing.assert_close(found[name], parameter.grad, rtol=1e-4, atol=1e-6)
