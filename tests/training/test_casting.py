"""Data is cast as Keras casts it, and not copied where a view serves."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from torchkeras import config
from torchkeras.layers import BatchNormalization, Conv2D, Dense, Embedding, Flatten
from torchkeras.models import Sequential
from torchkeras.training.tensors import to_tensor


def _dense():
    model = Sequential([Dense(2, input_shape=(3,))])
    model.compile("sgd", "mse")
    return model


@pytest.mark.parametrize(
    "x",
    [
        np.arange(12.0).reshape(4, 3),
        np.arange(12).reshape(4, 3),
        np.arange(12, dtype="float16").reshape(4, 3),
        np.arange(12, dtype="uint8").reshape(4, 3),
        [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0], [6.0, 7.0, 8.0], [9.0, 10.0, 11.0]],
        torch.arange(12).reshape(4, 3),
        torch.arange(12.0, dtype=torch.float64).reshape(4, 3),
    ],
    ids=["float64", "int64", "float16", "uint8", "list", "int tensor", "double tensor"],
)
def test_numbers_of_every_kind_give_the_same_floats(x):
    model = _dense()
    wanted = model.predict(np.arange(12, dtype="float32").reshape(4, 3))
    got = model.predict(x)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, wanted, rtol=1e-6)
    model.fit(x, np.zeros((4, 2)), verbose=0)


def test_booleans_are_zeros_and_ones():
    model = _dense()
    x = np.array([[True, False, True], [False, False, True]])
    np.testing.assert_array_equal(model.predict(x), model.predict(x.astype("float32")))


def test_uint8_images_train():
    model = Sequential([Conv2D(2, 3, input_shape=(6, 6, 1)), BatchNormalization(), Flatten(), Dense(1)])
    model.compile("adam", "mse")
    images = np.random.default_rng(0).integers(0, 255, (8, 6, 6, 1), dtype="uint8")
    np.testing.assert_array_equal(model.predict(images), model.predict(images.astype("float32")))
    model.fit(images, np.zeros(8), verbose=0)


@pytest.mark.parametrize("dtype", ["int32", "int64", "float32", "float64", "uint8"])
def test_embedding_takes_ids_in_any_type(dtype):
    model = Sequential([Embedding(9, 2, input_length=3), Flatten()])
    ids = np.array([[1, 2, 8], [0, 3, 4]])
    wanted = model.get_weights()[0][ids].reshape(2, 6) if model.built else None
    got = model.predict(ids.astype(dtype))
    wanted = model.get_weights()[0][ids].reshape(2, 6) if wanted is None else wanted
    np.testing.assert_array_equal(got, wanted)


def test_floatx_decides_the_type():
    config.set_floatx("float64")
    model = Sequential([Dense(2, input_shape=(3,))])
    assert model.predict(np.ones((1, 3), dtype="float32")).dtype == np.float64
    assert model.get_weights()[0].dtype == np.float64


def test_float32_arrays_are_viewed_not_copied():
    array = np.ones((4, 3), dtype="float32")
    assert to_tensor(array, "x").data_ptr() == array.ctypes.data
    images = np.ones((4, 3), dtype="uint8")
    assert to_tensor(images, "x").data_ptr() == images.ctypes.data


def test_a_column_may_be_given_flat():
    model = Sequential([Dense(1, input_shape=(1,))])
    model.compile("sgd", "mse")
    flat = model.fit(np.arange(4.0), np.arange(4.0), shuffle=False, verbose=0)
    assert model.predict(np.arange(4.0)).shape == (4, 1)
    assert np.isfinite(flat.history["loss"][0])
