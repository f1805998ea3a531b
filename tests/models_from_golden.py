"""Models of recorded cases: made from the release's own JSON, with the recorded weights and compile arguments."""

from __future__ import annotations

from typing import Any

from tests.golden_cases import Case
from torchkeras import optimizers
from torchkeras.layers import deserialize
from torchkeras.layers.naming import reset_uids


def make_model(case: Case) -> Any:
    """The case's model with its initial weights, uncompiled."""
    reset_uids()
    model = deserialize(case["model_json"])
    if case.get("weights"):
        model.set_weights(case.arrays("weights"))
    return model


def compile_as(model: Any, case: Case) -> None:
    """Compile with the recorded arguments."""
    arguments = dict(case["compile"])
    if isinstance(arguments["optimizer"], dict):
        arguments["optimizer"] = optimizers.deserialize(arguments["optimizer"])
    model.compile(**arguments)


def one_or_all(arrays: list[Any]) -> Any:
    return arrays[0] if len(arrays) == 1 else arrays
