"""The order of a model's weights in each release, as the genuine ones list them: with norms, frozen layers, a model inside."""

from __future__ import annotations

import numpy as np
import pytest

import torchkeras
from tests.saving.referees import ask
from torchkeras import layers
from torchkeras.models import Model, Sequential, load_model

KERAS2 = ("1.2.2", "2.2.4")
EVERY = (*KERAS2, "2.4.0")

# what genuine Keras 1.2.2, 2.2.4 and tf.keras 2.4.0 list: g, b, m, v of a norm, k, b of a Dense layer
BY_LAYER = "a.k a.b n.g n.b n.m n.v c.k c.b i.g i.b i.m i.v d.k d.b j.g j.b j.m j.v e.k e.b"
TRAINED_FIRST = {
    None: "a.k a.b n.g n.b c.k c.b i.g i.b d.k d.b j.g j.b e.k e.b n.m n.v i.m i.v j.m j.v",
    "c": "a.k a.b n.g n.b i.g i.b d.k d.b j.g j.b e.k e.b n.m n.v c.k c.b i.m i.v j.m j.v",
    "d": "a.k a.b n.g n.b c.k c.b i.g i.b j.g j.b e.k e.b n.m n.v i.m i.v d.k d.b j.m j.v",
    "model": "a.k a.b n.g n.b c.k c.b i.g i.b d.k d.b j.g j.b e.k e.b n.m n.v i.m i.v j.m j.v",
}
# get_weights() of Keras 1 and 2: layer by layer, but a model inside lists first what is trained
ARRAYS = {
    None: "a.k a.b n.g n.b n.m n.v c.k c.b i.g i.b d.k d.b j.g j.b i.m i.v j.m j.v e.k e.b",
    "c": "a.k a.b n.g n.b n.m n.v c.k c.b i.g i.b d.k d.b j.g j.b i.m i.v j.m j.v e.k e.b",
    "d": "a.k a.b n.g n.b n.m n.v c.k c.b i.g i.b j.g j.b i.m i.v d.k d.b j.m j.v e.k e.b",
    "model": "a.k a.b n.g n.b n.m n.v c.k c.b i.g i.b d.k d.b j.g j.b i.m i.v j.m j.v e.k e.b",
    "inner": "a.k a.b n.g n.b n.m n.v c.k c.b i.g i.b d.k d.b j.g j.b i.m i.v j.m j.v e.k e.b",
}
# the group of the model inside in a file of weights alone
FILE = {
    None: "i.g i.b d.k d.b j.g j.b i.m i.v j.m j.v",
    "d": "i.g i.b j.g j.b i.m i.v d.k d.b j.m j.v",
}
FROZEN_FILE = {"2.2.4": FILE[None], "2.4.0": "i.g i.b i.m i.v d.k d.b j.g j.b j.m j.v"}

LETTERS = {"kernel": "k", "bias": "b", "gamma": "g", "beta": "b", "moving_mean": "m", "moving_variance": "v"}


def make(version, frozen=None):
    with torchkeras.using_keras_version(version):
        norm = layers.BatchNormalization
        inner = Sequential([norm(input_shape=(4,), name="i"), layers.Dense(3, name="d"), norm(name="j")], name="inner")
        x = layers.Input((5,))
        y = inner(layers.Dense(4, name="c")(norm(name="n")(layers.Dense(4, name="a")(x))))
        model = Model(x, layers.Dense(2, name="e")(y), name="model")
    for layer in (model, *model.layers, *inner.layers):
        if layer.name == frozen:
            layer.trainable = False
    for number, view in enumerate(model.stored_weights):
        view.assign(np.full(view.shape, number))
    return model


def short(name):
    layer, _, weight = name.removesuffix(":0").partition("/")
    return f"{layer}.{LETTERS[weight]}"


def names(views):
    return " ".join(short(view.name) for view in views)


def arrays(model):
    numbers = {float(view.numpy().flat[0]): short(view.name) for view in model.stored_weights}
    return " ".join(numbers[array.flat[0]] for array in model.get_weights())


