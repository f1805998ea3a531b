"""The examples of monitoring and of Ignite run, and show what they say."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

from tests.callbacks.tensorboard.reading import events, scalars

EXAMPLES = Path(__file__).parents[2] / "examples"


def _load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of protobuf and Pillow about themselves
def test_monitoring(tmp_path):
    _, history, report = _load("monitoring").train(tmp_path, epochs=3, verbose=0)
    assert set(os.listdir(tmp_path)) == {"best.h5", "history.png", "log.csv", "model.png", "tensorboard"}
    assert len(history.epoch) == 3 and "weighted mean" in report
    validation = tmp_path / "tensorboard" / "validation"
    assert len(scalars(validation)["epoch_accuracy"]) == 3
    assert set(events(validation).Tags()["images"]) == {"examples", "digits"}
    assert (tmp_path / "tensorboard" / "train" / "profile").is_dir()


def test_ignite_in_keras():
    history, profiler, accuracy = _load("ignite_in_keras").train(epochs=3, verbose=0)
    assert history.history["val_top3"][-1] > 0.5
    assert profiler.get_results()["processing_stats"]["total"] > 0
    assert accuracy > 0.3


def test_keras_callbacks_on_ignite(tmp_path):
    _, history = _load("keras_callbacks_on_ignite").train(tmp_path, epochs=3)
    assert list(history.history) == ["loss", "val_loss", "val_accuracy", "lr"]
    assert history.history["val_accuracy"][-1] > 0.8
    assert set(os.listdir(tmp_path)) == {"best.pt", "log.csv", "tensorboard"}
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 4
