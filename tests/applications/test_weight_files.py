"""ImageNet's files: names, URLs, hashes, the cache; a file that is there is read, one that is not is told."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.applications.genuine import NAMES, images, set_seeded, small
from torchkeras import applications, set_keras_version
from torchkeras.applications import weight_files
from torchkeras.applications.weight_files import WeightFile, imagenet_file, mobilenet_file
from torchkeras.layers.naming import reset_uids

REFEREES = os.environ.get("TORCHKERAS_REFEREES")
ROOT = Path(__file__).parent.parent.parent


def test_files_are_those_of_the_release():
    wanted = WeightFile("vgg16_weights_tf_dim_ordering_tf_kernels.h5", weight_files.GITHUB + "v0.1/", "64373286793e3c8b2b4e3219cbf3544b")
    assert imagenet_file("vgg16", True, "keras2") == wanted
    assert imagenet_file("vgg16", True, "tf.keras") == wanted._replace(folder=weight_files.GOOGLE + "vgg16/")
    assert imagenet_file("densenet201", False, "tf.keras").folder == weight_files.GOOGLE + "densenet/"
    assert imagenet_file("resnet50", True, "keras2").md5 != imagenet_file("resnet50", True, "tf.keras").md5
    assert mobilenet_file(0.75, 160, False, "tf.keras").name == "mobilenet_7_5_160_tf_no_top.h5"
    with pytest.raises(ValueError, match="no ImageNet weights of resnet101 for this release"):
        imagenet_file("resnet101", True, "keras2")


def test_weights_of_a_path_are_read(tmp_path: Path):
    path = str(tmp_path / "small.h5")
    arguments = small("MobileNet", "2.4.0")
    model = applications.MobileNet(**arguments)
    set_seeded(model)
    model.save_weights(path)
    read = applications.MobileNet(**{**arguments, "weights": path})
    x = images((32, 32, 3))
    np.testing.assert_array_equal(read.predict(x), model.predict(x))


def test_imagenet_takes_the_file_of_the_cache(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    model = applications.MobileNet(input_shape=(128, 128, 3), alpha=0.25, weights=None, include_top=False)
    set_seeded(model)
    (tmp_path / ".keras" / "models").mkdir(parents=True)
    model.save_weights(str(tmp_path / ".keras" / "models" / "mobilenet_2_5_128_tf_no_top.h5"))
    read = applications.MobileNet(input_shape=(128, 128, 3), alpha=0.25, include_top=False)
    for got, wanted in zip(read.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(got, wanted)
    with pytest.warns(UserWarning, match="the weights for 224 are loaded"), pytest.raises(RuntimeError, match=r"mobilenet_2_5_224_tf_no_top\.h5"):
        monkeypatch.setattr(weight_files, "MOBILENET", {"tf.keras": tmp_path.as_uri() + "/"})
        applications.MobileNet(input_shape=(100, 100, 3), alpha=0.25, include_top=False)


def test_a_file_that_cannot_be_downloaded_is_told(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    missing = WeightFile("vgg16.h5", tmp_path.as_uri() + "/", hashlib.md5(b"").hexdigest())
    with pytest.raises(RuntimeError, match=r"weights='imagenet' needs vgg16.h5. Could not download .* Put the file into ~/.keras/models yourself"):
        missing.fetch()


@pytest.mark.referee
@pytest.mark.skipif(REFEREES is None, reason="TORCHKERAS_REFEREES names no folder with the genuine releases")
@pytest.mark.parametrize("version", ["1.2.2", "2.2.4", "2.4.0"])
def test_files_of_the_genuine_release_load(version: str, tmp_path: Path):
    environment = {"1.2.2": "k122", "2.2.4": "k224", "2.4.0": "tf24"}[version]
    python = Path(str(REFEREES)) / environment / "bin" / "python"
    names = [name for name in NAMES if version != "1.2.2" or name not in ("MobileNet", "DenseNet121")]
    command = [str(python), str(ROOT / "tests" / "applications" / "genuine.py"), version, str(tmp_path), *names]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "KERAS_BACKEND": "tensorflow"})
    assert done.returncode == 0, done.stderr
    set_keras_version(version)
    for name in names:
        arguments = small(name, version)
        reset_uids()
        by_order, seeded = getattr(applications, name)(**arguments), getattr(applications, name)(**arguments)
        set_seeded(seeded)
        by_order.load_weights(str(tmp_path / f"{name}.h5"))
        reset_uids()  # automatic names start anew, as they did when the file was written
        by_name = getattr(applications, name)(**arguments)
        by_name.load_weights(str(tmp_path / f"{name}.h5"), by_name=True)
        for model in (by_order, by_name):
            for got, wanted in zip(model.get_weights(), seeded.get_weights(), strict=True):
                np.testing.assert_array_equal(got, wanted)
    shutil.rmtree(tmp_path)