@pytest.mark.parametrize("frozen", [None, "c", "d", "model", "inner"])
def test_tf_keras_goes_layer_by_layer(frozen):
    model = make("2.4.0", frozen)
    assert names(model.weights) == arrays(model) == BY_LAYER


@pytest.mark.parametrize("version", KERAS2)
@pytest.mark.parametrize("frozen", TRAINED_FIRST)
def test_keras_2_lists_first_what_is_trained(version, frozen):
    assert names(make(version, frozen).weights) == TRAINED_FIRST[frozen]


@pytest.mark.parametrize("version", KERAS2)
@pytest.mark.parametrize("frozen", ARRAYS)
def test_get_weights_of_keras_2_goes_layer_by_layer(version, frozen):
    model = make(version, frozen)
    assert arrays(model) == ARRAYS[frozen]
    values = [array + 100 for array in model.get_weights()]
    model.set_weights(values)
    for one, two in zip(model.get_weights(), values, strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_model_keeps_the_order_that_it_was_made_with():
    model = make("2.2.4")
    with torchkeras.using_keras_version("2.4.0"):
        assert names(model.weights) == TRAINED_FIRST[None]


@pytest.mark.parametrize("version", ["2.2.4", "2.4.0"])
@pytest.mark.parametrize("frozen", [None, "d", "inner"])
def test_files_list_first_what_is_trained_of_a_model_inside(version, frozen, tmp_path):
    h5py = pytest.importorskip("h5py")
    model = make(version, frozen)
    with torchkeras.using_keras_version(version):
        model.save_weights(tmp_path / "weights.h5")
    with h5py.File(tmp_path / "weights.h5") as file:
        listed = [name.decode() if isinstance(name, bytes) else name for name in file["inner"].attrs["weight_names"]]
    assert " ".join(map(short, listed)) == (FROZEN_FILE[version] if frozen == "inner" else FILE[frozen])


@pytest.mark.parametrize("version", EVERY)
@pytest.mark.parametrize("written", [None, "d", "inner"])
@pytest.mark.parametrize("read", [None, "d", "inner"])
def test_a_file_is_read_whatever_was_frozen_when_it_was_written(version, written, read, tmp_path):
    model, other = make(version, written), make(version, read)
    other.set_weights([np.zeros_like(array) for array in other.get_weights()])
    with torchkeras.using_keras_version(version):
        model.save_weights(tmp_path / "weights.h5")
        other.load_weights(tmp_path / "weights.h5")
    for one, two in zip(sorted_by_name(model), sorted_by_name(other), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("version", EVERY)
@pytest.mark.parametrize("suffix", [".h5", ".keras"])
@pytest.mark.parametrize("frozen", [None, "c", "d", "inner"])
def test_whole_models_come_back(version, suffix, frozen, tmp_path):
    model = make(version, frozen)
    with torchkeras.using_keras_version(version):
        model.save(tmp_path / f"model{suffix}")
    again = load_model(tmp_path / f"model{suffix}", compile=False)
    for one, two in zip(sorted_by_name(model), sorted_by_name(again), strict=True):
        np.testing.assert_array_equal(one, two)


def sorted_by_name(model):
    return [view.numpy() for view in sorted(model.stored_weights, key=lambda view: view.name)]


@pytest.mark.referee
@pytest.mark.parametrize("version", ["2.2.4", "2.4.0"])
@pytest.mark.parametrize("frozen", [None, "d", "inner"])
def test_genuine_keras_opens_a_model_inside(version, frozen, tmp_path):
    rng = np.random.RandomState(0)
    torchkeras.set_keras_version(version)
    model = make(version, frozen)
    model.set_weights([rng.uniform(0.1, 1, array.shape) for array in model.get_weights()])
    model.compile("sgd", "mse")
    model.save(tmp_path / "model.h5")
    x, y = np.ones((4, 5), "float32"), np.ones((4, 2), "float32")
    np.testing.assert_allclose(ask(version, tmp_path / "model.h5", [x], [y])["before"][0], model.predict(x), rtol=1e-5, atol=1e-5)
