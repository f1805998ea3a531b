"""Tools that take a module apart or put something in: torch.func, hooks, parametrizations, pruning, gradients, quantization."""

from __future__ import annotations

import copy
import warnings

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune
from torch.optim.swa_utils import AveragedModel
from torch.utils.checkpoint import checkpoint

from tests.interop.kinds import X, Y, last_dense
from tests.interop.rows import row


def fit(model) -> None:
    model.compile("sgd", "mse")
    model.fit(X.numpy(), Y.numpy(), batch_size=4, verbose=0)


@row("`torch.func`: `functional_call`, `grad`, `vmap`, `jacrev`")
def test_torch_func(model):
    parameters, buffers = dict(model.named_parameters()), dict(model.named_buffers())

    def run(parameters, x):
        return torch.func.functional_call(model, (parameters, buffers), (x,))

    def loss(parameters, x, y):
        return ((run(parameters, x) - y) ** 2).mean()

    gradients = torch.func.grad(loss)(parameters, X, Y)
    ((model(X) - Y) ** 2).mean().backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(gradients[name], parameter.grad)
    each = torch.func.vmap(lambda x, y: torch.func.grad(loss)(parameters, x[None], y[None]))(X, Y)
    for name, gradient in gradients.items():
        torch.testing.assert_close(each[name].mean(0), gradient, rtol=1e-4, atol=1e-6)
    assert torch.func.jacrev(run, argnums=1)(parameters, X[:1]).shape == (1, 2, 1, 6, 6, 1)
    zeros = {name: torch.zeros_like(parameter) for name, parameter in parameters.items()}
    assert (run(zeros, X) == 0).all()


@row("forward, forward-pre and full backward hooks, in `fit` too")
@pytest.mark.filterwarnings("ignore:Full backward hook is firing when gradients are computed:UserWarning")
def test_hooks(model):
    seen = []
    dense = last_dense(model)
    expected = model(X)
    handles = [
        dense.register_forward_pre_hook(lambda module, args: seen.append("before")),
        dense.register_forward_hook(lambda module, args, output: output + 1),
        dense.register_full_backward_hook(lambda module, inputs, outputs: seen.append("backward")),
        model.register_forward_hook(lambda module, args, output: seen.append("model")),
    ]
    torch.testing.assert_close(model(X), expected + 1)
    assert seen == ["before", "model"]
    seen.clear()
    model.train_on_batch(X.numpy(), Y.numpy())
    assert [word for word in seen if word != "model" or seen.count("model") == 1][-1] == "backward"
    assert "before" in seen
    for handle in handles:
        handle.remove()
    seen.clear()
    model.predict(X.numpy(), verbose=0)
    assert seen == []


@row("`parametrizations.weight_norm`, `.spectral_norm`, `.orthogonal`", case="-weight_norm")
@pytest.mark.parametrize("parametrization", [parametrizations.weight_norm, parametrizations.spectral_norm, parametrizations.orthogonal])
def test_parametrizations(model, kind, parametrization):
    dense = last_dense(model)
    parametrization(dense)
    before = dense.weight.detach().clone()
    fit(model)
    assert not torch.equal(before, dense.weight)
    twin = copy.deepcopy(model)
    torch.testing.assert_close(twin(X), model(X))
    twin.load_state_dict(model.state_dict())
    expected = model(X)
    parametrize.remove_parametrizations(dense, "weight")
    torch.testing.assert_close(model(X), expected)
    last = {weight.name.rpartition("/")[2] for weight in model.trainable_weights[-2:]}
    assert last == {"weight:0" if kind == "wrapped" else "kernel:0", "bias:0"}


@row("`nn.utils.prune`")
def test_pruning(model):
    dense = last_dense(model)
    prune.l1_unstructured(dense, "weight", 0.5)
    fit(model)
    model(X)
    assert (dense.weight == 0).sum() == dense.weight.numel() // 2
    prune.remove(dense, "weight")
    fit(model)
    assert (dense.weight == 0).sum() < dense.weight.numel() // 2


@row("a loop of one's own with `torch.optim` and `clip_grad_norm_`")
def test_a_hand_written_step_with_clipped_gradients(model):
    optimizer = torch.optim.SGD(model.parameters(), 1.0)
    model.train()
    before = [parameter.detach().clone() for parameter in model.parameters()]
    loss = nn.functional.mse_loss(model(X), Y)
    optimizer.zero_grad()
    loss.backward()
    assert nn.utils.clip_grad_norm_(model.parameters(), 1e-3) > 1e-3
    optimizer.step()
    moved = sum(float((new.detach() - old).pow(2).sum()) for new, old in zip(model.parameters(), before, strict=True)) ** 0.5
    assert moved == pytest.approx(1e-3, rel=1e-2)


@row("`torch.utils.checkpoint`, `torch.autocast`, `AveragedModel`")
def test_checkpointed_activations_autocast_and_averages(model):
    model.train()
    checkpoint(model, X, use_reentrant=False).sum().backward()
    model.eval()
    with torch.autocast("cpu", torch.bfloat16):
        assert model(X).dtype is torch.bfloat16
    average = AveragedModel(model)
    average.update_parameters(model)
    torch.testing.assert_close(average(X), model(X))


@row("freezing by `requires_grad_(False)`")
def test_freezing_by_requires_grad(model):
    dense = last_dense(model)
    dense.requires_grad_(False)
    before = dense.weight.detach().clone()
    optimizer = torch.optim.SGD([parameter for parameter in model.parameters() if parameter.requires_grad], 0.1)
    nn.functional.mse_loss(model(X), Y).backward()
    optimizer.step()
    assert dense.weight.grad is None
    assert torch.equal(dense.weight, before)


@row("as a part of `nn.ModuleList` and of any nn.Module")
def test_a_model_lives_in_modules_of_torch(model):
    class Around(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.ModuleList([model])

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.inner[0](x).tanh()

    around = Around()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torch.testing.assert_close(around(X), model(X).tanh())
    assert all(name.startswith("inner.0.") for name, _ in around.named_parameters())
