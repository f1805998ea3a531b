"""Gradients handed over by the caller."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from torchkeras import optimizers
from torchkeras.layers import layouts
from torchkeras.layers.weights import WeightSpec


class View(torch.Tensor):
    """A weight of a layer as an optimizer meets it: Keras' view of a stored parameter."""

    __torch_function__ = torch._C._disabled_torch_function_impl


def view_of(parameter, name="dense/kernel:0"):
    """Keras' (in, out) view of a Linear's (out, in) weight."""
    spec = WeightSpec("kernel", "weight", layouts.dense, tuple(reversed(parameter.shape)), True)
    view = parameter.detach().t().as_subclass(View)
    view.parameter, view.spec, view.path = parameter, spec, name
    return view


def test_apply_gradients_is_a_step():
    a, b, c = (nn.Parameter(torch.ones(2)) for _ in range(3))
    optimizer = optimizers.SGD(0.5)
    b.grad = torch.full((2,), 7.0)
    assert optimizer.apply_gradients([(torch.ones(2), a), ([2.0, 2.0], b)]) == 1
    assert (a.tolist(), b.tolist()) == ([0.5, 0.5], [0.0, 0.0])
    assert a.grad is None
    assert b.grad.tolist() == [7.0, 7.0]
    optimizer.apply_gradients(zip([np.ones(2)], [c], strict=True))
    assert (a.tolist(), b.tolist(), c.tolist()) == ([0.5, 0.5], [0.0, 0.0], [0.5, 0.5])
    assert optimizer.iterations == 2


def test_apply_gradients_takes_sparse_ones_and_clips():
    table = nn.Parameter(torch.zeros(3, 2))
    gradient = torch.sparse_coo_tensor(torch.tensor([[1]]), torch.tensor([[3.0, 4.0]]), (3, 2), check_invariants=True)
    optimizers.SGD(1.0, clipnorm=1.0).apply_gradients([(gradient, table)])
    np.testing.assert_allclose(table.detach(), [[0, 0], [-0.6, -0.8], [0, 0]], rtol=1e-6)


def test_parameters_without_gradients_are_named_and_left():
    a, b = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(3))
    optimizer = optimizers.SGD(0.5)
    with pytest.warns(UserWarning, match=r"Gradients do not exist for variables \['a parameter of shape \(3,\)'\]"):
        optimizer.apply_gradients([(torch.ones(2), a), (None, b)])
    assert b.tolist() == [1.0, 1.0, 1.0]
    with pytest.raises(ValueError, match=r"No gradients provided for any variable: \[\"'dense/kernel:0'\""):
        optimizer.apply_gradients([(None, view_of(nn.Parameter(torch.ones(2, 2))))])


def test_a_gradient_of_another_shape_is_refused_and_nothing_moves():
    a, b = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(3))
    optimizer = optimizers.SGD(0.5)
    with pytest.raises(ValueError, match=r"gradient of shape \(2,\) for a parameter of shape \(3,\), whose shape is \(3,\)"):
        optimizer.apply_gradients([(torch.ones(2), a), (torch.ones(2), b)])
    assert a.tolist() == [1.0, 1.0]
    assert optimizer.iterations == 0


def test_gradients_for_weights_of_layers_are_in_keras_layout():
    parameter = nn.Parameter(torch.zeros(2, 2))
    gradient = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    optimizer = optimizers.SGD(1.0)
    optimizer.apply_gradients([(gradient, view_of(parameter))])
    assert torch.equal(-parameter.detach(), gradient.t())


def test_minimize_takes_a_function_or_a_loss():
    a = nn.Parameter(torch.tensor([2.0]))
    optimizer = optimizers.SGD(0.25)
    with torch.no_grad():
        assert optimizer.minimize(lambda: (a**2).sum(), [a]) == 1
    assert a.item() == 1.0
    assert optimizer.minimize((a**2).sum(), lambda: [a], grad_loss=torch.tensor(2.0)) == 2
    assert a.item() == 0.0
    kernel = nn.Parameter(torch.zeros(3, 2))
    weight = torch.randn(2, 3)
    optimizers.SGD(1.0).minimize(lambda: (kernel.t() * weight).sum(), [view_of(kernel)])
    torch.testing.assert_close(-kernel.detach().t(), weight)


def test_get_gradients_clips_and_refuses_what_does_not_matter():
    a, b = nn.Parameter(torch.tensor([3.0, 4.0])), nn.Parameter(torch.ones(1))
    optimizer = optimizers.SGD(clipnorm=1.0)
    (gradient,) = optimizer.get_gradients((a**2).sum() / 2, [a])
    torch.testing.assert_close(gradient, torch.tensor([0.6, 0.8]))
    with pytest.raises(ValueError, match=r"a parameter of shape \(1,\) has no gradient: the loss does not depend on it"):
        optimizer.get_gradients((a**2).sum(), [a, b])


def test_get_updates_says_what_to_call():
    with pytest.raises(RuntimeError, match=r"Adam.get_updates lists operations of a graph.*call optimizer.minimize"):
        optimizers.Adam().get_updates(None, [])


def test_states_meet_keras_in_keras_layout():
    kernel, bias = nn.Parameter(torch.zeros(3, 2)), nn.Parameter(torch.zeros(3))
    view = view_of(kernel)
    optimizer = optimizers.Adam().bind([("kernel", view), ("bias", bias)])
    assert optimizer.param_groups[0]["params"] == [kernel, bias]
    kernel.grad, bias.grad = torch.arange(6.0).reshape(3, 2), torch.ones(3)
    optimizer.step()
    weights = optimizer.get_weights()
    assert [weight.shape for weight in weights] == [(), (2, 3), (3,), (2, 3), (3,)]
    np.testing.assert_allclose(weights[1], np.float32(0.1) * kernel.grad.t().numpy(), rtol=1e-6)
    assert optimizer.weight_names[:2] == ["Adam/iter:0", "Adam/dense/kernel/m:0"]
    weights[1] = np.arange(6.0, dtype="float32").reshape(2, 3)
    optimizer.set_weights(weights)
    assert torch.equal(optimizer.state[kernel]["exp_avg"], torch.tensor(weights[1]).t())
    assert torch.equal(optimizer.get_slot(view, "m"), torch.tensor(weights[1]))
    assert optimizer.get_slot_names() == ["m", "v"]
    with pytest.raises(ValueError, match=r"Adam keeps no state 'vhat'\. Known are: m, v"):
        optimizer.get_slot(view, "vhat")
