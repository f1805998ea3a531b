"""Losses and metrics of a graph's own tensors are kept by configs, files, copies and clones."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from torchkeras import backend as K
from torchkeras import generations
from torchkeras.layers import LSTM, Dense, Input
from torchkeras.models import Model, Sequential, clone_model, load_model, model_from_json

X = np.random.default_rng(0).random((8, 3)).astype("float32")
Y = np.zeros((8, 2), "float32")


def make():
    x = Input((3,), name="x")
    h = Dense(4, name="h")(x)
    model = Model(x, Dense(2, name="y")(h), name="m")
    model.add_loss(K.mean(h))
    model.add_metric(K.max(h), name="top", aggregation="mean")
    return model


def through_a_file(model, path):
    model.save(path)
    return load_model(path)


WAYS = {
    "config": lambda model, folder: Model.from_config(model.get_config()),
    "json": lambda model, folder: model_from_json(model.to_json()),
    "clone": lambda model, folder: clone_model(model),
    "copy": lambda model, folder: copy.deepcopy(model),
    "pickle": lambda model, folder: pickle.loads(pickle.dumps(model)),
    "h5": lambda model, folder: through_a_file(model, folder / "m.h5"),
    "keras": lambda model, folder: through_a_file(model, folder / "m.keras"),
}


@pytest.mark.filterwarnings("ignore:.*compile:UserWarning")
@pytest.mark.parametrize("way", WAYS)
def test_added_losses_and_metrics_come_along(way, tmp_path):
    model = make()
    names = [layer.name for layer in model.layers]
    hidden = Model(model.input, model.get_layer("h").output).predict(X)
    expected = [np.square(model.predict(X)).mean() + hidden.mean(), hidden.max()]
    twin = WAYS[way](model, tmp_path)
    twin.set_weights(model.get_weights())
    assert [layer.name for layer in twin.layers] == names
    assert twin.output_names == ["y"]
    for one in (model, twin):
        one.compile("sgd", "mse")
        assert one.evaluate(X, Y, verbose=0) == pytest.approx(expected, rel=1e-5)
        assert one.metrics_names == ["loss", "top"]
    twin.add_loss(K.sum(twin.output) * 0 + 1)  # the others stay
    twin.compile("sgd", "mse")
    assert twin.evaluate(X, Y, verbose=0)[0] == pytest.approx(expected[0] + 1, rel=1e-5)


def test_the_config_is_that_of_tf_keras():
    config = make().get_config()
    layers = [(entry["class_name"], entry["inbound_nodes"]) for entry in config["layers"][3:]]
    assert [name for name, _ in layers] == ["TorchOp", "AddLoss", "TorchOp", "AddMetric"]
    assert [nodes[0][0][0] for _, nodes in layers] == ["h", config["layers"][3]["name"], "h", config["layers"][5]["name"]]
    assert config["output_layers"] == [["y", 0, 0]]
    loss, metric = config["layers"][4]["config"], config["layers"][6]["config"]
    assert loss.items() >= {"unconditional": False, "dtype": "float32"}.items()
    assert metric.items() >= {"aggregation": "mean", "metric_name": "top"}.items()


def test_other_outputs_that_nothing_takes_are_no_losses():
    x = Input((None, 3))
    _, state, _ = LSTM(4, return_state=True)(x)
    model = Model(x, state)
    twin = Model.from_config(model.get_config())
    assert [type(layer).__name__ for layer in twin.layers] == ["InputLayer", "LSTM"]
    assert twin.predict(X[:, None]).shape == (8, 4)


def test_layers_of_an_added_loss_are_trained_but_in_keras_2():
    for version, trained in (("2.4.0", 6), ("2.2.4", 4)):
        with generations.using_keras_version(version):
            x = Input((3,))
            h = Dense(4)(x)
            model = Model(x, Dense(2)(h))
            model.add_loss(K.mean(Dense(1)(h)))
            assert len(model.trainable_weights) == trained
            assert len(model.layers) == (3 if version == "2.2.4" else 6)
            model.compile("sgd", "mse")
            model.fit(X, Y, verbose=0)
            assert len(model.get_config()["layers"]) == len(model.layers)
            if version == "2.2.4":  # the loss is no part of the graph there
                twin = Model.from_config(model.get_config())
                twin.set_weights(model.get_weights())
                twin.compile("sgd", "mse")
                assert twin.evaluate(X, Y, verbose=0) == pytest.approx(np.square(model.predict(X)).mean(), rel=1e-5)


def test_a_sequential_says_that_its_config_has_no_place_for_them():
    model = Sequential([Dense(2, input_shape=(3,))], name="stack")
    model.add_loss(K.mean(model.output))
    model.compile("sgd", "mse")
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(np.square(model.predict(X)).mean() + model.predict(X).mean(), rel=1e-5)
    with pytest.raises(ValueError, match=r"Model 'stack' is a Sequential that add_loss\(\) or add_metric\(\) gave a symbolic tensor"):
        model.get_config()
