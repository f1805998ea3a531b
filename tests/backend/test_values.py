"""Variables, constants, and reading and writing values."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from torchkeras import backend as K
from torchkeras import generations, optimizers
from torchkeras.backend.variables import Variable
from torchkeras.layers.core import Dense
from torchkeras.layers.input_layer import Input


def test_a_variable_is_a_named_parameter():
    v = K.variable([[1, 2], [3, 4]], name="kernel")
    assert isinstance(v, nn.Parameter)
    assert (v.name, v.dtype, v.requires_grad) == ("kernel:0", torch.float32, True)
    assert repr(v) == "<Variable 'kernel:0' shape=(2, 2) dtype=float32>"
    assert K.variable(1).name == "Variable:0"
    assert not K.variable(1, dtype="int32").requires_grad
    module = nn.Module()
    module.v = v
    assert [name for name, _ in module.named_parameters()] == ["v"]


def test_a_variable_owns_its_memory_and_keeps_its_constraint():
    array = np.zeros(2, "float32")
    v = K.variable(array, constraint=torch.relu)
    K.set_value(v, [1, 2])
    assert array.sum() == 0
    assert v.constraint is torch.relu


def test_a_variable_is_set_in_place():
    v = K.variable(np.ones(2))
    assert v.assign([2, 3]) is v
    v.assign_add(1)
    v.assign_sub([0, 1])
    np.testing.assert_array_equal(v, [3, 3])
    np.testing.assert_array_equal(np.asarray(v, dtype="float64"), [3, 3])
    assert v.is_leaf
    assert v.requires_grad
    (v.value() * 2).sum().backward()
    assert v.grad.tolist() == [2, 2]


def test_a_variable_can_be_copied_and_pickled():
    v = K.variable([1.0, 2.0], name="v")
    assert torch.equal(copy.deepcopy(v), v)
    assert torch.equal(pickle.loads(pickle.dumps(v)), v)


def test_name_scopes_stand_before_names():
    with K.name_scope("outer") as outer, K.name_scope("inner"):
        assert K.variable(0, name="v").name == "outer/inner/v:0"
    assert outer == "outer/"
    assert K.variable(0, name="v").name == "v:0"


def test_zeros_and_ones_are_variables_unless_their_shape_depends_on_data():
    for made, value in ((K.zeros((2, 3)), np.zeros((2, 3))), (K.ones((2, 3)), np.ones((2, 3))), (K.eye(2), np.eye(2)), (K.eye((2, 3)), np.eye(2, 3))):
        assert isinstance(made, Variable)
        np.testing.assert_array_equal(made, value)
    rows = K.shape(torch.zeros(2, 5))[0]
    assert not isinstance(K.zeros((rows, 3)), Variable)
    assert K.zeros(3, dtype="int32").dtype == torch.int32


def test_likes_take_shape_and_type():
    x = torch.zeros(2, dtype=torch.int32)
    assert K.ones_like(x).tolist() == [1, 1]
    assert K.ones_like(x).dtype == torch.int32
    assert K.zeros_like(x, dtype="float32").dtype == torch.float32
    assert not K.ones_like(K.variable(1.0)).requires_grad


def test_constant_fills_a_shape():
    assert K.constant([1, 2, 3], shape=(2, 2)).tolist() == [[1, 2], [3, 3]]
    assert K.constant(7, dtype="int32", shape=()).item() == 7
    assert K.constant(np.arange(6), shape=(2, 3)).dtype == torch.float32
    with pytest.raises(ValueError, match=r"got 3 numbers for the shape \(2,\)"):
        K.constant([1, 2, 3], shape=(2,))


def test_identity_is_a_tensor_of_its_own():
    x = torch.ones(2, requires_grad=True)
    y = K.identity(x)
    assert y is not x
    assert torch.equal(torch.autograd.grad(y.sum(), x)[0], torch.ones(2))


def test_types_have_names():
    assert K.dtype(torch.zeros(1, dtype=torch.int64)) == "int64"
    assert K.dtype(K.variable(0)) == "float32"
    assert K.cast(torch.tensor([0.0, -1.9, 2.5]), "int32").tolist() == [0, -1, 2]
    assert K.cast([0, 3], "bool").tolist() == [False, True]
    assert K.cast(torch.ones(1), np.float64).dtype == torch.float64
    with pytest.raises(ValueError, match="'float31' is not the name of a dtype"):
        K.cast(1, "float31")


def test_cast_to_floatx_keeps_arrays_arrays():
    K.set_floatx("float64")
    assert K.cast_to_floatx(np.ones(2, "float32")).dtype == np.float64
    assert K.cast_to_floatx([1, 2]).dtype == np.float64
    assert K.cast_to_floatx(torch.ones(2)).dtype == torch.float64
    K.set_floatx("bfloat16")
    assert K.cast_to_floatx([1, 2]).dtype == torch.bfloat16


def test_shapes_of_anything():
    v = K.variable(np.zeros((2, 3)))
    assert K.int_shape(v) == K.get_variable_shape(v) == (2, 3)
    assert K.int_shape(np.zeros(4)) == (4,)
    assert K.int_shape(Input((None, 3))) == (None, None, 3)
    assert (K.ndim(v), K.ndim(1.0), K.ndim(Input((3,)))) == (2, 0, 2)
    assert (K.count_params(v), K.count_params(1.0)) == (6, 1)
    with pytest.raises(ValueError, match="count_params needs every dimension known"):
        K.count_params(Input((3,)))


def test_get_value_gives_arrays_and_numbers():
    assert isinstance(K.get_value(torch.tensor(2.5)), np.float32)
    assert isinstance(K.get_value(K.variable([1.0])), np.ndarray)
    assert K.get_value(torch.ones(1, dtype=torch.bfloat16)).dtype == np.float32
    assert K.get_value(torch.eye(2).to_sparse()).tolist() == [[1, 0], [0, 1]]
    assert K.get_value(3) == 3
    assert K.batch_get_value([torch.tensor(1), K.variable(2)]) == [1, 2]
    found = K.get_value(v := torch.zeros(2))
    found += 1
    assert v.sum() == 0


@pytest.mark.parametrize("read", [K.get_value, K.eval])
def test_a_symbolic_tensor_has_no_value(read: object):
    with pytest.raises(TypeError, match=r"has no value yet: make a function with K.function"):
        read(Input((2,)))  # type: ignore[operator]
    with pytest.raises(TypeError, match="has no value that could be set"):
        K.set_value(Input((2,)), 0)


def test_set_value_writes_to_tensors_weights_parameters_and_arrays():
    layer = Dense(2, input_shape=(3,))
    layer.build_now((None, 3))
    values = np.arange(6, dtype="float32").reshape(3, 2)
    K.set_value(layer.trainable_weights[0], values)
    np.testing.assert_array_equal(layer.weight.detach(), values.T)
    parameter, tensor, array = nn.Parameter(torch.zeros(2)), torch.zeros(2), np.zeros(2)
    K.batch_set_value([(parameter, [1, 2]), (tensor, torch.tensor([1.0, 2.0])), (array, torch.tensor([1.0, 2.0]))])
    for one in K.batch_get_value([parameter, tensor, array]):
        np.testing.assert_array_equal(one, [1, 2])
    assert parameter.grad_fn is None


def test_set_value_reaches_the_hyper_parameters_of_an_optimizer():
    optimizer = optimizers.SGD(0.5)
    K.set_value(optimizer.lr, K.get_value(optimizer.lr) * 0.5)
    assert K.get_value(optimizer.lr) == 0.25
    assert type(K.get_value(optimizer.lr)) is float
    K.set_value(optimizer.iterations, 7)
    assert K.get_value(optimizer.iterations) == 7
    weights = nn.Parameter(torch.ones(1))
    optimizer.bind([weights])
    K.set_value(optimizer.lr, 0.125)
    assert K.get_value(optimizer.lr) == 0.125


@pytest.mark.parametrize("target", [torch.zeros(2), np.zeros(2), K.variable(np.zeros(2), name="v")])
def test_set_value_refuses_another_shape(target: object):
    with pytest.raises(ValueError, match=r"has the shape \(2,\), but.* got a value of shape \(3,\)"):
        K.set_value(target, np.zeros(3))
    assert np.asarray(target).sum() == 0


def test_set_value_refuses_what_cannot_change():
    with pytest.raises(TypeError, match=r"got 0\.5, which cannot be changed in place"):
        K.set_value(0.5, 1)


def test_updates_happen_in_place_and_give_the_variable():
    v = K.variable([1.0, 2.0])
    assert K.update(v, [3, 4]) is v
    assert K.update_add(v, 1) is v
    assert K.update_sub(v, torch.tensor([0.0, 1.0])) is v
    np.testing.assert_array_equal(v, [4, 4])
    layer = Dense(2, input_shape=(3,))
    layer.build_now((None, 3))
    before = layer.get_weights()[0]
    K.update_add(layer.trainable_weights[0], 1)
    K.update_sub(layer.trainable_weights[0], 3 * np.ones((3, 2)))
    np.testing.assert_allclose(layer.get_weights()[0], before - 2, atol=1e-6)


@pytest.mark.parametrize("version", ["1.2.2", "2.4.0"])
def test_moving_average_is_plain(version: str):
    generations.set_keras_version(version)
    v = K.variable([10.0, 0.0])
    for value in (1.0, 2.0):
        K.moving_average_update(v, [value, value], 0.9)
    np.testing.assert_allclose(v, [(10 * 0.9 + 0.1) * 0.9 + 0.2, 0.1 * 0.9 + 0.2], rtol=1e-6)


def test_moving_average_of_keras_2_forgets_the_initial_value():
    generations.set_keras_version("2.2.4")
    v, other = K.variable([10.0, 0.0]), K.variable([5.0, 5.0])
    biased = np.zeros(2)
    for number, value in enumerate((1.0, 2.0, 4.0), 1):
        K.moving_average_update(v, [value, -value], 0.9)
        biased = biased * 0.9 + 0.1 * np.array([value, -value])
        np.testing.assert_allclose(v, biased / (1 - 0.9**number), rtol=1e-5)
    K.moving_average_update(other, [1.0, 1.0], 0.9)
    np.testing.assert_allclose(other, [1, 1], rtol=1e-6)
    K.clear_session()
    K.moving_average_update(v, [3.0, 3.0], 0.9)
    np.testing.assert_allclose(v, [3, 3], rtol=1e-6)


def test_print_tensor_prints_and_hands_on(capsys: pytest.CaptureFixture[str]):
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    assert K.print_tensor(x, "x is") is x
    assert capsys.readouterr().out == "x is [1. 2.]\n"
    symbol = Input((2,))
    shown = K.print_tensor(symbol, message="here")
    assert capsys.readouterr().out == ""
    K.function([symbol], [shown])([np.ones((1, 2))])
    assert capsys.readouterr().out == "here [[1. 1.]]\n"
