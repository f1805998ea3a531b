"""The example on files does what it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.examples.test_sequences import example
from tests.golden_cases import GOLDEN


def test_a_genuine_model_is_loaded_trained_on_and_saved(capsys):
    model = example("saving").main()
    told = capsys.readouterr().out
    assert "mlp.h5: " in told and "model.h5: " in told and "model.keras: " in told
    assert told.count("the same predictions") == 2
    assert "has the shape (5, 9), but the file has one of shape (5, 8)" in told
    assert "custom_objects={'double'" in told
    assert int(model.optimizer.iterations) > 2


def test_other_files_work_as_well(tmp_path):
    saving = example("saving")
    for file in ("keras-1.2.2/saved/mlp.h5", "tf.keras-2.4.0/saved/cnn.h5", "keras-3.15.1/saved/mlp.keras"):
        saving.save_everywhere(saving.go_on(GOLDEN / file), tmp_path)


def test_weights_move_by_name(tmp_path):
    saving = example("saving")
    large = saving.larger_by_name(tmp_path)
    assert [layer.name for layer in large.layers] == ["features", "more", "new_answer"]
    again = saving.functions_are_given(tmp_path)
    np.testing.assert_array_equal(again.layers[-1](np.ones((1, 2), np.float32)).numpy(), [[2, 2]])
    assert {path.name for path in Path(tmp_path).iterdir()} == {"small.h5", "lambda.h5"}
