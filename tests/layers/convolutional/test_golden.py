"""Convolutions, padding, cropping and upsampling against genuine Keras."""

from __future__ import annotations

import pytest

from tests.golden_cases import golden
from tests.layers.golden_layer import check_golden_layer
from torchkeras.layers import convolutional

CASES = [case for case in golden("layer") if case["file"] == "layers_conv.npz" and not case["class"].startswith("Locally")]


def test_there_are_cases_for_every_class():
    recorded = {case["class"] for case in CASES}
    written = {getattr(convolutional, name).__name__ for name in convolutional.__all__}
    assert written - recorded == {"DepthwiseConv1D"}  # of Keras 3, which recorded none


@pytest.mark.parametrize("case", CASES, ids=str)
def test_layer_matches_keras(case, keras_version):
    check_golden_layer(case)
