"""The benchmark's arithmetic and its rivals' correctness; no time is measured here."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import torchkeras
from benchmarks import __main__ as command
from benchmarks import harness, networks, programs, report, torch_loops
from benchmarks.tasks import Task


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


def loops_of(name: str, samples: int):
    """Every way in which the benchmark trains a workload by hand."""
    for gather in (True, False) if Task(name, 1).lengths is None else (False,):
        for packed in (True, False) if name == "tagger" else (True,):
            yield torch_loops.Tuned(name, samples, "cpu", gather, {}, packed)
    yield torch_loops.Tutorial(name, samples)
    yield torch_loops.PlainIgnite(name, samples)


@pytest.mark.parametrize("name", programs.PROGRAMS)
def test_every_rival_does_the_same_work(name: str):
    samples = programs.PROGRAMS[name].batch + 3
    model = programs.compiled(name, torchkeras)
    data = programs.PROGRAMS[name].data(samples)
    expected = model.predict(data.x, verbose=0)
    shapes = [part.shape for part in expected] if isinstance(expected, list) else expected.shape
    values = len(model.evaluate(data.x, data.y, sample_weight=data.weights, verbose=0))
    for loop in loops_of(name, samples):
        trained, tested, answers = loop.train(), loop.evaluate(), loop.predict()
        assert len(trained) == len(tested) == values, type(loop)
        assert all(0 <= value < 6 for value in tested)
        assert ([part.shape for part in answers] if isinstance(answers, list) else answers.shape) == shapes


@pytest.mark.parametrize("name", ["mlp", "two", "two_weighted", "masked_holes"])
def test_the_loop_by_hand_computes_what_the_program_does(name: str):
    samples = programs.PROGRAMS[name].batch + 3
    loop = torch_loops.Tuned(name, samples, "cpu", False, {})
    model = programs.compiled(name, torchkeras)
    data = programs.PROGRAMS[name].data(samples)
    model.predict(data.x, verbose=0)
    give_weights(loop.model, model)
    answers, expected = loop.predict(), model.predict(data.x, verbose=0)
    pairs = zip(answers, expected, strict=True) if isinstance(answers, list) else [(answers, expected)]
    for mine, theirs in pairs:
        np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-5)
    found = model.evaluate(data.x, data.y, sample_weight=data.weights, batch_size=programs.PROGRAMS[name].batch, verbose=0)
    np.testing.assert_allclose(loop.evaluate(), found, rtol=1e-4, atol=1e-5)


def give_weights(net: torch.nn.Module, model: torch.nn.Module) -> None:
    """Put a network's weights into the Keras model of the same workload: both have them in the same order."""
    left = list(model.parameters())
    with torch.no_grad():
        for key, tensor in net.named_parameters():
            if "bias_hh" in key:  # torch's LSTM has two biases, of which only the sum counts
                tensor.zero_()
                continue
            place = next(number for number, one in enumerate(left) if one.shape == tensor.shape)
            left.pop(place).copy_(tensor)
    assert not left


def test_rows_moved_to_the_front_give_what_each_row_gives_alone():
    for name in ("masked_lstm", "masked_right", "masked_holes"):
        loop = torch_loops.Tuned(name, 5, "cpu", False, {})
        x = programs.PROGRAMS[name].data(5).x
        with torch.no_grad():
            alone = [loop.model(torch.from_numpy(row[row != 0])[None]).sigmoid().item() for row in x]
        np.testing.assert_allclose(loop.predict()[:, 0], alone, rtol=1e-5)


def test_both_forms_of_the_tagger_agree():
    packed, turned = networks.Tagger(packed=True), networks.Tagger(packed=False)
    state = packed.state_dict()
    there = {key.replace("_reverse", ""): value for key, value in state.items()}
    names = {f"back.{key}": state[f"there.{key}_reverse"] for key in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")}
    forward = {key: value for key, value in there.items() if key in turned.state_dict()}
    forward.update({key: value for key, value in state.items() if key in turned.state_dict()})
    turned.load_state_dict({**forward, **names})
    x, lengths = torch.randint(1, programs.VOCABULARY, (4, 6)), torch.tensor([6, 1, 3, 5])
    first, second = packed(x, lengths), turned(x, lengths)
    for row, length in enumerate(lengths):
        torch.testing.assert_close(first[row, :length], second[row, :length])


def test_the_tuned_cnn_sees_the_pictures_in_the_order_of_keras():
    loop = torch_loops.Tuned("cnn", 4, "cpu", True, {})
    x = programs.PROGRAMS["cnn"].data(4).x
    plain = torch.from_numpy(x).permute(0, 3, 1, 2).contiguous()
    with torch.no_grad():
        expected = plain
        for layer in loop.model[:5]:
            expected = layer(expected)
        expected = loop.model[6:](expected.permute(0, 2, 3, 1).reshape(4, -1)).softmax(1)
    np.testing.assert_allclose(loop.predict(), expected.numpy(), rtol=1e-4, atol=1e-6)


def test_the_resnet_by_hand_computes_the_numbers_of_the_keras_program():
    loop = torch_loops.Tuned("resnet", 4, "cpu", True, {})
    model = programs.compiled("resnet", torchkeras)
    in_order = sorted(model.layers, key=lambda layer: (len(layer.name), layer.name))
    for ours, theirs in (("Conv2D", torch.nn.Conv2d), ("BatchNormalization", torch.nn.BatchNorm2d), ("Dense", torch.nn.Linear)):
        mine = [layer for layer in in_order if type(layer).__name__ == ours]
        for one, other in zip(mine, (module for module in loop.model.modules() if type(module) is theirs), strict=True):
            with torch.no_grad():
                for parameter, copy in zip(one.parameters(), other.parameters(), strict=True):
                    copy.copy_(parameter.uniform_(-0.3, 0.3))
    np.testing.assert_allclose(loop.predict(), model.predict(programs.PROGRAMS["resnet"].data(4).x, verbose=0), rtol=1e-4, atol=1e-6)


def test_the_data_is_the_same_in_every_process_and_half_of_the_masked_steps_count():
    first, second = (programs.PROGRAMS["mlp"].data(10) for _ in range(2))
    np.testing.assert_array_equal(first.x, second.x)
    left, right, holes = (programs.sentences(1000, where=where) != 0 for where in ("left", "right", "holes"))
    for valid in (left, right, holes):
        assert 0.5 < valid.mean() < 0.6
    assert (left[:, 1:] >= left[:, :-1]).all()
    assert (right[:, 1:] <= right[:, :-1]).all()
    assert not ((holes[:, 1:] >= holes[:, :-1]).all() or (holes[:, 1:] <= holes[:, :-1]).all())


def test_the_command_runs_every_section_with_the_options_that_it_takes(monkeypatch):
    calls = []
    for name in ("training", "fresh", "growth"):
        monkeypatch.setattr(getattr(command, name), "main", lambda arguments, name=name: calls.append((name, arguments)) or 0)
    assert command.main(["--threads", "2", "--clock", "cpu", "--keras", "there", "--rounds", "3"]) == 0
    assert calls == [
        ("training", ["--threads", "2", "--clock", "cpu", "--keras", "there", "--rounds", "3"]),
        ("fresh", ["--threads", "2", "--keras", "there"]),
        ("growth", ["--threads", "2", "--clock", "cpu"]),
    ]
    calls.clear()
    command.main(["--workload", "mlp"])
    assert [name for name, _ in calls] == ["training"]
