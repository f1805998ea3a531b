"""The contestants of the benchmark of masked training learn the same task; no time is measured here."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks import sequences_fit


@pytest.mark.parametrize("name", sequences_fit.WORKLOADS)
def test_contestants_run(name):
    work = sequences_fit.WORKLOADS[name]._replace(units=3, size=2, batch=4, steps=9, batches=3)
    data = sequences_fit.make_data(work)
    lengths = [len(row) for row in data.rows]
    assert max(lengths) == 9 and min(lengths) >= 1 and len(lengths) == 12
    calls = sequences_fit.contestants(work, data)
    assert len(calls) == (4 if work.long_tail else 2)
    for call in calls.values():
        assert call() == pytest.approx(np.log(2), abs=0.2)  # nothing learned yet


def test_the_table_has_a_row_for_each_workload(tmp_path, capsys, monkeypatch):
    small = {name: work._replace(units=3, size=2, batch=4, steps=9, batches=2) for name, work in sequences_fit.WORKLOADS.items()}
    monkeypatch.setattr(sequences_fit, "WORKLOADS", small)
    monkeypatch.setattr(
        sequences_fit.harness, "compare", lambda calls, baseline, **_: sequences_fit.harness.Comparison({n: [1.0] for n in calls}, baseline)
    )
    assert sequences_fit.main(["--rounds", "1", "--output", str(tmp_path)]) == 0
    table = (tmp_path / "sequences-fit-1.md").read_text()
    assert table in capsys.readouterr().out
    assert all(work.title in table for work in small.values())


@pytest.mark.parametrize("name", sequences_fit.WORKLOADS)
def test_the_two_networks_by_hand_compute_the_same(name):
    work = sequences_fit.WORKLOADS[name]._replace(units=3, size=2, batch=5, steps=9)
    lengths = np.array([3, 9, 1, 5, 9])
    inside = torch.arange(9) < torch.from_numpy(lengths).unsqueeze(1)
    ids = torch.randint(1, 99, (5, 9)) * inside
    backwards = torch.stack([torch.cat((row[:length].flip(0), row[length:])) for row, length in zip(ids, lengths, strict=True)])
    dense, packed = (sequences_fit.Network(work, form) for form in sequences_fit.FORMS)
    renamed = {
        f"back.{key.removeprefix('stack.').removesuffix('_reverse')}" if key.endswith("_reverse") else key: value
        for key, value in packed.state_dict().items()
    }
    dense.load_state_dict(renamed)
    batch = sequences_fit.Batch(ids, backwards, lengths)
    torch.testing.assert_close(dense(batch), packed(batch))
