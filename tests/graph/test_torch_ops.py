"""Torch functions, operators and slices on symbolic tensors are layers: they compute, train, copy and save by config."""

from __future__ import annotations

import copy
import json
import math
import pickle

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import get_ignored_functions

from torchkeras import backend as K
from torchkeras.layers import Dense, Embedding, Input, Masking, TorchOp
from torchkeras.layers import torch_functions as table
from torchkeras.models import Model

OPERATIONS = {
    "operators": lambda a, b: -(((a + b) * 2 - a / 3) ** 2) % 5 // 1,
    "reflected operators": lambda a, b: (1 - a) + 2 * b + 3 / (a * a + 1) + 2**a,
    "comparisons": lambda a, b: torch.where((a > b) | ~(a == b) & (a != 0), a, b).to(torch.float64),
    "matrix product": lambda a, b: a @ b.transpose(-1, -2),
    "slices": lambda a, b: a[:, 1:, ::2] + b[..., None, 0, :2],
    "index by tensor": lambda a, b: a[:, [0, 2]] + b[:, torch.tensor([1, 1])],
    "cat and stack": lambda a, b: torch.cat([a, b, torch.stack([a, b]).sum(0)], -1),
    "reductions": lambda a, b: a.mean(1) + b.amax((1,)) + torch.logsumexp(a, dim=1) + a.max(1).values,
    "several results": lambda a, b: a.chunk(2, -1)[0] + b.split([1, 3], dim=-1)[1][..., :2] + torch.unbind(b, 1)[0][:, None, :2],
    "shapes": lambda a, b: (
        a.reshape(-1, 12)[:, :4] + b.flatten(1)[:, :4] + a.permute(0, 2, 1)[:, :, 0] + a.mT[:, :, 1] + a.unflatten(2, (2, 2)).sum((1, 2)).repeat(1, 2)
    ),
    "own sizes": lambda a, b: a.view(a.size(0), -1) + b.reshape((b.shape[0], 12)) + a[:, :1].expand(a.size(0), 3, 4).reshape(a.shape[0], 12),
    "functional": lambda a, b: F.normalize(a, dim=-1) + F.leaky_relu(b * 1, 0.1, inplace=True) + F.pad(a, (0, 0), value=-math.inf),
    "constants": lambda a, b: a * torch.tensor([1.0, 2.0, 3.0, 4.0]) + torch.clamp(b, np.int64(0), np.int64(2)),
    "einsum": lambda a, b: torch.einsum("bij,bkj->bik", a, b),
    "masks": lambda a, b: a.masked_fill(b > 0, -math.inf).softmax(-1) + b.tril().clamp(min=0, max=1),
    "types": lambda a, b: (a > 0).float() + b.double() + a.to(dtype=torch.float64) + torch.zeros_like(a) + a.new_full((), 2.0),
    "norms": lambda a, b: torch.linalg.norm(a, dim=-1) + torch.linalg.vector_norm(b, 1, -1) + a.norm(dim=-1) + torch.norm(b, dim=-1),
    "backend functions": lambda a, b: K.concatenate([K.sum(a, axis=1), K.square(K.mean(b, axis=1))], axis=-1),
}


@pytest.fixture(params=OPERATIONS)
def operation(request):
    return OPERATIONS[request.param]


@pytest.fixture
def ends():
    return Input((3, 4), name="a"), Input((3, 4), name="b")


def test_recorded_operations_compute(operation, ends):
    model = Model(list(ends), operation(*ends))
    a, b = torch.randn(5, 3, 4), torch.randn(5, 3, 4)
    expected = operation(a.clone(), b.clone())
    got = model([a, b])
    torch.testing.assert_close(got, expected, equal_nan=True)
    assert model.output_shape == (None, *expected.shape[1:])
    assert all(isinstance(layer, TorchOp) for layer in model.layers if layer.name not in ("a", "b"))


