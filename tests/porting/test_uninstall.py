"""Uninstalling leaves torchkeras as it was."""

import importlib

from torchkeras import layers
from torchkeras.porting import install_as_keras, uninstall_as_keras


def test_uninstalling_leaves_the_rooms_names():
    before = dict(vars(layers))
    install_as_keras("1.2.2")
    try:
        for name in ("keras.layers", "keras.layers.merge", "keras.layers.recurrent", "keras.layers.core"):
            importlib.import_module(name)
    finally:
        uninstall_as_keras()
    assert {name: value for name, value in vars(layers).items() if name in before} == before
