"""`summary()` is the text of genuine Keras, character for character."""

from __future__ import annotations

import pytest

from tests.golden_cases import golden
from tests.models_from_golden import make_model


@pytest.mark.parametrize("case", golden("summary"), ids=str)
def test_summary_is_the_text_of_the_release(case, keras_version):
    model = make_model(case)
    for name, trainable in case["layer_trainable"].items():
        model.get_layer(name).trainable = trainable
    lines: list[str] = []
    model.summary(print_fn=lines.append, **case["kwargs"])
    assert "\n".join(lines) == case.text("text_file").removesuffix("\n")
    assert model.count_params() == case["count_params"]
