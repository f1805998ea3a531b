"""What every test shares: one thread a process, fixed seeds, a clean choice of release."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from torchkeras import config, generations
from torchkeras.layers import raw_modules
from torchkeras.layers.naming import reset_uids

torch.set_num_threads(max(1, int(os.environ.get("TORCHKERAS_TEST_THREADS", "1"))))


@pytest.fixture(autouse=True)
def _fresh_settings() -> Iterator[None]:
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    reset_uids()
    before = dict(config._settings)
    yield
    config._settings.update(before)
    generations._chosen[:] = []
    raw_modules._open.clear()  # graphs that a test left open
    raw_modules.stop_watching()


@pytest.fixture
def fresh_compiler() -> Iterator[None]:
    """Dynamo counts recompilations of a function over a whole process, and gives up at a limit: what other tests compiled does not count here."""
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.fixture
def keras_version(case) -> str:
    """Follow the release that the golden case was recorded from."""
    generations.set_keras_version(case.version)
    return case.version
