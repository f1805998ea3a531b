"""K functions against the results and gradients that genuine Keras releases gave for the same calls."""

from __future__ import annotations

import functools
import json
from typing import Any

import numpy as np
import pytest
import torch

from tests.golden.backend_cases import CASES, SEED, Case
from tests.golden_cases import GOLDEN
from torchkeras import backend as K
from torchkeras import generations

VERSIONS = ("2.2.4", "2.4.0")


@functools.cache
def facts() -> dict[str, Any]:
    return json.loads((GOLDEN / "backend.json").read_text())


@functools.cache
def blobs() -> Any:
    return dict(np.load(GOLDEN / "backend.npz"))


def recorded(version: str, entry: tuple[str, list[int], int]) -> torch.Tensor:
    kind, shape, place = entry
    count = int(np.prod(shape))
    return torch.from_numpy(np.array(blobs()[f"{version}/{kind}"][place : place + count]).reshape(shape))


def pairs() -> list[Any]:
    found = [(version, case) for case in CASES for version in VERSIONS if case.name in facts()[version]["cases"]]
    return [pytest.param(version, case, id=f"{version}-{case.name}") for version, case in found]


def run(case: Case) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    inputs = [torch.from_numpy(array.copy()) for array in case.arrays]
    for place in case.grads:
        inputs[place].requires_grad_()
    result = case.call(K, *inputs)
    return list(result) if isinstance(result, (list, tuple)) else [result], inputs


@pytest.mark.parametrize(("version", "case"), pairs())
def test_results_and_gradients_are_those_of_keras(version: str, case: Case):
    generations.set_keras_version(version)
    wanted = facts()[version]["cases"][case.name]
    outputs, inputs = run(case)
    assert len(outputs) == len(wanted["outputs"])
    for output, entry in zip(outputs, wanted["outputs"], strict=True):
        torch.testing.assert_close(output.detach(), recorded(version, entry), rtol=1e-5, atol=2e-6, equal_nan=True)
    if wanted["grads"]:
        floats = [(number, output) for number, output in enumerate(outputs) if output.is_floating_point()]
        total = sum((output * torch.from_numpy(case.cotangent(number, output.shape))).sum() for number, output in floats)
        found = torch.autograd.grad(total, [inputs[int(place)] for place in wanted["grads"]])
        for grad, entry in zip(found, wanted["grads"].values(), strict=True):
            expected = recorded(version, entry)
            torch.testing.assert_close(grad, expected, rtol=1e-5, atol=2e-6 * max(1.0, float(expected.abs().max())))


def test_every_case_was_asked_of_its_releases():
    for version in VERSIONS:
        names = {case.name for case in CASES if version in case.versions}
        assert facts()[version]["seed"] == SEED
        assert names == set(facts()[version]["cases"]) | set(facts()[version]["refused"])


@pytest.mark.parametrize("name", sorted(facts()["2.2.4"]["refused"]))
def test_what_keras_2_refuses_is_refused(name: str):
    generations.set_keras_version("2.2.4")
    case = next(case for case in CASES if case.name == name)
    with pytest.raises(RuntimeError, match=r"size|shape"):
        run(case)