def test_recorded_operations_save_by_config(operation, ends):
    model = Model(list(ends), operation(*ends))
    config = json.loads(json.dumps(model.get_config(), allow_nan=False))
    again = Model.from_config(config)
    a, b = torch.randn(5, 3, 4), torch.randn(5, 3, 4)
    torch.testing.assert_close(again([a, b]), model([a, b]), equal_nan=True)
    assert json.loads(json.dumps(again.get_config())) == config


def test_recorded_operations_are_copied_and_exported(operation, ends):
    model = Model(list(ends), operation(*ends))
    a, b = torch.randn(5, 3, 4), torch.randn(5, 3, 4)
    expected = model([a, b])
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), torch.export.export(model, ([a, b],)).module()):
        torch.testing.assert_close(twin([a, b]), expected, equal_nan=True)


@pytest.mark.parametrize(
    ("use", "expected"),
    [
        (lambda x, c: x + c, lambda x, c: x + c),
        (lambda x, c: c - x, lambda x, c: c - x),
        (lambda x, c: x * c.astype("int64"), lambda x, c: x * c.round()),
        (lambda x, c: np.add(c, x) / c, lambda x, c: (c + x) / c),
        (lambda x, c: np.float64(2.5) * x, lambda x, c: 2.5 * x),
        (lambda x, c: torch.where(x > c, x, 0.0), lambda x, c: np.where(x > c, x, 0)),
        (lambda x, c: x @ np.diag(c), lambda x, c: x @ np.diag(c)),
    ],
)
def test_arrays_beside_symbolic_tensors_are_constants_of_their_type(use, expected):
    x, constant = Input((3,)), np.array([1.0, -2.0, 3.0])
    model = Model(x, use(x, constant))
    assert model.outputs[0].dtype is torch.float32
    data = np.random.randn(4, 3).astype("float32")
    np.testing.assert_allclose(model(data).numpy(), expected(data, constant), rtol=1e-5)
    np.testing.assert_allclose(Model.from_config(model.get_config())(data).numpy(), expected(data, constant), rtol=1e-5)


def test_augmented_assignment_binds_the_name_to_a_new_value():
    x = Input((3,))
    h = Dense(3)(x)
    before = h
    h += x
    h -= 1
    h *= 2
    h /= 4
    h **= 2
    model = Model(x, [before, h])
    data = torch.randn(2, 3)
    first, last = model(data)
    torch.testing.assert_close(first, model.layers[1](data))
    torch.testing.assert_close(last, ((first + data - 1) * 2 / 4) ** 2)
    y = Input((3,))
    start = y
    y += 1
    assert start is not y
    torch.testing.assert_close(Model(start, y)(data), data + 1)


