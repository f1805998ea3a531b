"""Every test of this folder runs for each kind of model."""

from __future__ import annotations

import pytest

from tests.interop.kinds import KINDS, trained


@pytest.fixture(params=KINDS)
def kind(request) -> str:
    return request.param


@pytest.fixture
def model(kind):
    """A compiled model after an epoch."""
    return trained(kind)
