"""Architectures have the layers, names, shapes, counts, summaries and predictions of the genuine releases."""

from __future__ import annotations

import contextlib
import hashlib
import json
from typing import Any

import numpy as np
import pytest
import torch

import torchkeras
from tests.applications.genuine import VARIANTS, images, set_seeded, small
from tests.golden_cases import GOLDEN
from torchkeras import applications, config, layers, set_keras_version

VERSIONS = ("1.2.2", "2.2.4", "2.4.0")


def recorded(what: str, version: str) -> dict[str, Any]:
    return json.loads((GOLDEN / "applications" / f"{what}-{version}.json").read_text())


NETWORKS = [(version, name) for version in VERSIONS for name in recorded("architectures", version)]
PREDICTIONS = [(version, name) for version in ("2.2.4", "2.4.0") for name in recorded("predictions", version)]


@pytest.mark.parametrize(("version", "network"), NETWORKS)
def test_a_network_has_the_layers_of_its_release(version: str, network: str, capsys):
    set_keras_version(version)
    name, _, variant = network.partition(".")
    with contextlib.nullcontext() if name == "MobileNet" else torch.device("meta"):
        model = getattr(applications, name)(weights=None, **VARIANTS[variant])
    wanted = recorded("architectures", version)[network]
    assert [[layer.name, *[list(weight.shape) for weight in layer.weights]] for layer in model.layers] == wanted["layers"]
    assert (model.name, model.count_params(), list(model.output_shape)) == (wanted["name"], wanted["count"], wanted["output"])
    model.summary()
    text = "\n".join(line.rstrip() for line in capsys.readouterr().out.split("\n")).strip()
    assert hashlib.sha256(text.encode()).hexdigest() == wanted["summary"]


@pytest.mark.parametrize(("version", "name"), PREDICTIONS)
def test_a_network_predicts_what_its_release_does(version: str, name: str):
    set_keras_version(version)
    arguments = small(name, version)
    model = getattr(applications, name)(**arguments)
    set_seeded(model)
    out = model.predict(images(arguments["input_shape"]))
    # float32 through up to 120 layers, on values up to about 1; seen are 5e-7
    np.testing.assert_allclose(out, recorded("predictions", version)[name], rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize(("name", "count"), [("ResNet101", 44_707_176), ("ResNet152", 60_419_944), ("DenseNet169", 14_307_880)])
def test_deeper_networks_have_the_published_numbers_of_weights(name: str, count: int):
    with torch.device("meta"):
        assert getattr(applications, name)(weights=None).count_params() == count


def test_a_network_can_start_from_a_tensor():
    image = torchkeras.Input((40, 40, 1))
    coloured = layers.Concatenate()([image, image, image])
    model = applications.MobileNet(input_tensor=coloured, include_top=False, weights=None, pooling="max", alpha=0.25)
    assert model.inputs[0] is image
    assert model.predict(np.zeros((1, 40, 40, 1), "float32")).shape == (1, 256)


def test_channels_first_gives_the_same_predictions():
    x = images((32, 32, 3))
    last = applications.MobileNet(**small("MobileNet", "2.4.0"))
    set_seeded(last)
    config.set_image_data_format("channels_first")
    first = applications.MobileNet(input_shape=(3, 32, 32), alpha=0.25, weights=None, classes=10)
    first.set_weights(last.get_weights())
    np.testing.assert_allclose(first.predict(x.transpose(0, 3, 1, 2)), last.predict(x), atol=1e-6)


@pytest.mark.parametrize("name", ["VGG16", "ResNet50", "MobileNet", "InceptionV3", "DenseNet121", "Xception"])
def test_the_classifier_can_give_logits(name: str):
    arguments = small(name, "2.4.0")
    model = getattr(applications, name)(**arguments, classifier_activation=None)
    set_seeded(model)
    other = getattr(applications, name)(**arguments)
    other.set_weights(model.get_weights())
    x = images(arguments["input_shape"])
    np.testing.assert_allclose(torch.softmax(torch.from_numpy(model.predict(x)), -1), other.predict(x), atol=1e-6)


def test_a_network_trains():
    model = applications.MobileNet(**small("MobileNet", "2.4.0"))
    model.compile("adam", "sparse_categorical_crossentropy")
    before = model.get_weights()
    model.fit(images((32, 32, 3)), np.array([1, 2]), epochs=1, verbose=0)
    assert any(not np.array_equal(old, new) for old, new in zip(before, model.get_weights(), strict=True))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"weights": "nowhere.h5"}, r"VGG16: weights must be None \(random\), 'imagenet' or the path of a file, but there is no file 'nowhere.h5'"),
        ({"weights": "imagenet", "classes": 7}, r"has 1000 classes, but got classes=7"),
        ({"weights": "imagenet", "classifier_activation": "relu"}, r"takes classifier_activation 'softmax' or None, but got 'relu'"),
        ({"weights": "imagenet", "input_shape": (200, 200, 3)}, r"input_shape must be \(224, 224, 3\), but got \(200, 200, 3\)"),
        ({"weights": "imagenet", "include_top": False, "input_shape": (64, 64, 1)}, r"needs 3 channels, but got input_shape=\(64, 64, 1\)"),
        ({"weights": None, "input_shape": (31, 64, 3)}, r"images must be at least 32x32, but got input_shape=\(31, 64, 3\)"),
        ({"weights": None, "input_shape": (64, 64)}, r"input_shape must be three integers, but got \(64, 64\)"),
        ({"weights": None, "input_shape": (None, None, 3)}, r"include_top=True needs an input_shape that is known, but got \(None, None, 3\)"),
        ({"weights": None, "include_top": False, "pooling": "mean"}, r"pooling must be None, 'avg' or 'max', but got 'mean'"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments: dict[str, Any], words: str):
    with torch.device("meta"), pytest.raises(ValueError, match=words):
        applications.VGG16(**arguments)


def test_other_channels_are_told():
    with pytest.warns(UserWarning, match=r"usually takes 1 or 3 channels, but got input_shape=\(32, 32, 4\)"):
        applications.MobileNet(input_shape=(32, 32, 4), weights=None)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"alpha": 0.3}, r"has the widths alpha=\[0.25, 0.5, 0.75, 1.0\], but got 0.3"),
        ({"depth_multiplier": 2}, "needs depth_multiplier=1, but got 2"),
    ],
)
def test_mobilenet_of_imagenet_has_some_widths(arguments: dict[str, Any], words: str):
    with pytest.raises(ValueError, match=words):
        applications.MobileNet(**arguments)


def test_what_is_not_built_says_so():
    with pytest.raises(NotImplementedError, match="EfficientNetB0 is not in torchkeras: only VGG"):
        applications.EfficientNetB0(weights=None)
    with pytest.raises(AttributeError, match="no attribute 'NoNet'"):
        _ = applications.NoNet
