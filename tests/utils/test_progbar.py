"""The progress bar, against the bytes that Keras wrote."""

import re

import pytest
import torch

from tests.golden_cases import golden
from torchkeras import generations
from torchkeras.utils import progress
from torchkeras.utils.generic_utils import Progbar

PART = re.compile(r"\s*(\d+)/(\d+) \[[=>.]+\] - (?:ETA: (?P<eta>\d+)s|(?P<all>\d+)s (?P<each>\d+)(?P<unit>s|ms|us)/step)(?P<values>.*)")
LINE = re.compile(r"(?:(\d+)/(\d+))? - (?P<all>\d+)s(?P<values>.*)")
UNIT = {"s": 1.0, "ms": 1e-3, "us": 1e-6}


class Clock:
    """A clock that stands where it is put."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress, "clock", clock)
    return clock


def values_in(text):
    return [(name, float(number)) for name, number in re.findall(r" - (\w+): ([-\d.e+]+)", text)]


def replay(text, clock):
    """Draw with a Progbar what a recorded text says was drawn, at the times that it says."""
    bar = None
    for line in re.split(r"[\n\r]|\x08+", text):
        found = PART.fullmatch(line)
        if found:
            current, target = int(found[1]), int(found[2])
            if bar is None:
                start = clock.now
                bar = Progbar(target, stateful_metrics=[name for name, _ in values_in(text)])
            if found["eta"] is not None:
                elapsed = (int(found["eta"]) + 0.5) * current / max(target - current, 1)
            else:
                elapsed = int(found["each"]) * UNIT[found["unit"]] * current * 1.0001
            clock.now = start + elapsed
            bar.interval = 0
            bar.update(current, values_in(found["values"]), finalize=found["eta"] is None)
            bar = None if found["eta"] is None else bar
        elif line and not LINE.fullmatch(line):
            print(line)


@pytest.mark.parametrize("case", golden("fit_stdout"), ids=str)
def test_the_bar_writes_the_bytes_of_keras(case, keras_version, clock, capsys):
    for field in ("text_file", "evaluate_text_file"):
        text = case.text(field)
        if PART.search(text) is None:
            continue
        replay(text, clock)
        assert capsys.readouterr().out == text


@pytest.mark.parametrize("case", [case for case in golden("fit_stdout") if "verbose2" in case["id"]], ids=str)
def test_the_line_of_verbose_2_is_that_of_keras(case, keras_version, clock, capsys):
    text = case.text("text_file")
    for line in text.splitlines():
        found = LINE.fullmatch(line)
        if found is None:
            print(line)
            continue
        bar = Progbar(3, verbose=2, stateful_metrics=["loss", "acc", "accuracy", "val_loss", "val_acc", "val_accuracy"])
        bar.update(1, [("loss", 7.0)])
        clock.now += int(found["all"])
        bar.update(3, values_in(found["values"]))
    assert capsys.readouterr().out == text


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("1.2.2", "\r 5/10 [==============>...............] - ETA: 200s - loss: 2.0000"),
        ("2.2.4", "\n 5/10 [==============>...............] - ETA: 3:20 - loss: 2.0000"),
        ("2.4.0", "\r 5/10 [==============>...............] - ETA: 3:20 - loss: 2.0000"),
    ],
)
def test_each_release_writes_its_remaining_time(version, expected, clock, capsys):
    generations.set_keras_version(version)
    bar = Progbar(10)
    clock.now += 200
    bar.update(5, [("loss", 2.0)])
    assert capsys.readouterr().out == expected


@pytest.mark.parametrize(
    ("version", "expected"),
    [("1.2.2", " - 3s - loss: 1.0000\n"), ("2.2.4", " - 4s 1s/step - loss: 1.0000\n"), ("2.4.0", " - 4s 1s/step - loss: 1.0000\n")],
)
def test_each_release_ends_its_line(version, expected, clock, capsys):
    generations.set_keras_version(version)
    bar = Progbar(3)
    clock.now += 3.9
    bar.update(3, [("loss", 1.0)])
    assert capsys.readouterr().out.endswith("[==============================]" + expected)


def test_hours_are_shown_as_hours(clock, capsys):
    bar = Progbar(2)
    clock.now += 3 * 3600 + 5 * 60 + 7
    bar.update(1)
    assert capsys.readouterr().out.endswith(" - ETA: 3:05:07")


def test_values_are_averaged_over_steps_unless_stateful(capsys):
    bar = Progbar(4, stateful_metrics=["rate"], interval=0)
    bar.update(1, [("loss", 1.0), ("rate", 5.0)])
    bar.update(4, [("loss", 5.0), ("rate", 7.0)])
    assert " - loss: 4.0000 - rate: 7.0000\n" in capsys.readouterr().out


def test_small_and_negative_values_have_the_form_of_keras(capsys):
    Progbar(1).update(1, [("a", 0.0), ("b", 1e-3), ("c", -2.0)])
    Progbar(1, verbose=2).update(1, [("c", -2.0)])
    out = capsys.readouterr().out
    assert " - a: 0.0000e+00 - b: 1.0000e-03 - c: -2.0000\n" in out
    assert out.endswith(" - c: -2.0000e+00\n")


def test_the_bar_is_not_redrawn_within_the_interval(clock, capsys):
    bar = Progbar(100, interval=1.0)
    for step in range(1, 100):
        bar.update(step)
        clock.now += 0.125
    assert capsys.readouterr().out.count("/100 [") == 13
    bar.update(99, force=True)
    bar.update(100)
    assert capsys.readouterr().out.count("/100 [") == 2


def test_lazy_values_are_asked_for_only_when_drawn(clock, capsys):
    asked = []

    def values():
        asked.append(clock.now)
        return [("loss", float(len(asked)))]

    bar = Progbar(100, interval=1.0)
    for step in range(1, 31):
        bar.update(step, values)
        clock.now += 0.125
    assert len(asked) == 4
    bar.update(100, values)
    assert capsys.readouterr().out.endswith(" - loss: 5.0000\n")
    silent = Progbar(3, verbose=0)
    silent.update(3, values)
    line = Progbar(3, verbose=2)
    line.update(2, values)
    assert len(asked) == 5


def test_tensors_are_read_only_when_drawn(clock, monkeypatch, capsys):
    read = []
    number = progress._number
    monkeypatch.setattr(progress, "_number", lambda value: read.append(value) or number(value))
    bar = Progbar(10, interval=100.0)
    for step in range(1, 11):
        bar.update(step, [("loss", torch.tensor(float(step), requires_grad=True))])
    assert len(read) == 2  # the first draw and the last
    assert capsys.readouterr().out.endswith(" - loss: 5.5000\n")


def test_an_unknown_target_counts_up(clock, capsys):
    bar = Progbar(None)
    clock.now += 2
    bar.update(2)
    assert capsys.readouterr().out == "\r      2/Unknown - 2s 1s/step"
    bar.target = 2
    bar.update(2, [("loss", 1.0)], finalize=True)
    assert capsys.readouterr().out.endswith("2/2 [==============================] - 2s 1s/step - loss: 1.0000\n")


def test_a_shorter_bar_covers_the_longer_one_before_it(clock, capsys):
    bar = Progbar(2, stateful_metrics=["loss"], interval=0)
    bar.update(1, [("loss", 123456.0)])
    first = capsys.readouterr().out
    bar.update(1, [("loss", 1.0)])
    second = capsys.readouterr().out
    assert second.startswith("\b" * (len(first) - 1) + "\r") and second.endswith("1.0000     ")


def test_no_steps_at_all_is_a_full_bar(capsys):
    Progbar(0).update(0)
    assert "0/0 [==" in capsys.readouterr().out


def test_add_counts_on(capsys):
    bar = Progbar(4, interval=0)
    bar.add(2)
    bar.add(2)
    assert "4/4 [===" in capsys.readouterr().out


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="verbose=0, 1 or 2, but got 3"):
        Progbar(3, verbose=3)
    with pytest.raises(ValueError, match="at least 0 steps, or None, but got -1"):
        Progbar(-1)
