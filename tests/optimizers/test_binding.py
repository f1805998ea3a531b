"""Before binding a record, after it a torch optimizer in full."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from torchkeras import optimizers
from torchkeras.generations import using_keras_version

EVERY = {
    "sgd": lambda: optimizers.SGD(0.1),
    "momentum": lambda: optimizers.SGD(0.1, momentum=0.9),
    "nesterov": lambda: optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    "rmsprop": lambda: optimizers.RMSprop(0.01),
    "centered": lambda: optimizers.RMSprop(0.01, momentum=0.5, centered=True),
    "adagrad": lambda: optimizers.Adagrad(0.1),
    "adadelta": lambda: optimizers.Adadelta(1.0),
    "adam": lambda: optimizers.Adam(0.01, decay=0.1),
    "amsgrad": lambda: optimizers.Adam(0.01, amsgrad=True, clipnorm=1.0),
    "adamax": lambda: optimizers.Adamax(0.01, clipvalue=0.5),
    "nadam": lambda: optimizers.Nadam(0.01, global_clipnorm=2.0),
    "ftrl": lambda: optimizers.Ftrl(0.1, l1_regularization_strength=0.01),
    "scheduled": lambda: optimizers.Adam(optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)),
}
every = pytest.mark.parametrize("make", EVERY.values(), ids=EVERY)


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))


def train(model, optimizer, steps, seed=1):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.randn(8, 4, generator=generator)).square().mean().backward()
        optimizer.step()


def values(model):
    return [parameter.detach().clone() for parameter in model.parameters()]


def assert_same(one, other):
    for a, b in zip(one, other, strict=True):
        assert torch.equal(a, b)


def test_an_unbound_optimizer_says_that_it_needs_parameters():
    optimizer = optimizers.Adam()
    assert not optimizer.is_bound
    for use in (
        lambda: optimizer.param_groups,
        lambda: optimizer.state,
        optimizer.step,
        optimizer.zero_grad,
        optimizer.state_dict,
        optimizer.get_weights,
    ):
        with pytest.raises(optimizers.NotBoundError, match=r"Adam has no parameters yet.*Call optimizer\.bind"):
            use()
    assert not hasattr(optimizer, "param_groups")
    with pytest.raises(AttributeError, match="no attribute 'rho'"):
        optimizer.rho  # noqa: B018


def test_binding_gives_a_torch_optimizer():
    model = net()
    optimizer = optimizers.Adam(0.01, beta_1=0.8)
    assert optimizer.bind(model.parameters()) is optimizer
    assert isinstance(optimizer, torch.optim.Optimizer)
    (group,) = optimizer.param_groups
    assert group["params"] == list(model.parameters())
    assert (group["lr"], group["beta_1"], group["epsilon"]) == (0.01, 0.8, 1e-7)
    assert "beta_1: 0.8" in repr(optimizer)


def test_bind_takes_names_groups_and_each_parameter_once():
    model = net()
    first, last = model[0], model[2]
    named = optimizers.SGD().bind(model.named_parameters())
    assert named.param_groups[0]["param_names"] == ["0.weight", "0.bias", "2.weight", "2.bias"]
    groups = optimizers.SGD(0.1).bind([{"params": first.parameters()}, {"params": last.weight, "learning_rate": 0.5}])
    assert [group["lr"] for group in groups.param_groups] == [0.1, 0.5]
    shared = optimizers.SGD().bind([first.weight, first.bias, first.weight])
    assert len(shared.param_groups[0]["params"]) == 2


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [([], ValueError, "bind got no parameters: build the model"), (torch.zeros(3), TypeError, "bind takes an iterable.*put it in a list")],
)
def test_bind_refuses_nothing_and_a_single_tensor(parameters, error, message):
    with pytest.raises(error, match=message):
        optimizers.SGD().bind(parameters)


def test_binding_again_adds_what_is_new_and_keeps_state():
    one, two = net(), net()
    optimizer = optimizers.Adam(0.01).bind(one.named_parameters())
    train(one, optimizer, 3)
    moment = optimizer.state[one[0].weight]["exp_avg"].clone()
    optimizer.bind([*one.parameters(), *two.parameters()])
    assert len(optimizer.param_groups) == 2
    assert optimizer.param_groups[1]["iterations"] == 3
    assert torch.equal(optimizer.state[one[0].weight]["exp_avg"], moment)
    before = values(one)
    optimizer.zero_grad()
    train(two, optimizer, 2)
    assert_same(values(one), before)
    assert optimizer.iterations == 5


def test_two_models_can_train_in_turn_and_parameters_without_gradients_stay():
    one, two = net(), net()
    optimizer = optimizers.SGD(0.1).bind([*one.parameters(), *two.parameters()])
    alone, other = net(), net()
    separate = [optimizers.SGD(0.1).bind(alone.parameters()), optimizers.SGD(0.1).bind(other.parameters())]
    for turn in range(6):
        train((one, two)[turn % 2], optimizer, 1, seed=turn)
        optimizer.zero_grad()
        train((alone, other)[turn % 2], separate[turn % 2], 1, seed=turn)
    assert_same(values(one) + values(two), values(alone) + values(other))


def test_a_parameter_that_loses_and_regains_its_gradient_is_followed():
    a, b = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    optimizer = optimizers.SGD(0.5).bind([a, b])
    optimizer.step()
    assert optimizer.iterations == 0  # no gradient at all: nothing happens
    for given in ((a,), (a, b), (b,), (a, b)):
        optimizer.zero_grad()
        for parameter in given:
            parameter.grad = torch.ones(2)
        optimizer.step()
    assert torch.equal(a.detach(), torch.full((2,), -0.5))
    assert torch.equal(b.detach(), torch.full((2,), -0.5))
    assert optimizer.iterations == 4


@every
def test_state_dict_continues_bit_for_bit(make):
    model = net()
    optimizer = make().bind(model.parameters())
    train(model, optimizer, 4)
    other = net()
    other.load_state_dict(model.state_dict())
    resumed = make().bind(other.parameters())
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert resumed.iterations == 4
    for each, its in ((model, optimizer), (other, resumed)):
        train(each, its, 3, seed=2)
    assert_same(values(other), values(model))


@every
def test_a_state_dict_goes_through_torch_save(make, tmp_path):
    model = net()
    optimizer = make().bind(model.parameters())
    train(model, optimizer, 2)
    torch.save(optimizer.state_dict(), tmp_path / "state.pt")
    loaded = torch.load(tmp_path / "state.pt", weights_only=True)
    assert loaded["param_groups"] == optimizer.state_dict()["param_groups"]


def test_a_state_dict_of_another_optimizer_is_refused():
    model = net()
    foreign = torch.optim.Adam(model.parameters()).state_dict()
    with pytest.raises(ValueError, match=r"without \['beta_1'.*another kind of optimizer"):
        optimizers.Adam().bind(model.parameters()).load_state_dict(foreign)


@every
@pytest.mark.parametrize("through", [copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))], ids=["deepcopy", "pickle"])
def test_copies_go_their_own_way_bit_for_bit(make, through):
    unbound = through(make())
    assert unbound.get_config() == make().get_config()
    model = net()
    optimizer = unbound.bind(model.parameters())
    train(model, optimizer, 3)
    model_copy, optimizer_copy = through((model, optimizer))
    train(model, optimizer, 2, seed=2)
    assert optimizer_copy.iterations == 3
    train(model_copy, optimizer_copy, 2, seed=2)
    assert_same(values(model_copy), values(model))


def test_torch_schedulers_move_the_rate_and_survive_pickling():
    model = net()
    optimizer = optimizers.SGD(0.8, momentum=0.5).bind(model.parameters())
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
    rates = []
    for _ in range(5):
        train(model, optimizer, 1)
        rates.append(float(optimizer.lr))
        scheduler.step()
    assert rates == [0.8, 0.8, 0.4, 0.4, 0.2]
    assert pickle.loads(pickle.dumps(optimizer)).lr == 0.2


def test_one_cycle_moves_rate_and_momentum():
    model = net()
    optimizer = optimizers.SGD(0.1, momentum=0.9).bind(model.parameters())
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=4)
    assert optimizer.momentum == 0.95
    train(model, optimizer, 1)
    scheduler.step()
    assert optimizer.momentum < 0.95
    assert optimizer.lr > 0.04


def test_hooks_run_around_the_step():
    model = net()
    optimizer = optimizers.Adam().bind(model.parameters())
    seen = []
    handles = [
        optimizer.register_step_pre_hook(lambda its, args, kwargs: seen.append(("pre", int(its.iterations)))),
        optimizer.register_step_post_hook(lambda its, args, kwargs: seen.append(("post", int(its.iterations)))),
        register_optimizer_step_post_hook(lambda its, args, kwargs: seen.append(("global", int(its.iterations)))),
    ]
    train(model, optimizer, 1)
    for handle in handles:
        handle.remove()
    train(model, optimizer, 1)
    assert seen == [("pre", 0), ("post", 1), ("global", 1)]


def test_a_profile_names_the_step():
    model = net()
    optimizer = optimizers.Adam().bind(model.parameters())
    train(model, optimizer, 1)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        optimizer.step()
    assert "Optimizer.step#Adam.step" in {event.key for event in profile.key_averages()}


def test_a_closure_computes_the_loss_with_gradients_recorded():
    model = net()
    optimizer = optimizers.SGD(0.1).bind(model.parameters())

    def closure():
        optimizer.zero_grad()
        loss = model(torch.ones(1, 4)).square().sum()
        loss.backward()
        return loss

    with torch.no_grad():
        before = optimizer.step(closure)
        assert optimizer.step(closure) < before
        assert not torch.is_grad_enabled()


def test_grad_scaler_works_on_it():
    model = net()
    optimizer = optimizers.Adam(0.1).bind(model.parameters())
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    reference = net()
    plain = optimizers.Adam(0.1).bind(reference.parameters())
    x = torch.randn(8, 4)
    for _ in range(2):
        optimizer.zero_grad()
        scaler.scale(model(x).square().mean()).backward()
        scaler.step(optimizer)
        scaler.update()
        plain.zero_grad()
        reference(x).square().mean().backward()
        plain.step()
    for a, b in zip(values(model), values(reference), strict=True):
        torch.testing.assert_close(a, b)
    optimizer.zero_grad()
    (scaler.scale(model(x).square().mean()) * float("inf")).backward()
    before = values(model)
    scaler.step(optimizer)
    assert_same(values(model), before)
    assert optimizer.iterations == 2


def test_zero_grad_drops_or_fills():
    model = net()
    optimizer = optimizers.SGD().bind(model.parameters())
    train(model, optimizer, 1)
    optimizer.zero_grad(set_to_none=False)
    assert all(torch.equal(parameter.grad, torch.zeros_like(parameter)) for parameter in model.parameters())
    optimizer.zero_grad()
    assert all(parameter.grad is None for parameter in model.parameters())


@every
def test_memory_layouts_do_not_change_the_numbers(make):
    torch.manual_seed(3)
    start, grads = torch.randn(2, 3, 4, 5), [torch.randn(2, 3, 4, 5) for _ in range(3)]
    last = torch.channels_last

    def run(parameter, layout):
        optimizer = make().bind([parameter])
        for grad in grads:
            parameter.grad = layout(grad)
            optimizer.step()
        return parameter.detach()

    plain = run(nn.Parameter(start.clone()), lambda grad: grad)
    channels_last = run(nn.Parameter(start.clone(memory_format=last)), lambda grad: grad.clone(memory_format=last))
    mixed = run(nn.Parameter(start.clone(memory_format=last)), lambda grad: grad)
    gaps = nn.Parameter(torch.zeros(2, 3, 4, 10)[..., ::2])
    gaps.data.copy_(start)
    with_gaps = run(gaps, lambda grad: grad)
    for other in (channels_last, mixed, with_gaps):
        torch.testing.assert_close(other, plain, rtol=1e-5, atol=1e-6)


@every
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_other_float_types_train(make, dtype):
    model = net().to(dtype)
    reference = net()
    reference.load_state_dict(model.float().state_dict())
    model.to(dtype)
    optimizer, plain = make().bind(model.parameters()), make().bind(reference.parameters())
    gradients = [torch.randn_like(parameter) for parameter in reference.parameters()]
    for each, its in ((model, optimizer), (reference, plain)):
        for _ in range(2):
            for parameter, gradient in zip(each.parameters(), gradients, strict=True):
                parameter.grad = gradient.to(parameter.dtype)
            its.step()
    tolerance = 1e-5 if dtype is torch.float64 else 0.05
    for a, b in zip(values(model), values(reference), strict=True):
        torch.testing.assert_close(a.float(), b, rtol=tolerance, atol=tolerance)


def test_mixed_types_and_empty_parameters_share_an_optimizer():
    parameters = [nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2, dtype=torch.float64)), nn.Parameter(torch.ones(0))]
    optimizer = optimizers.Nadam(0.1, clipnorm=10.0).bind(parameters)
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    for _ in range(3):
        optimizer.step()
    torch.testing.assert_close(parameters[0].detach().double(), parameters[1].detach())
    assert optimizer.iterations == 3


@every
@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
def test_a_step_reads_nothing_back(make, sparse):
    # On the meta device there are no values: reading one, or a stray tensor of another device, raises.
    table, bias = nn.Parameter(torch.empty(5, 3, device="meta")), nn.Parameter(torch.empty(3, device="meta"))
    optimizer = make().bind([table, bias])
    for _ in range(2):
        bias.grad = torch.empty(3, device="meta")
        table.grad = torch.empty(5, 3, device="meta")
        if sparse:
            rows = torch.empty(1, 4, dtype=torch.long, device="meta")
            table.grad = torch.sparse_coo_tensor(rows, torch.empty(4, 3, device="meta"), (5, 3), check_invariants=False)
        optimizer.step()
    assert optimizer.iterations == 2


def test_capture_in_a_cuda_graph_is_refused(monkeypatch):
    parameter = nn.Parameter(torch.empty(2, device="meta"))
    parameter.grad = torch.empty(2, device="meta")
    optimizer = optimizers.SGD(0.1).bind([parameter])
    optimizer.step()
    monkeypatch.setattr(optimizer._buckets.now[0], "on_cuda", True)
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    with pytest.raises(RuntimeError, match=r"repeat the rate of update 1 for ever.*call step\(\) outside"):
        optimizer.step()


def test_a_float64_model_has_exact_hyper_parameters():
    parameter = nn.Parameter(torch.zeros(1, dtype=torch.float64))
    parameter.grad = torch.ones(1, dtype=torch.float64)
    optimizers.SGD(0.1).bind([parameter]).step()
    assert parameter.item() == -0.1
    single = nn.Parameter(torch.zeros(1))
    single.grad = torch.ones(1)
    optimizers.SGD(0.1).bind([single]).step()
    assert single.item() == -np.float32(0.1)


def test_plain_sgd_of_keras_2_keeps_its_last_step():
    with using_keras_version("2.2.4"):
        parameter = nn.Parameter(torch.zeros(2))
        optimizer = optimizers.SGD(0.5).bind([parameter])
        for gradient in (1.0, 2.0):
            parameter.grad = torch.full((2,), gradient)
            optimizer.step()
    assert parameter.tolist() == [-1.5, -1.5]
    assert optimizer.get_weights()[1].tolist() == [-1.0, -1.0]
