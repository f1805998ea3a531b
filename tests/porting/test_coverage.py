"""Every public name of Keras 1.2.2 and 2.2.4 can be imported: it is there, or says on use why it cannot be had."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from torchkeras import set_keras_version
from torchkeras.porting import install_as_keras, refused, uninstall_as_keras

NAMES = Path(__file__).parent.parent / "api"


@pytest.fixture(params=["1.2.2", "2.2.4"])
def names(request) -> Iterator[dict[str, list[str]]]:
    set_keras_version(request.param)
    install_as_keras()
    yield json.loads((NAMES / f"names-{request.param}.json").read_text())
    uninstall_as_keras()


def test_no_name_is_missing(names):
    missing = []
    for path, wanted in names.items():
        if path.startswith("applications"):  # architectures come with their weight files
            continue
        module = importlib.import_module("keras" if path == "keras" else f"keras.{path}")
        missing += [f"{path}.{name}" for name in wanted if not hasattr(module, name)]
    assert not missing


@pytest.mark.parametrize("name", sorted(refused.REASONS))
def test_what_cannot_be_had_says_why(name: str):
    with pytest.raises(NotImplementedError, match=f"{name} is not in torchkeras: .*"):
        getattr(refused, name)()
