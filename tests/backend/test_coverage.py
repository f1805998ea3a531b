"""Every public name of the backend of three Keras releases: there, with its arguments, or refused for a reason."""

from __future__ import annotations

import functools
import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest

from torchkeras import backend as K
from torchkeras.backend import keras1

API = Path(__file__).parent.parent / "api" / "backend.json"
VERSIONS = ("1.2.2", "2.2.4", "2.4.0")
# names that exist and always raise, and why
REFUSED = {
    "get_session": "torch has no sessions",
}
# arguments that are not taken by the name the release gives them
OTHERWISE = {
    ("set_epsilon", "e"): "`value`, as in tf.keras",
    ("set_floatx", "floatx"): "`value`, as in tf.keras",
    ("batch_get_value", "xs"): "`ops`, as in Keras 2.2.4",
    ("batch_get_value", "tensors"): "`ops`, as in Keras 2.2.4",
}


@functools.cache
def api() -> dict[str, dict[str, str]]:
    return json.loads(API.read_text())


def entries() -> list[Any]:
    return [pytest.param(version, name, id=f"{version}-{name}") for version in VERSIONS for name in api()[version]]


def argument_names(signature: str) -> list[str]:
    """Names in a recorded signature, without those of `*args` and `**kwargs`."""
    inner = re.sub(r"\([^()]*\)", "", re.sub(r"\([^()]*\)", "", signature[1:-1]))  # tuples as defaults
    return [part.split("=")[0].strip() for part in inner.split(",") if part.strip() and not part.strip().startswith("*")]


@pytest.mark.parametrize(("version", "name"), entries())
def test_every_name_is_there_with_its_arguments(version: str, name: str):
    assert name in K.__all__
    thing = getattr(K, name)
    assert callable(thing)
    assert inspect.getdoc(thing)
    taken = set(inspect.signature(thing).parameters)
    words = keras1.TABLE[name].words if name in keras1.TABLE else {}
    missing = [one for one in argument_names(api()[version][name]) if one not in taken | set(words) and (name, one) not in OTHERWISE]
    assert not missing


def test_the_lists_of_exceptions_hold_no_more_than_they_need():
    assert set(REFUSED) <= {name for version in VERSIONS for name in api()[version]}
    for name, argument in OTHERWISE:
        assert any(argument in argument_names(api()[version].get(name, "()")) for version in VERSIONS)
        assert argument not in inspect.signature(getattr(K, name)).parameters or name in REFUSED


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_is_refused_says_so(name: str):
    with pytest.raises(RuntimeError, match=REFUSED[name].removeprefix("torch has no ")):
        getattr(K, name)(*[None] * len(argument_names(api()["2.2.4"][name])))


def test_what_keras_2_takes_by_position_is_taken_in_its_order():
    wrong = []
    for version in ("2.2.4", "2.4.0"):
        for name, signature in api()[version].items():
            wanted = [one for one in argument_names(signature) if (name, one) not in OTHERWISE]
            if name not in REFUSED and list(inspect.signature(getattr(K, name)).parameters)[: len(wanted)] != wanted:
                wrong.append((version, name, wanted))
    assert wrong == []


def test_nothing_is_exported_twice_or_missing():
    assert len(K.__all__) == len(set(K.__all__))
    assert all(hasattr(K, name) for name in K.__all__)


def test_defaults_are_those_of_keras_2():
    different = []
    for version in ("2.2.4", "2.4.0"):
        for name, signature in api()[version].items():
            namespace: dict[str, Any] = {}
            exec(f"def f{signature}: pass", namespace)  # recorded by Keras' own `inspect`
            wanted, ours = inspect.signature(namespace["f"]).parameters, inspect.signature(getattr(K, name)).parameters
            for one, parameter in wanted.items():
                if one in ours and parameter.default is not parameter.empty and ours[one].default != parameter.default:
                    different.append((version, name, one, parameter.default, ours[one].default))
    assert different == []
