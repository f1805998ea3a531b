"""Recurrent layers against genuine Keras, and what only this library has."""

from __future__ import annotations

import pytest

import torchkeras.layers.recurrent  # noqa: F401  (registers the layers)
from tests.golden_cases import golden
from tests.layers.golden_layer import check_golden_layer


@pytest.mark.parametrize("case", golden("layer", "SimpleRNN", "LSTM", "GRU", "RNN", "ConvLSTM2D"), ids=str)
def test_matches_keras(case, keras_version):
    check_golden_layer(case)
