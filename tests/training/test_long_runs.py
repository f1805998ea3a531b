"""Many short trainings leave nothing behind, nor does one of many epochs. TORCHKERAS_FITS=10000 makes the first one long."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest

from benchmarks import long_runs
from torchkeras.callbacks import LambdaCallback

FITS = int(os.environ.get("TORCHKERAS_FITS", "300"))
KILOBYTES = 4  # a training, while bounded caches fill; a tensor, an engine or a model left behind is more
ROOM = 4096  # kilobytes that malloc keeps, from one look to the next

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")]


def check_not_more(after: long_runs.Left, before: long_runs.Left) -> None:
    """Nothing but memory may be more; what earlier tests of this process left may go meanwhile."""
    assert all(now <= then for now, then in zip(after[1:], before[1:], strict=True)), (after, before)


def test_short_trainings_leave_nothing_behind():
    before, after = long_runs.growth(FITS, warm=60)
    check_not_more(after, before)
    assert after.kilobytes - before.kilobytes < ROOM + KILOBYTES * FITS


def test_a_thousand_epochs_hold_what_a_hundred_do():
    looks = {}

    def look(epoch, logs):
        if epoch in (100, 999):
            looks[epoch] = long_runs.held()

    x, y = np.ones((16, 6), "float32"), np.zeros(16, "int64")
    history = long_runs.model().fit(x, y, batch_size=8, epochs=1000, verbose=0, callbacks=[LambdaCallback(on_epoch_end=look)])
    assert len(history.history["loss"]) == 1000
    check_not_more(looks[999], looks[100])
    assert looks[999].kilobytes - looks[100].kilobytes < ROOM
