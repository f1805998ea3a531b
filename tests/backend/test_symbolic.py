"""K on symbolic tensors: placeholders, functions of a graph, gradients, the learning phase."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from torchkeras import backend as K
from torchkeras.layers.core import Activation, Dense, Dropout
from torchkeras.layers.input_layer import Input
from torchkeras.models import Model, Sequential

X = np.random.default_rng(0).standard_normal((4, 3)).astype("float32")


@pytest.fixture(autouse=True)
def _fresh():
    K.clear_session()
    yield
    K.clear_session()


def test_placeholders_have_shapes_types_and_names():
    x = K.placeholder((None, 3), dtype="int32", name="ids")
    assert (K.int_shape(x), K.dtype(x), x.name) == ((None, 3), "int32", "ids")
    assert K.int_shape(K.placeholder(ndim=2)) == (None, None)
    assert K.int_shape(K.placeholder(shape=())) == ()
    assert K.is_placeholder(x)
    assert K.is_placeholder(Input((3,)))
    assert not K.is_placeholder(x + 1)
    assert not K.is_placeholder(torch.zeros(1))


def test_a_placeholder_needs_a_shape():
    with pytest.raises(ValueError, match=r"placeholder needs a shape, such as \(None, 3\), or the number of axes"):
        K.placeholder()
    with pytest.raises(ValueError, match="dense"):
        K.placeholder((None, 3), sparse=True)


def test_what_a_keras_tensor_is():
    assert K.is_keras_tensor(Dense(2)(Input((3,))))
    assert not K.is_keras_tensor(torch.zeros(1))
    assert not K.is_keras_tensor(K.variable(1))
    with pytest.raises(ValueError, match="is_keras_tensor takes a tensor, but got 3 of type int"):
        K.is_keras_tensor(3)
    assert K.is_tensor(Input((3,)))
    assert K.is_tensor(K.variable(1))
    assert not K.is_tensor(np.zeros(1))


def test_a_function_computes_a_part_of_a_model():
    model = Sequential([Dense(4, activation="relu", input_shape=(3,)), Dense(2)])
    f = K.function([model.layers[0].input], [model.layers[0].output, model.output])
    hidden, output = f([X])
    assert isinstance(hidden, np.ndarray)
    np.testing.assert_allclose(hidden, np.maximum(X @ model.get_weights()[0], 0), atol=1e-6)
    np.testing.assert_allclose(output, model.predict(X, verbose=0), atol=1e-6)
    inner = K.function(model.layers[1].input, model.output)  # from the middle; one tensor, not a list
    np.testing.assert_allclose(inner(hidden), output, atol=1e-6)


def test_a_function_follows_the_weights():
    model = Sequential([Dense(2, input_shape=(3,))])
    f = K.function([model.input], [model.output, model.layers[0].trainable_weights[1]])
    model.set_weights([np.zeros((3, 2)), np.array([5.0, 7.0])])
    output, bias = f([X])
    assert output.tolist() == [[5, 7]] * 4
    assert bias.tolist() == [5, 7]


def test_a_function_takes_the_learning_phase():
    x = Input((3,))
    f = K.function([x, K.learning_phase()], [Dropout(0.5)(x)])
    np.testing.assert_array_equal(f([X, 0])[0], X)
    dropped = f([X, 1])[0]
    assert ((dropped == 0) | np.isclose(dropped, 2 * X)).all()
    assert (dropped == 0).any()


def test_a_model_asks_for_the_phase_each_time_it_runs():
    x = Input((3,))
    y = K.in_train_phase(x * 2, lambda: x + 1)
    model = Model(x, K.switch(K.learning_phase(), y, -y))
    data = torch.from_numpy(X)
    torch.testing.assert_close(model(data), -(data + 1))
    model.train()
    torch.testing.assert_close(model(data), data * 2)
    model.eval()
    torch.testing.assert_close(model(data), -(data + 1))


def test_a_phase_that_is_fixed_goes_into_the_graph():
    x = Input((3,))
    with K.learning_phase_scope(1):
        y = K.in_train_phase(x * 2, x)
    np.testing.assert_array_equal(K.function([x, K.learning_phase()], [y])([X, 0])[0], 2 * X)


def test_gradients_of_a_graph():
    """The way of saliency maps and of input optimization."""
    x = Input((3,))
    layer = Dense(2, activation="tanh")
    y = layer(x)
    loss = K.mean(y[:, 0])
    to_input, to_kernel, to_hidden = (K.gradients(loss, one)[0] for one in (x, layer.trainable_weights[0], y))
    to_input /= K.sqrt(K.mean(K.square(to_input))) + 1e-5
    found = K.function([x], [loss, to_input, to_kernel, to_hidden])([X])
    data = torch.from_numpy(X).requires_grad_()
    out = layer(data)
    wanted = torch.autograd.grad(out[:, 0].mean(), [data, layer.weight, out])
    np.testing.assert_allclose(found[1], wanted[0] / (wanted[0].square().mean().sqrt() + 1e-5), rtol=1e-5)
    np.testing.assert_allclose(found[2], wanted[1].T, rtol=1e-5)
    np.testing.assert_allclose(found[3], wanted[2], rtol=1e-5)


def test_gradients_of_gradients():
    x = Input((3,))
    slope = K.gradients(K.sum(x**3), x)[0]
    np.testing.assert_allclose(K.function([x], K.gradients(slope, x))([X])[0], 6 * X, rtol=1e-5)


def test_gradients_where_nothing_depends():
    x, other = Input((3,)), Input((3,))
    zeros, ones = K.function([x, other], K.gradients(K.sum(x), [other, x]))([X, X])
    assert not zeros.any()
    assert ones.all()
    with pytest.raises(ValueError, match="a loss with a value and symbolic variables"):
        K.gradients(torch.ones(1), [x])
    model = Model(x, K.gradients(K.sum(x * 2), x))
    with pytest.raises(RuntimeError, match=r"has to run through K.function\(inputs, outputs\)"):
        model(torch.from_numpy(X))


def test_gradients_of_tensors():
    v, w = K.variable([1.0, 2.0]), K.variable([3.0, 4.0])
    loss = v * v * w
    to_v, to_w, none = K.gradients(loss, [v, w, K.variable(1.0)])
    assert to_v.tolist() == [6, 16]
    assert to_w.tolist() == [1, 4]
    assert none is None
    assert K.gradients(to_v, v)[0].tolist() == [6, 8]
    assert K.gradients(torch.ones(1), [v]) == [None]
    both = K.gradients([v.sum(), (w * v).sum()], v)[0]
    assert both.tolist() == [4, 5]
    layer = Dense(2, input_shape=(3,))
    layer.build_now((None, 3))
    assert K.gradients(layer(torch.from_numpy(X)).sum(), layer.trainable_weights)[0].shape == (3, 2)


def test_updates_are_written_after_the_outputs():
    x, total, count = Input((3,)), K.variable(np.zeros(3)), K.variable(0.0)
    f = K.function([x], [K.sum(x)], updates=[K.update_add(total, K.sum(x, axis=0)), (count, count + K.constant(1.0)), K.update(count, 5)])
    assert K.get_value(count) == 5
    f([X])
    np.testing.assert_allclose(K.get_value(total), X.sum(0), rtol=1e-5)
    f([X])
    np.testing.assert_allclose(K.get_value(total), 2 * X.sum(0), rtol=1e-5)
    y = Input((3,))
    K.function([y], [y], updates=[K.update(total, y[0])])([X])
    np.testing.assert_array_equal(K.get_value(total), X[0])


def test_a_function_without_symbolic_outputs_reads_values():
    v = K.variable(3.0)
    assert K.function([], [v])([]) == [3.0]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: K.function([torch.zeros(1)], [x]), TypeError, "takes symbolic tensors and K.learning_phase"),
        (lambda x: K.function([x], [x * 2])([X, X]), ValueError, "has 1 inputs, but was called with 2"),
        (lambda x: K.function([x], [x * 2], feed_dict={}), ValueError, "got 'feed_dict', an argument of TensorFlow's sessions"),
        (lambda x: K.function([Input((2,))], [x * 2]), ValueError, "disconnected"),
    ],
)
def test_functions_say_what_is_wrong(call: Any, error: type[Exception], message: str):
    with pytest.raises(error, match=f"(?i){message}"):
        call(Input((3,)))


def test_a_function_leaves_raw_modules_in_their_mode():
    raw = torch.nn.Dropout(0.5).train()
    x = Input((3,))
    f = K.function([x], [raw(x)])
    assert raw.training
    np.testing.assert_array_equal(f([X])[0], X)
    assert raw.training


def test_sampling_with_the_shape_of_a_symbolic_tensor():
    """The way of variational autoencoders, written without a Lambda layer."""
    x = Input((3,))
    mean = Dense(2)(x)
    noise = K.random_normal(shape=(K.shape(mean)[0], K.int_shape(mean)[1]))
    model = Model(x, [mean + 0 * noise, noise])
    assert K.int_shape(noise) == (None, 2)
    found, drawn = model(torch.zeros(7, 3))
    assert found.shape == drawn.shape == (7, 2)
    assert K.shape(mean)[1] == 2
    assert model(torch.zeros(2, 3))[1].shape == (2, 2)


def test_functions_of_k_are_one_node_each():
    x = Input((5, 3))
    last, outputs, _ = K.rnn(lambda i, s: (i + s[0], [i + s[0]]), x, [K.zeros_like(x[:, 0])])
    model = Model(x, [last, outputs, K.batch_dot(x, x, axes=2)])
    assert [layer.name for layer in model.layers if "rnn" in layer.name or "dot" in layer.name] == ["rnn", "batch_dot"]
    data = torch.randn(2, 5, 3)
    found = model(data)
    torch.testing.assert_close(found[1], data.cumsum(1))
    torch.testing.assert_close(found[2], data @ data.mT)


def test_layers_and_k_mix():
    x = Input((3,))
    y = Activation("relu")(K.concatenate([x, K.square(x)]))
    np.testing.assert_allclose(Model(x, y).predict(X, verbose=0), np.hstack([np.maximum(X, 0), X**2]), rtol=1e-6)
