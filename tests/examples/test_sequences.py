"""The examples on sequences learn what they say, from data that is there."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_tagging_beats_the_table_of_words():
    tagging = example("tagging")
    tagging.MODULES = tagging.MODULES[1:4]
    common, learned = tagging.main(epochs=8, verbose=0)
    assert 0.8 < common < 0.93 and learned > common + 0.02


def test_roles_are_those_of_the_grammar():
    tagging = example("tagging")
    lines = {" ".join(words): roles for words, roles in tagging.read_lines()}
    assert lines["def heappush ( heap , item ) :"] == ["keyword", "call", "operator", "name", "operator", "name", "operator", "operator"]


def test_next_value_beats_the_linear_model():
    linear, learned = example("next_value").main(epochs=5, verbose=0)
    assert learned < 0.6 * linear
    assert learned > 0.07  # the noise cannot be learned


def test_the_autoregressive_model_is_least_squares():
    next_value = example("next_value")
    line = np.arange(60.0)[:, None]
    assert next_value.autoregression(line[:40], line[40:]) == pytest.approx(0, abs=1e-12)


def test_entailment_is_found_in_other_pairs():
    _, accuracy = example("entailment").main(epochs=8, verbose=0)
    assert accuracy > 0.7  # a third by chance


def test_pairs_are_what_their_answers_say():
    for premise, hypothesis, answer in zip(*example("entailment").make_pairs(300, seed=3), strict=True):
        thing = hypothesis.split()[1]
        assert answer == (0 if hypothesis in premise.split(" and ") else 1 if f"the {thing} is" in premise else 2)


def test_numbers_are_written_that_were_never_shown():
    seq2seq = example("seq2seq")
    assert " ".join(seq2seq.spell(942)) == "nine hundred forty two" and seq2seq.spell(70) == ["seventy"]
    _, right = seq2seq.main(epochs=12, verbose=0)
    assert right > 0.7
