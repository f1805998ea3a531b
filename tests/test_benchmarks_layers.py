"""The contestants of the benchmark of layers do the same work; no time is measured here."""

from __future__ import annotations

import pytest
import torch

from benchmarks import layers

PAIRS = {pair.name: pair for pair in layers.pairs()}


def test_names_are_unique():
    assert len(PAIRS) == len(layers.pairs())


@pytest.mark.parametrize("name", PAIRS)
def test_contestants_take_and_give_as_many_numbers(name):
    contest = PAIRS[name].contestants("tiny")
    assert {"ours", "theirs"} <= set(contest)
    taken = {name: [one.numel() for one in _tensors(arguments)] for name, (_, arguments) in contest.items()}
    given = {name: layer(*arguments).numel() for name, (layer, arguments) in contest.items()}
    assert taken["ours"] == taken["theirs"]
    assert given["ours"] == given["theirs"]


@pytest.mark.parametrize("name", ["Dense", "Conv2D 3 same", "Add", "Embedding", "MultiHeadAttention", "LocallyConnected2D 3"])
@pytest.mark.parametrize("backward", [False, True])
def test_calls_run(name, backward):
    for call in layers.calls(PAIRS[name], "tiny", backward=backward).values():
        found = call()
        assert all(torch.isfinite(one).all() for one in (found if backward else [found]))


def test_rows_compare_lower_quartiles():
    row = layers.Row("name", {"ours": [1.2e-4, 1.2e-4, 9.0, 9.0, 9.0], "theirs": [1e-4, 1e-4, 1e-4, 1e-4, 1e-4]})
    assert row.ratio() == pytest.approx(1.2)
    assert row.excess == pytest.approx(2e-5)
    assert not row.met
    assert row.cells() == ["name (missed)", "100", f"1.20 ({9 / 1e-4:.2f})", "+20.0", "", "", ""]
    assert layers.Row("small", {"ours": [1.4e-5] * 2, "theirs": [1e-5] * 2}).met


def test_rows_tell_the_price_of_the_layout():
    times = {"ours": [5.2e-5] * 2, "theirs": [4e-5] * 2, "by hand": [5e-5] * 2}
    row = layers.Row("name", times)
    assert row.pays_for_layout and not row.met
    assert row.cells() == ["name (layout)", "40", "1.30 (1.30)", "+12.0", "", "1.25", "+2.0"]
    assert not layers.Row("more", {**times, "ours": [5.4e-5] * 2}).pays_for_layout
    assert not layers.Row("met", {**times, "ours": [4.4e-5] * 2}).pays_for_layout
    assert not layers.Row("alone", {"ours": [5.2e-5] * 2, "theirs": [4e-5] * 2}).pays_for_layout


@pytest.mark.parametrize("name", [pair.name for pair in layers.over_space()])
def test_what_is_done_by_hand_is_the_layer_between_two_permutes(name):
    contest = PAIRS[name].contestants("tiny")
    if "by hand" not in contest:
        assert "axis 1" in name or "channels_first" in name
        return
    layer, (data,) = contest["by hand"]
    torch.manual_seed(0)
    found = layer(data)
    torch.manual_seed(0)
    swapped = data.movedim(-1, 1)
    wanted = layer.layer(swapped)
    torch.testing.assert_close(found, wanted.movedim(1, -1) if wanted.dim() > 2 else wanted)


def test_turns_are_taken_and_quick_calls_repeated():
    now, called = [0.0], []

    def work(name: str, seconds: float):
        def call() -> None:
            called.append(name)
            now[0] += seconds

        return call

    row = layers.measure("row", {"ours": work("o", 0.25), "theirs": work("t", 1.0)}, 2, 1.0, lambda: now[0])
    assert row.seconds == {"ours": [0.25, 0.25], "theirs": [1.0, 1.0]}
    assert "".join(called) == "o" * 10 + "t" * 10 + "oooot" + "toooo"


def _tensors(arguments):
    return arguments[0] if isinstance(arguments[0], list) else arguments
