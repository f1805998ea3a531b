"""Whole trainings give the numbers of genuine Keras: history, weights, predictions, evaluation, batch logs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.golden_cases import Case, golden
from tests.models_from_golden import compile_as, make_model, one_or_all
from torchkeras import callbacks as callbacks_module
from torchkeras.callbacks import Callback

# In this case a bias stands before a BatchNormalization: its true gradient is zero, and the release trained it on float32 rounding noise, which
# RMSprop blows up to whole steps. That bias, the moving mean that follows it, and what inference makes of them are the noise's own;
# test_zero_gradients.py compares them in float64, where the noise is far below RMSprop's epsilon.
NOISE_WEIGHTS = ("conv2d_1/bias:0", "batch_normalization_1/moving_mean:0", "conv2d/bias:0", "batch_normalization/moving_mean:0")


def _is_noise(case: Case, name: str) -> bool:
    return case["id"] == "training.cnn_bn.0" and (name in NOISE_WEIGHTS or name in ("val_loss", "inference"))


class BatchLogs(Callback):
    """Keeps the logs of every training batch."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[dict[str, float]] = []

    def on_batch_end(self, batch: int, logs: Any = None) -> None:
        self.seen.append(dict(logs))


def _arrays(case: Case, keys: list[str] | None) -> Any:
    return None if keys is None else one_or_all([case.array(key) for key in keys])


def _endless(case: Case) -> Any:
    size = case["generator"]["batch_size"]
    x, y = case.arrays("inputs")[0], case.arrays("targets")[0]
    while True:
        for start in range(0, len(x), size):
            yield x[start : start + size], y[start : start + size]


def _fit_arguments(case: Case) -> dict[str, Any]:
    arguments = dict(case.get("fit") or {})
    if "class_weight" in arguments:
        arguments["class_weight"] = _integer_keys(arguments["class_weight"])
    data = case.get("validation_data")
    if data:
        weights = _arrays(case, data["sample_weights"])
        arguments["validation_data"] = (_arrays(case, data["x"]), _arrays(case, data["y"]), *([] if weights is None else [weights]))
    return arguments


def _integer_keys(weights: Any) -> Any:
    if isinstance(weights, dict):
        return {int(key) if key.isdigit() else key: _integer_keys(value) for key, value in weights.items()}
    return weights


def _run_actions(case: Case, model: Any) -> None:
    for action in case["actions"]:
        x, y = _arrays(case, action["x"]), _arrays(case, action.get("y"))
        extra = {"sample_weight": _arrays(case, action["sample_weight"])} if action.get("sample_weight") else {}
        if action.get("class_weight"):
            extra["class_weight"] = _integer_keys(action["class_weight"])
        got = getattr(model, action["op"])(x, *([] if y is None else [y]), **extra)
        wanted = action["result"] if not isinstance(action["result"], str) else case.array(action["result"])
        if isinstance(wanted, list) and wanted and isinstance(wanted[0], str):
            wanted = _arrays(case, wanted)
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=case["atol"], err_msg=str(action["op"]))


@pytest.mark.parametrize("case", golden("training"), ids=str)
def test_training_gives_the_numbers_of_the_release(case, keras_version):
    model = make_model(case)
    compile_as(model, case)
    x, y = one_or_all(case.arrays("inputs")), one_or_all(case.arrays("targets"))
    weights = _arrays(case, case["sample_weights"])
    size = model.input_shape[0] if model.stateful else None
    np.testing.assert_allclose(_flat(model.predict(x, batch_size=size)), _flat(_arrays(case, case["initial_predict"])), atol=case["atol"])
    if model.stateful:
        model.reset_states()
    logs = BatchLogs()
    if case.get("actions"):
        _run_actions(case, model)
    else:
        extra = [getattr(callbacks_module, entry["class_name"])(**entry["config"]) for entry in case.get("callbacks") or []]
        if case.get("generator"):
            plan = {key: case["generator"][key] for key in ("epochs", "steps_per_epoch")}
            validation = {key: value for key, value in _fit_arguments(case).items() if key == "validation_data"}
            history = model.fit_generator(_endless(case), verbose=0, callbacks=[logs, *extra], **plan, **validation)
        else:
            history = model.fit(x, y, sample_weight=weights, verbose=0, callbacks=[logs, *extra], **_fit_arguments(case))
        assert list(history.history) == list(case["history"])
        for name, values in case["history"].items():
            if _is_noise(case, name):
                continue
            np.testing.assert_allclose(history.history[name], values, rtol=case["history_rtol"], atol=1e-6, err_msg=name)
        assert len(history.epoch) == case.get("epochs_run", len(history.epoch))
        _check_batch_logs(logs.seen, case)
    for got, wanted, name in zip(model.get_weights(), case.arrays("final_weights"), case["weight_names"], strict=True):
        if _is_noise(case, name):
            continue
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=case["weights_atol"], err_msg=name)
    if _is_noise(case, "inference"):
        return
    if model.stateful:
        model.reset_states()
    np.testing.assert_allclose(_flat(model.predict(x, batch_size=size)), _flat(one_or_all(case.arrays("outputs"))), atol=case["atol"])
    assert model.metrics_names == case["metrics_names"]
    for batch_size, values in (case.get("evaluate") or {}).items():
        if model.stateful:
            model.reset_states()
        got = model.evaluate(x, y, batch_size=int(batch_size), sample_weight=weights, verbose=0)
        # Keras 2.2.4 divides 0 by 0 where all weights of a batch are 0; here such a batch counts 0
        assert np.isfinite(got).all()
        wanted = [value if recorded == "NaN" else recorded for value, recorded in zip(np.atleast_1d(got), values, strict=True)]
        np.testing.assert_allclose(got, one_or_all(wanted), rtol=case["history_rtol"], atol=1e-6)


def _flat(outputs: Any) -> Any:
    return np.concatenate([np.ravel(part) for part in outputs]) if isinstance(outputs, list) else outputs


def _check_batch_logs(seen: list[dict[str, float]], case: Case) -> None:
    recorded = case.get("batch_logs")
    if recorded is None:
        return
    assert len(seen) == len(recorded)
    for got, wanted in zip(seen, recorded, strict=True):
        assert set(wanted) == set(got)
        for name, value in wanted.items():
            np.testing.assert_allclose(got[name], value, rtol=case["history_rtol"], atol=1e-6, err_msg=name)
