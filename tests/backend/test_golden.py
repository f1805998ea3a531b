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
from tests.pretend import pretending
from torchkeras import backend as K
from torchkeras import generations
from torchkeras.layers.symbolic import KerasTensor

VERSIONS = ("1.2.2", "2.2.4", "2.4.0")
# whose results have a shape, or come by a way, that depends on the data
WAIT = ("ctc_label_dense_to_sparse", "ctc_decode-beam")

pytestmark = pytest.mark.filterwarnings("ignore:K.*Keras 1 called:DeprecationWarning")


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


def pairs(cases: list[Case] = CASES, versions: tuple[str, ...] = VERSIONS) -> list[Any]:
    found = [(version, case) for case in cases for version in versions if case.name in facts()[version]["cases"]]
    return [pytest.param(version, case, id=f"{version}-{case.name}") for version, case in found]


def as_list(result: Any) -> list[Any]:
    return list(result) if isinstance(result, (list, tuple)) else [result]


def run(case: Case) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    inputs = [torch.from_numpy(array.copy()) for array in case.arrays]
    for place in case.grads:
        inputs[place].requires_grad_()
    return as_list(case.call(K, *inputs)), inputs


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
            # float32 rounding, scaled by the largest value
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
    with pytest.raises(ValueError, match="batch_dot, as Keras 2 computes it, cannot multiply the shapes"):
        run(case)


# the convolutions have hundreds of cases that differ in numbers only
FEW = [case for number, case in enumerate(CASES) if not case.name.startswith(("conv", "depthwise", "separable", "pool")) or number % 11 == 0]


@pytest.mark.parametrize(("version", "case"), pairs([case for case in FEW if not case.name.startswith(WAIT)], ("1.2.2", "2.4.0")))
def test_nothing_waits_for_the_device_and_all_stays_on_it(version: str, case: Case):
    generations.set_keras_version(version)
    entries = facts()[version]["cases"][case.name]["outputs"]
    with pretending() as device:
        inputs = [torch.empty(array.shape, dtype=torch.from_numpy(array.copy()).dtype, device=device) for array in case.arrays]
        for place in case.grads:
            inputs[place].requires_grad_()
        K.set_default_device(device)
        try:
            outputs = as_list(case.call(K, *inputs))
        finally:
            K.set_default_device(None)
        floats = [output.sum() for output in outputs if output.requires_grad]
        if floats:
            sum(floats).backward()
    assert [(list(output.shape), output.device) for output in outputs] == [(shape, device) for _, shape, _ in entries]


# cases whose arrays are all batches; in others only the first is, and a kernel may have as many rows
ALIKE = (
    *("batch_dot", "keras1-batch_dot", "maximum", "minimum", "less", "keras1-lesser", "categorical", "sparse", "binary", "keras1-categorical"),
    *("keras1-sparse", "keras1-binary", "in_top_k", "switch", "in_t", "map_fn", "rnn", "ctc", "keras1-ctc", "stack", "concatenate", "fold"),
)
# whose first axis is not a batch of unknown size
FIXED = ("rnn-time_major", "switch-rows", "arange")


def symbols(case: Case) -> list[KerasTensor]:
    """Placeholders for the arrays of a case, with a batch of unknown size where there is one."""
    rows, made = case.arrays[0].shape[:1], []
    for number, array in enumerate(case.arrays):
        is_batch = array.ndim and (number == 0 or (case.name.startswith(ALIKE) and array.shape[:1] == rows))
        shape = (None, *array.shape[1:]) if is_batch and not case.name.startswith(FIXED) else array.shape
        made.append(K.placeholder(shape, dtype=array.dtype))
    return made


@pytest.mark.parametrize(("version", "case"), pairs([case for case in FEW if case.arrays], ("1.2.2", "2.4.0")))
def test_symbolic_calls_are_recorded_and_run_again(version: str, case: Case):
    generations.set_keras_version(version)
    inputs = symbols(case)
    outputs = as_list(case.call(K, *inputs))
    found = K.function(inputs, outputs)(case.arrays)
    for array, symbol, entry in zip(found, outputs, facts()[version]["cases"][case.name]["outputs"], strict=True):
        torch.testing.assert_close(torch.as_tensor(array), recorded(version, entry), rtol=1e-5, atol=2e-6, equal_nan=True)
        if isinstance(symbol, KerasTensor):
            assert len(symbol.shape) == len(entry[1])
            assert all(known in (None, size) for known, size in zip(symbol.shape, entry[1], strict=True))
