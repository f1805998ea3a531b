"""What fit and evaluate print is what genuine Keras prints, apart from times and from how often the bar is redrawn."""

from __future__ import annotations

import re

import pytest

from tests.golden_cases import golden
from tests.models_from_golden import compile_as, make_model
from torchkeras import models
from torchkeras.utils import progress

assert models.Sequential  # the cases are of this class

BAR = " ["
TIMES = re.compile(r"ETA: [\d:]+s?|\b\d+s\b( \d+(s|ms|us)/(step|sample))?")


def last_states(text: str) -> list[str]:
    """The lines without times; of a bar its last state alone, for how often it moves is a matter of time."""
    kept: list[str] = []
    for line in re.split(r"[\r\n]+", text.replace("\x08", "")):
        if kept and BAR in line and BAR in kept[-1]:
            kept.pop()
        kept.append(TIMES.sub("<time>", line).rstrip())
    return kept


@pytest.fixture(params=["terminal", "file"])
def slow_clock(request, monkeypatch):
    """A bar that is redrawn at every batch, and one that is not."""
    monkeypatch.setattr(progress.Progbar.__init__, "__defaults__", (30, 1, 0.0 if request.param == "terminal" else 0.05, None, "step"))


@pytest.mark.parametrize("case", golden("fit_stdout"), ids=str)
def test_fit_and_evaluate_print_what_the_release_prints(case, keras_version, capsys, slow_clock):
    model = make_model(case)
    compile_as(model, case)
    (x,), (y,) = case.arrays("inputs"), case.arrays("targets")
    validation = {"validation_data": (x[:6], y[:6])} if case["validation_data"] else {}
    model.fit(x, y, **case["fit"], **validation)
    assert last_states(capsys.readouterr().out) == last_states(case.text("text_file"))
    model.evaluate(x, y, batch_size=8, verbose=1)
    assert last_states(capsys.readouterr().out) == last_states(case.text("evaluate_text_file"))


@pytest.mark.parametrize("case", golden("fit_stdout", versions=("2.4.0",))[:1], ids=str)
def test_the_bar_moves_in_between(case, keras_version, capsys, monkeypatch):
    monkeypatch.setattr(progress.Progbar.__init__, "__defaults__", (30, 1, 0.0, None, "step"))
    model = make_model(case)
    compile_as(model, case)
    (x,), (y,) = case.arrays("inputs"), case.arrays("targets")
    model.fit(x, y, **case["fit"])
    first = case.text("text_file").replace("\x08", "").split("\n")[2]
    assert TIMES.sub("", first) in TIMES.sub("", capsys.readouterr().out.replace("\x08", ""))
