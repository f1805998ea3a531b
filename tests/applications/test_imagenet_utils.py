"""Pixels and names: the formulas in NumPy, arrays changed in place, tensors not, symbolic tensors in a graph."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import torchkeras
from torchkeras import applications, layers
from torchkeras.applications import imagenet_utils
from torchkeras.applications.imagenet_utils import decode_predictions, preprocess_input

MEANS = {"caffe": np.array([103.939, 116.779, 123.68]), "torch": np.array([0.485, 0.456, 0.406])}
DEVIATIONS = np.array([0.229, 0.224, 0.225])


def by_formula(x: np.ndarray, mode: str) -> np.ndarray:
    if mode == "tf":
        return x / 127.5 - 1
    if mode == "torch":
        return (x / 255 - MEANS["torch"]) / DEVIATIONS
    return x[..., ::-1] - MEANS["caffe"]


def pixels(*shape: int) -> np.ndarray:
    return np.random.RandomState(1).uniform(0, 255, size=shape).astype("float32")


@pytest.mark.parametrize("mode", ["caffe", "tf", "torch"])
@pytest.mark.parametrize("shape", [(2, 4, 5, 3), (4, 5, 3)])
def test_pixels_follow_the_formula(mode: str, shape: tuple[int, ...]):
    x = pixels(*shape)
    wanted = by_formula(x.astype("float64"), mode)
    first = np.moveaxis(x, -1, -3)
    for got in (preprocess_input(x.copy(), mode=mode), preprocess_input(torch.from_numpy(x), mode=mode).numpy()):
        np.testing.assert_allclose(got, wanted, atol=2e-5)
    for got in (preprocess_input(first.copy(), "channels_first", mode), preprocess_input(torch.from_numpy(first), "channels_first", mode).numpy()):
        np.testing.assert_allclose(got, np.moveaxis(wanted, -1, -3), atol=2e-5)


@pytest.mark.parametrize("mode", ["caffe", "tf", "torch"])
def test_an_array_of_floats_is_changed_in_place_and_a_tensor_is_not(mode: str):
    x = pixels(1, 2, 2, 3)
    tensor = torch.from_numpy(x.copy())
    got = preprocess_input(x, mode=mode)
    assert np.shares_memory(got, x)
    preprocess_input(tensor, mode=mode)
    np.testing.assert_array_equal(tensor, pixels(1, 2, 2, 3))


def test_integers_become_floats():
    x = np.full((1, 1, 1, 3), 255, "uint8")
    assert preprocess_input(x, mode="tf").tolist() == [[[[1.0, 1.0, 1.0]]]]
    assert preprocess_input(torch.from_numpy(x), mode="tf").dtype == torch.float32
    assert x.max() == 255


@pytest.mark.parametrize(
    ("module", "mode"),
    [("vgg16", "caffe"), ("vgg19", "caffe"), ("resnet", "caffe"), ("resnet50", "caffe"), ("mobilenet", "tf"), ("inception_v3", "tf")]
    + [("xception", "tf"), ("densenet", "torch")],
)
def test_each_network_has_its_own_pixels(module: str, mode: str):
    x = pixels(1, 2, 2, 3)
    np.testing.assert_array_equal(getattr(applications, module).preprocess_input(x.copy()), preprocess_input(x.copy(), mode=mode))


def test_symbolic_pixels_are_part_of_a_graph():
    image = torchkeras.Input((None, None, 3))
    model = torchkeras.Model(image, layers.Activation("linear")(applications.vgg16.preprocess_input(image)))
    x = pixels(2, 4, 4, 3)
    np.testing.assert_allclose(model.predict(x), by_formula(x, "caffe"), atol=2e-5)


def test_keras_1_says_dim_ordering():
    x = pixels(1, 3, 2, 2)
    wanted = preprocess_input(x.copy(), "channels_first")
    np.testing.assert_array_equal(applications.vgg16.preprocess_input(x.copy(), dim_ordering="th"), wanted)
    np.testing.assert_array_equal(preprocess_input(x.copy(), "th"), wanted)


def test_predictions_can_follow_at_once():
    model = applications.MobileNet(input_shape=(32, 32, 3), weights=None, alpha=0.25, classes=4)
    assert model.predict(applications.vgg16.preprocess_input(pixels(1, 32, 32, 3))).shape == (1, 4)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("channels_middle",), "data_format|dim_ordering"), ((None, "keras"), r"modes \['caffe', 'tf', 'torch'\], but got 'keras'")],
)
def test_other_words_are_refused(arguments: tuple[str, ...], words: str):
    with pytest.raises(ValueError, match=words):
        preprocess_input(pixels(1, 1, 1, 3), *arguments)


@pytest.fixture
def names(tmp_path: Path) -> Path:
    path = tmp_path / "names.json"
    path.write_text(json.dumps({str(number): [f"n{number:08d}", f"thing {number}"] for number in range(1000)}))
    return path


def test_the_likeliest_classes_get_their_names(names: Path):
    scores = np.zeros((2, 1000), "float32")
    scores[0, [3, 10, 999]] = 0.2, 0.5, 0.3
    scores[1, 0] = 1
    found = decode_predictions(scores, top=3, class_index=names)
    assert [(name, score) for _, name, score in found[0]] == [
        ("thing 10", np.float32(0.5)),
        ("thing 999", np.float32(0.3)),
        ("thing 3", np.float32(0.2)),
    ]
    assert found[1][0][:2] == ("n00000000", "thing 0")
    assert decode_predictions(torch.from_numpy(scores), top=3, class_index=names) == found


def test_names_come_from_the_cache(names: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(imagenet_utils, "CLASS_INDEX", {})
    monkeypatch.setattr(imagenet_utils, "CLASS_INDEX_HASH", None)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".keras" / "models").mkdir(parents=True)
    names.rename(tmp_path / ".keras" / "models" / "imagenet_class_index.json")
    assert applications.resnet50.decode_predictions(np.eye(1000)[:1], top=1) == [[("n00000000", "thing 0", 1.0)]]


def test_names_that_cannot_be_downloaded_are_told(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(imagenet_utils, "CLASS_INDEX", {})
    monkeypatch.setattr(imagenet_utils, "CLASS_INDEX_PATH", (tmp_path / "missing.json").as_uri())
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(RuntimeError, match=r"needs the names of ImageNet's classes. Could not download .* Or give class_index="):
        decode_predictions(np.eye(1000)[:1])


def test_predictions_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"shape \(batch, 1000\), but got \(2, 10\)"):
        decode_predictions(np.zeros((2, 10)))
