"""The benchmark's arithmetic and its rivals' correctness; no time is measured here."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks import harness, programs, report, torch_loops


class Clock:
    """A clock that moves when told to."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[str] = []

    def __call__(self) -> float:
        return self.now

    def work(self, name: str, seconds: list[float]):
        """A contestant whose calls take the given times, the last one for ever."""
        left = list(seconds)

        def call() -> None:
            self.calls.append(name)
            self.now += left.pop(0) if len(left) > 1 else left[0]

        return call


def test_ratios_are_taken_within_a_round():
    clock = Clock()
    calls = {"base": clock.work("base", [9.0, 1.0, 2.0, 4.0]), "mine": clock.work("mine", [9.0, 3.0, 3.0, 6.0])}
    result = harness.compare(calls, baseline="base", rounds=3, clock=clock)
    assert result.seconds == {"base": [1.0, 2.0, 4.0], "mine": [3.0, 3.0, 6.0]}
    assert result.ratio("mine") == harness.Spread(1.5, 1.5, 3.0)
    assert result.excess("mine") == harness.Spread(2.0, 1.0, 2.0)
    assert result.time("base") == harness.Spread(2.0, 1.0, 4.0)
    assert result.ratio("base") == harness.Spread(1.0, 1.0, 1.0)
    assert str(result.ratio("mine")) == "1.50 (1.50-3.00)"


def test_contestants_take_turns_and_none_is_always_first():
    clock = Clock()
    harness.compare({name: clock.work(name, [1.0]) for name in "abc"}, baseline="a", rounds=3, clock=clock)
    assert "".join(clock.calls) == "abc" + "abc" + "bca" + "cab"


def test_a_quick_contestant_is_called_several_times():
    clock = Clock()
    result = harness.compare(
        {"quick": clock.work("quick", [0.25]), "slow": clock.work("slow", [2.0])}, baseline="slow", rounds=2, least_seconds=1.0, clock=clock
    )
    assert clock.calls.count("quick") == 1 + 2 * 4
    assert clock.calls.count("slow") == 1 + 2
    assert result.seconds["quick"] == [0.25, 0.25]


def test_a_contestant_may_measure_itself():
    result = harness.compare({"there": lambda: harness.Seconds(0.5), "here": lambda: harness.Seconds(1.0)}, baseline="here", rounds=2)
    assert result.ratio("there").median == 0.5


def test_an_unknown_baseline_or_no_round_is_refused():
    with pytest.raises(ValueError, match=r"baseline 'b' is none of the contestants \['a'\]"):
        harness.compare({"a": int}, baseline="b")
    with pytest.raises(ValueError, match="rounds=0, warmup=1"):
        harness.compare({"a": int}, baseline="a", rounds=0)


@pytest.mark.parametrize(("ours", "goal"), [(1.04e-3, "met"), (1.06e-3, "missed: +60 us"), (1.02e-3, "met")])
def test_the_goal_is_a_ratio_or_some_microseconds(ours: float, goal: str):
    result = harness.Comparison({"tuned": [0.1], "torchkeras": [100 * ours]}, "tuned")
    assert report.Row("title", "name", "train", 100, result).goal() == goal
    small = harness.Comparison({"tuned": [100e-6 * 100], "torchkeras": [124e-6 * 100]}, "tuned")
    assert report.Row("title", "name", "train", 100, small).goal() == "met"


def test_the_report_has_a_row_for_each_workload_and_writes_its_files(tmp_path):
    pytest.importorskip("matplotlib")
    rows = [
        report.Row("first", "first", "train", 10, harness.Comparison({"tuned": [0.1, 0.1], "torchkeras": [0.2, 0.4]}, "tuned")),
        report.Row("second", "second", "train", 10, harness.Comparison({"tuned": [0.1, 0.1], "ignite": [0.3, 0.3]}, "tuned")),
    ]
    text = report.text(rows, "footer")
    assert "| workload (batch) | tuned, us | torchkeras | ignite | goal |" in text
    assert "| first | 10,000 | 3.00 (2.00-4.00) | - | missed: +20,000 us |" in text
    assert "| second | 10,000 | - | 3.00 (3.00-3.00) |  |" in text
    assert [path.suffix for path in report.write(rows, text, tmp_path / "new", "name")] == [".md", ".json", ".png"]


@pytest.mark.parametrize("name", programs.PROGRAMS)
def test_every_rival_does_the_same_work(name: str):
    samples = programs.PROGRAMS[name].batch + 3
    outputs = 1 if name == "masked_lstm" else programs.CLASSES[name]
    for gather in (True, False):
        for loop in (
            torch_loops.Tuned(name, samples, "cpu", gather, {}),
            torch_loops.Tutorial(name, samples),
            torch_loops.PlainIgnite(name, samples),
        ):
            loss, accuracy = loop.train()
            assert 0.1 < loss < 5, type(loop)
            assert 0 <= accuracy <= 1
            assert loop.predict().shape == (samples, outputs)


def test_rows_moved_to_the_front_give_what_each_row_gives_alone():
    loop = torch_loops.Tuned("masked_lstm", 5, "cpu", False, {})
    x, _ = programs.data("masked_lstm", 5)
    with torch.no_grad():
        alone = [loop.model(torch.from_numpy(row[row != 0])[None]).sigmoid().item() for row in x]
    np.testing.assert_allclose(loop.predict()[:, 0], alone, rtol=1e-5)


def test_the_tuned_cnn_sees_the_pictures_in_the_order_of_keras():
    loop = torch_loops.Tuned("cnn", 4, "cpu", True, {})
    x, _ = programs.data("cnn", 4)
    plain = torch.from_numpy(x).permute(0, 3, 1, 2).contiguous()
    with torch.no_grad():
        expected = plain
        for layer in loop.model[:5]:
            expected = layer(expected)
        expected = loop.model[6:](expected.permute(0, 2, 3, 1).reshape(4, -1)).softmax(1)
    np.testing.assert_allclose(loop.predict(), expected.numpy(), rtol=1e-4, atol=1e-6)


def test_the_data_is_the_same_in_every_process_and_half_of_the_masked_steps_count():
    first, second = programs.data("mlp", 10), programs.data("mlp", 10)
    np.testing.assert_array_equal(first[0], second[0])
    x, _ = programs.data("masked_lstm", 1000)
    assert 0.5 < (x != 0).mean() < 0.6
    assert ((x[:, 1:] != 0) >= (x[:, :-1] != 0)).all()  # padded on the left
