"""What genuine Keras' hooks and callbacks did, as `tests/golden/record_hooks.py` wrote it down."""

from __future__ import annotations

import functools
import json
from typing import Any

import numpy as np

from tests.golden_cases import GOLDEN
from torchkeras.callbacks import Callback
from torchkeras.layers import Dense
from torchkeras.models import Sequential
from torchkeras.optimizers import SGD


@functools.cache
def recorded(version: str) -> dict[str, Any]:
    return json.loads((GOLDEN / f"hooks-{version}.json").read_text())


def data(version: str = "2.4.0") -> tuple[Any, Any]:
    found = recorded(version)["data"]
    return np.array(found["x"], "float32"), np.array(found["y"], "float32")


def make_model(version: str = "2.4.0", metrics: bool = True, lr: float = 0.5) -> Sequential:
    """The model that was recorded: logistic regression on ten samples."""
    model = Sequential([Dense(1, activation="sigmoid", input_shape=(3,), name="only")])
    model.set_weights([np.array(weight, "float32") for weight in recorded(version)["data"]["weights"]])
    model.compile(SGD(lr=lr), "binary_crossentropy", metrics=["accuracy"] if metrics else None)
    return model


class Recorder(Callback):
    """Keeps [its name, hook, index, logs] of the hooks that it is told to listen to."""

    def __init__(self, hooks: list[str], name: str = "r", stop: tuple[str, int | None] | None = None, seen: list[Any] | None = None) -> None:
        super().__init__()
        self.seen: list[Any] = [] if seen is None else seen
        self.name = name
        for hook in hooks:
            setattr(self, hook, functools.partial(self._run, hook, stop))

    def _run(self, hook: str, stop: Any, *args: Any) -> None:
        index = args[0] if len(args) == 2 else None
        self.seen.append([self.name, hook, index, plain(dict(args[-1]))])
        if stop == (hook, index):
            self.model.stop_training = True


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    return value.tolist() if hasattr(value, "tolist") else value


def check_calls(got: list[Any], wanted: list[Any]) -> None:
    """The same hooks in the same order, with the same names in the same order and the same values."""
    assert [call[:3] for call in got] == [call[:3] for call in wanted]
    for mine, theirs in zip(got, wanted, strict=True):
        check_logs(mine[3], theirs[3], str(theirs[:3]))


def check_logs(mine: dict[str, Any], theirs: dict[str, Any], what: str) -> None:
    assert list(mine) == list(theirs), what
    for name, value in theirs.items():
        np.testing.assert_allclose(mine[name], value, rtol=2e-5, atol=1e-6, err_msg=f"{what} {name}")


def fit(given: Any, model: Any = None, epochs: int = 2, **more: Any) -> Any:
    """Train a small model with callbacks."""
    x, y = data()
    model = model or make_model()
    return model.fit(x, y, batch_size=4, epochs=epochs, verbose=0, shuffle=False, callbacks=given, **more)


def validated() -> dict[str, Any]:
    """Arguments that have `fit` validate."""
    x, y = data()
    return {"validation_data": (x[:6], y[:6])}