CHANGES = {
    "add_": lambda h: h.add_(1),
    "relu_": lambda h: torch.relu_(h),
    "inplace argument": lambda h: F.relu(h, inplace=True),
    "elu_": lambda h: F.elu_(h),
    "setitem": lambda h: h.__setitem__((slice(None), 0), 5.0),
    "zero_": lambda h: h.zero_(),
    "fill_": lambda h: h.fill_(2.0),
    "squeeze_": lambda h: h.unsqueeze_(1),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_changes_a_tensor_in_place_is_recorded_on_a_new_one(change):
    x = Input((3,))
    dense = Dense(3)
    h = dense(x)
    other = h * 3  # made before the change
    change(h)
    model = Model(x, [h, other, dense.output])
    data = torch.randn(2, 3)
    kept = data.clone()
    changed, unchanged, output = model(data)
    value = dense(data).detach()
    torch.testing.assert_close(unchanged, value * 3)
    torch.testing.assert_close(output, value)
    change(value)
    torch.testing.assert_close(changed, value)
    assert model.output_shape[0] == (None, *value.shape[1:])
    torch.testing.assert_close(data, kept)
    again = Model.from_config(json.loads(json.dumps(model.get_config())))
    again.set_weights(model.get_weights())
    torch.testing.assert_close(again(data), [changed, unchanged, output])


def test_changes_that_a_graph_cannot_follow_are_refused():
    x = Input((3,), name="start")
    with pytest.raises(ValueError, match="'add_' would change the model's input 'start'"):
        x.add_(1)
    h = Dense(3)(x)
    with pytest.raises(ValueError, match=r"'mul_' would change a part of another symbolic tensor.*a view of it"):
        h[:, 0].mul_(2)
    with pytest.raises(ValueError, match="'__setitem__' would write symbolic values into a tensor that has values"):
        torch.zeros(8, 3)[0] = h
    with pytest.raises(ValueError, match="cannot write into a symbolic tensor"):
        torch.add(h, 1, out=h)


def test_parameters_among_the_arguments_are_weights():
    scale, shift = nn.Parameter(torch.full((3,), 2.0)), nn.Parameter(torch.ones(3))
    x = Input((3,))
    model = Model(x, torch.addcmul(shift, x, scale, value=1.0))
    assert [name for name, _ in model.named_parameters()] == ["addcmul.constant_0", "addcmul.constant_1"]
    assert [weight.name for weight in model.weights] == ["addcmul/constant_0:0", "addcmul/constant_1:0"]
    assert model.count_params() == 6
    np.testing.assert_array_equal(model.get_weights(), [np.ones(3), np.full(3, 2.0)])
    model.compile("sgd", "mse")
    model.fit(np.ones((8, 3)), np.zeros((8, 3)), verbose=0)
    assert (scale < 2).all()
    assert (shift < 1).all()
    again = Model.from_config(model.get_config())
    again.set_weights(model.get_weights())
    data = torch.randn(2, 3)
    torch.testing.assert_close(again(data), model(data))


def test_weights_of_layers_are_shared_with_operations():
    """An output layer tied to an embedding."""
    embedding = Embedding(7, 4)
    x = Input((5,), dtype="int32")
    h = embedding(x)
    model = Model(x, F.linear(h, embedding.weight))
    assert len(model.weights) == 1
    data = torch.randint(0, 7, (2, 5))
    torch.testing.assert_close(model(data), embedding.weight[data] @ embedding.weight.T)
    model.trainable = False
    assert not embedding.weight.requires_grad


def test_keras_views_of_weights_are_kept_as_the_parameter_behind_them():
    dense = Dense(4)
    x = Input((3,))
    h = dense(x)
    model = Model(x, torch.matmul(x, dense.weights[0]))
    del h
    data = torch.randn(2, 3)
    torch.testing.assert_close(model(data), data @ dense.kernel)
    model(data).sum().backward()
    assert dense.weight.grad is not None
    with pytest.raises(ValueError, match="a config cannot hold"):
        model.get_config()


def test_values_computed_from_parameters_are_refused():
    weight = nn.Parameter(torch.ones(3, 2))
    with pytest.raises(ValueError, match=r"'matmul' was given a tensor of shape \(3, 2\) .* computed from a parameter, which would not be trained"):
        torch.matmul(Input((3,)), weight * 2)


def test_constants_without_values_are_refused():
    with pytest.raises(ValueError, match=r"'add' was given a tensor of shape \(3,\) .* no values \(device 'meta'\)"):
        Input((3,)) + torch.ones(3, device="meta")


def test_constants_made_beside_a_symbolic_tensor_are_real():
    x = Input((3,))
    model = Model(x, x + torch.arange(3, device=x.device, dtype=x.dtype))
    assert model(torch.zeros(1, 3)).tolist() == [[0, 1, 2]]
    assert model.double().state_dict()["add.constant_0"].dtype is torch.float64


def test_operations_drop_masks_as_in_tf_keras():
    x = Masking()(Input((3, 4)))
    assert x.keras_mask is not None
    assert (x + 1).keras_mask is None


# -- the table


NEW = {"new_empty", "new_full", "new_ones", "new_zeros", "rand_like", "randn_like", "unflatten"}


def test_the_table_has_functions_of_tensors_only():
    ignored = get_ignored_functions()  # torch counts what makes new tensors among these
    for name in table.names():
        function = table.function_named(name)
        assert callable(function)
        assert function not in ignored or name.rpartition(".")[2] in NEW, name
        if name.startswith("torch") and not isinstance(function, table.OnCopy):
            assert not function.__name__.endswith("_") or function.__name__.endswith("__"), name
        assert table.function_named(table.name_of_function(function)) is function or table.name_of_function(function) == name


@pytest.mark.parametrize(
    "name", ["torch.load", "torch.save", "os.system", "torch.hub.load", "torch.Tensor.apply_", "builtins.eval", "", None, 3, "K.__import__"]
)
def test_a_config_names_nothing_outside_of_the_table(name):
    config = {"name": "op", "function": name, "args": [{"input": 0}], "kwargs": {}}
    with pytest.raises(ValueError, match="A TorchOp can name the functions of its own table only"):
        TorchOp.from_config(config)


@pytest.mark.parametrize(
    "argument",
    [
        {"constant": [[1], [2, 3]], "dtype": "float32"},
        {"constant": [1], "dtype": "load"},
        {"torch": "load"},
        {"size": [1]},
        {"slice": 3},
        {"other": 1},
    ],
    ids=str,
)
def test_arguments_of_another_form_are_refused(argument):
    with pytest.raises(ValueError, match="An argument of a TorchOp"):
        TorchOp.from_config({"name": "op", "function": "torch.add", "args": [{"input": 0}, argument], "kwargs": {}})
    with pytest.raises(ValueError, match="needs a list 'args' and a dict 'kwargs'"):
        TorchOp.from_config({"name": "op", "function": "torch.add"})


def test_functions_outside_of_the_table_compute_but_have_no_config():
    x = Input((3,))
    model = Model(x, torch.special.i0e(x))
    data = torch.randn(2, 3)
    torch.testing.assert_close(model(data), torch.special.i0e(data))
    with pytest.raises(ValueError, match=r"Layer 'special_i0e' applies .* none of the torch functions that a config can name"):
        model.get_config()


def test_arguments_that_are_no_data_have_no_config():
    x = Input((3,))
    model = Model(x, x.to(torch.device("cpu")))
    with pytest.raises(ValueError, match=r"Layer 'to' was recorded with the argument device.*a config cannot hold"):
        model.get_config()


# -- errors


def test_an_operation_that_does_not_fit_is_named():
    a, b = Input((3,)), Input((4,))
    with pytest.raises(ValueError, match=r"The torch function 'add' could not be run on symbolic tensors of shape \(None, 3\), \(None, 4\)"):
        a + b
    with pytest.raises(ValueError, match=r"'reshape' could not be run.*write -1 for one of them"):
        a.reshape(5, 7)


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda x: 1 if x else 2, r"made by 'start'> has no value yet, so a Python `if`"),
        (lambda x: 1 if x.mean() > 0 else 2, r"made by 'gt'> has no value yet, so a Python `if`"),
        (lambda x: np.mean(x), r"NumPy's mean was called on <KerasTensor .*made by 'start'"),
        (lambda x: np.exp(x), r"NumPy's exp was called on <KerasTensor .*made by 'start'.* torch function of the same job"),
        (lambda x: np.concatenate([x, x]), r"NumPy's concatenate was called"),
        (lambda x: np.asarray(x), r"NumPy was called on <KerasTensor"),
        (lambda x: x.numpy(), r"Tensor.numpy\(\) was called on <KerasTensor .*made by 'start'"),
        (lambda x: float(x.sum()), r"Tensor.__float__\(\) was called.*torch operations instead of Python numbers"),
        (lambda x: x.sum().item(), r"Tensor.item\(\) was called"),
        (lambda x: 1 in x, r"Tensor.__contains__\(\) was called"),
        (lambda x: list(x), r"cannot be iterated over.*torch.unbind"),
        (lambda x: len(x), r"The length of <KerasTensor"),
        (lambda x: x.sum().backward(), r"Tensor.backward\(\) was called.*Build the model first"),
    ],
)  # fmt: skip
def test_code_that_needs_values_is_told_what_to_do(use, message):
    with pytest.raises(TypeError, match=message):
        use(Input((3,), name="start"))
