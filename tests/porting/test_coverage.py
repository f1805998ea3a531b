"""Every public name of Keras 1.2.2, 2.2.4 and tf.keras 2.4.0 can be imported: it is there, or says on use why it cannot be had."""

from __future__ import annotations

import importlib

import pytest

from tests.porting.coverage import PAGE, RELEASES, names_of, page
from torchkeras import absent, layers, mixed_precision
from torchkeras.porting import install_as_keras, uninstall_as_keras


@pytest.mark.parametrize("version", RELEASES)
def test_no_name_is_missing(version: str):
    missing = [f"{path}.{name}" for path, found in names_of(version).items() for name in found.missing]
    assert not missing


def test_the_page_tells_what_is():
    assert PAGE.read_text() == page(), "write it anew: python -m tests.porting.coverage"


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, names in absent.NAMES.items() for name in names])
def test_a_room_shows_what_it_lacks(module: str, name: str):
    install_as_keras()
    try:
        shown = getattr(importlib.import_module(f"tensorflow.keras.{module}"), name)
    finally:
        uninstall_as_keras()
    assert shown.reason == absent.NAMES[module][name]
    with pytest.raises(NotImplementedError, match=f"{name} is not in torchkeras: .*"):
        shown()


def test_no_class_derives_from_what_is_not_there():
    with pytest.raises(NotImplementedError, match="DenseFeatures is not in torchkeras: feature columns are TensorFlow's"):

        class Mine(layers.DenseFeatures):
            pass

    with pytest.raises(NotImplementedError, match="LossScaleOptimizer is not in torchkeras"):
        _ = mixed_precision.LossScaleOptimizer.from_config


@pytest.mark.parametrize("module", sorted(absent.MODULES))
def test_a_module_that_is_not_there_says_why(module: str):
    install_as_keras()
    try:
        with pytest.raises(ModuleNotFoundError, match=f"tensorflow.keras.{module}' is not in torchkeras: .*"):
            importlib.import_module(f"tensorflow.keras.{module}")
    finally:
        uninstall_as_keras()


def test_what_no_keras_has_is_no_attribute():
    with pytest.raises(AttributeError, match=r"module 'torchkeras\.layers' has no attribute 'DenseFeature'"):
        absent.lookup("torchkeras.layers", "DenseFeature")
