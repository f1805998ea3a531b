"""Wrappers against genuine Keras, and what only this library has."""

from __future__ import annotations

import pytest

import torchkeras.layers.convolutional
import torchkeras.layers.core
import torchkeras.layers.embeddings
import torchkeras.layers.wrappers  # noqa: F401  (registers the layers)
from tests.golden_cases import golden
from tests.layers.golden_layer import check_golden_layer


@pytest.mark.parametrize("case", golden("layer", "Bidirectional", "TimeDistributed"), ids=str)
def test_matches_keras(case, keras_version):
    check_golden_layer(case)
