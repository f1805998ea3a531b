"""The example of a run that is killed goes on to the same end."""

from __future__ import annotations

import os

import pytest

from tests.examples.test_sequences import EXAMPLES, example


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills by signals")
def test_it_ends_the_same_in_every_bit(capfd, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(EXAMPLES.parent), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert example("resume").main()
    out = capfd.readouterr().out
    assert "killed after 37 batches (exit code -9); backups: state-000006.pt, state-000007.pt" in out
    assert "the same in every bit" in out
