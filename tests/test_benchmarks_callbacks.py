"""The benchmark of callbacks runs, and times the hooks that it says it times."""

from __future__ import annotations

from benchmarks import callbacks


def test_it_prints_a_line_for_each_callback_and_each_form_of_logs(capsys, monkeypatch):
    monkeypatch.setattr(callbacks, "EVENTS", 10)
    assert callbacks.main(["--samples", "256", "--rounds", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0].split("  ")[0] for line in lines] == [
        "callback with no hooks of a batch",
        "callback with empty hooks",
        *["TensorBoard each epoch"] * 3,
    ]


def test_hooks_of_epochs_are_counted_apart_from_those_of_the_training(tmp_path):
    board = callbacks.Timed(str(tmp_path), write_graph=False)
    model = callbacks.model()
    x, y = callbacks.data(256)
    model.fit(x, y, verbose=0, callbacks=[board])
    assert board.seconds["epochs"] > 0 and board.seconds["once"] > 0
    assert list(tmp_path.glob("train/events*"))
