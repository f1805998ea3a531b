"""Uninstalling leaves torchkeras as it was."""

import importlib

from torchkeras import layers
from torchkeras.porting import install_as_keras, uninstall_as_keras


def test_uninstalling_takes_added_names_off():
    before = dict(vars(layers))
    install_as_keras("1.2.2")
    try:
        for name in ("keras.layers", "keras.layers.merge", "keras.layers.recurrent", "keras.layers.core"):
            importlib.import_module(name)
        assert hasattr(layers, "Recurrent")
    finally:
        uninstall_as_keras()
    assert not hasattr(layers, "Recurrent")
    assert layers.merge is before["merge"]
