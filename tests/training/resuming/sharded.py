"""What the processes of `test_shards` run.

Usage: sharded.py FOLDER: saves and restores weights in shards, and the first process writes what it found to FOLDER/result.json.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.training.resuming.programs import dense, numbers
from torchkeras.callbacks import Callback
from torchkeras.callbacks.base import is_chief
from torchkeras.random import set_random_seed


class Save(Callback):
    """Saves within an epoch."""

    saves_state = True

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if batch == 2 and not self.path.exists():
            self.model.save_state(self.path)


def flat(net: Any) -> list[float]:
    """All weights."""
    return np.concatenate([part.ravel() for part in net.get_weights()]).tolist()


def losses(net: Any) -> list[Any]:
    """Of three more updates."""
    x, y = numbers()
    return [net.train_on_batch(x[:7], y[:7]) for _ in range(3)]


def by_hand(folder: Path) -> dict[str, Any]:
    """`save_state` and `restore_state` between calls of `train_on_batch`."""
    set_random_seed(3)
    net, state = dense("adam", distribute="fsdp"), folder / "state"
    losses(net)
    assert net.weights_are_sharded  # from the first batch on
    net.save_state(state)
    found: dict[str, Any] = {"first": losses(net), "weights": flat(net)}
    net.restore_state(state)
    found.update({"again": losses(net), "weights_again": flat(net)})
    for name, distribute in (("new", "fsdp"), ("copies", None)):
        net = dense("adam", distribute=distribute)
        net.restore_state(state)
        assert net.weights_are_sharded is (distribute == "fsdp")
        if distribute is None:
            net.save_state(folder / "copies")
        found[name] = losses(net)
    net = dense("adam", distribute="fsdp")
    net.restore_state(folder / "copies")
    found["back"] = losses(net)
    kept = torch.load(state, weights_only=True)
    found["shapes"] = [list(value.shape) for _, value in kept["weights"]]
    slots = kept["optimizer"]["state"]
    found["slots"] = [[list(value.shape) for value in slots[number].values() if value.dim()] for number in range(4)]
    return found


def within_fit(folder: Path) -> dict[str, Any]:
    """`save_state` of a callback, and a new model that goes on."""
    x, y = numbers()
    fit: dict[str, Any] = {"batch_size": 4, "epochs": 3, "verbose": 0, "callbacks": [Save(folder / "within")]}
    set_random_seed(5)
    net = dense("adam", distribute="fsdp")
    found = {"history": net.fit(x, y, **fit).history, "end": flat(net)}
    net = dense("adam", distribute="fsdp")
    net.restore_state(folder / "within")
    return {**found, "history_again": net.fit(x, y, **fit).history, "end_again": flat(net)}


if __name__ == "__main__":
    torch.set_num_threads(1)
    result = {**by_hand(Path(sys.argv[1])), **within_fit(Path(sys.argv[1]))}
    if is_chief():
        (Path(sys.argv[1]) / "result.json").write_text(json.dumps(result))
