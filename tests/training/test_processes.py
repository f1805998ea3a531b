"""Two processes train as one does: the same weights, histories, values and predictions."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.training.threads import check_ended
from tests.training.torchrun import ROOT, command, environment
from torchkeras import layers, models, optimizers
from torchkeras.training import compiling, distributed, fully_sharded, parallel

CASES = ("arrays", "accumulated", "keras2", "summed", "sampled", "once", "stopped", "normalized", "sharded", "sharded_sequences")
CASES += ("sharded_bounds", "sharded_penalties", "sharded_updates")
CASES += ("ragged", "ragged_keras2", "ragged_stream", "ragged_sampled")

pytestmark = pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch was built without torch.distributed")


def run(processes: int, case: str, result: Path) -> subprocess.CompletedProcess[str]:
    """Run a case of `together.py` in one process, or in several by torchrun."""
    words = command(processes, "tests.training.together", case, str(result))
    return subprocess.run(words, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def both(tmp_path_factory) -> tuple[Any, Any]:
    """The results of all cases in one process, and in two."""
    found = []
    for processes in (1, 2):
        path = tmp_path_factory.mktemp("processes") / "result.json"
        done = run(processes, ",".join(CASES), path)
        assert done.returncode == 0, done.stderr[-3000:]
        found.append(json.loads(path.read_text()))
        check_ended(path.parent, processes)
    return found[0], found[1]


@pytest.mark.parametrize("case", CASES)
def test_two_processes_train_as_one_does(both, case):
    alone, together = both[0][case], both[1][case]
    assert set(alone) == set(together)
    assert list(alone["history"]) == list(together["history"])
    for name, values in alone["history"].items():
        np.testing.assert_allclose(together["history"][name], values, rtol=2e-5, atol=1e-6, err_msg=name)
    for ours, theirs in zip(together["weights"], alone["weights"], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-6)
    for name in set(alone) - {"history", "weights"}:
        np.testing.assert_allclose(together[name], alone[name], rtol=2e-5, atol=2e-6, err_msg=name)


def test_a_process_that_ends_takes_the_others_with_it(tmp_path):
    began = time.monotonic()
    done = run(2, "dying", tmp_path / "never.json")
    assert done.returncode != 0
    assert time.monotonic() - began < 120  # seconds where the machine is free; the collectives would wait for half an hour
    assert "exitcode  : 3" in done.stderr or "lost the connection" in done.stderr
    assert done.stdout.count("Epoch 1/50") <= 1  # the first process alone prints


def test_a_step_of_ones_own_is_refused(monkeypatch):
    class Own(models.Model):
        def call(self, inputs: Any) -> Any:
            return inputs

        def train_step(self, data: Any) -> Any:
            return {}

    net = Own()
    net.compile("sgd", "mse")
    monkeypatch.setattr(compiling, "several", lambda: True)
    with pytest.raises(ValueError, match="has a train_step of its own, which several processes cannot share"):
        compiling._refuse_own(net, net.train_step, "train_step")


def test_clipped_sparse_gradients_are_refused(monkeypatch):
    monkeypatch.setattr(parallel, "several", lambda: True)
    net = models.Sequential([layers.Embedding(5, 3, input_length=2), layers.Flatten(), layers.Dense(1)])
    net.compile(optimizers.SGD(clipvalue=0.1), "mse")
    net.layers[0].sparse_gradients = True
    with pytest.raises(ValueError, match="clipped sparse gradients, which several processes cannot average"):
        parallel.shared_forward(net, net._compiled, lambda x, y, weight: None, None)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"mixed_precision": "mixed_float16"}, "cannot scale float16 losses, since no process sees all gradients"),
        ({"jit_compile": True}, "cannot be compiled by jit_compile"),
        ({"optimizer": torch.optim.SGD}, "needs an optimizer of torchkeras, whose state is made of the shards"),
    ],
    ids=["float16", "jit", "optimizer"],
)
def test_what_needs_whole_weights_cannot_be_sharded(monkeypatch, options, reason):
    monkeypatch.setattr(fully_sharded, "several", lambda: True)
    net = models.Sequential([layers.Dense(2, input_shape=(3,), name="first")])
    net.compile(**{"optimizer": "sgd", "loss": "mse", **options}, distribute="fsdp")
    with pytest.raises(ValueError, match=reason):
        fully_sharded.shard_weights(net)
    assert not net.weights_are_sharded


def test_weights_beside_the_layers_cannot_be_sharded(monkeypatch):
    class Own(models.Model):
        def __init__(self) -> None:
            super().__init__()
            self.factor = torch.nn.Parameter(torch.ones(()))

        def call(self, inputs: Any) -> Any:
            return inputs * self.factor

    monkeypatch.setattr(fully_sharded, "several", lambda: True)
    net = Own()
    net.compile("sgd", "mse", distribute="fsdp")
    with pytest.raises(ValueError, match="has weights of its own beside those of its layers"):
        fully_sharded.shard_weights(net)


def test_one_process_has_all_weights():
    net = models.Sequential([layers.Dense(2, input_shape=(3,))])
    net.compile("sgd", "mse", distribute="fsdp")
    net.fit(np.ones((4, 3), "float32"), np.ones((4, 2), "float32"), verbose=0)
    assert not net.weights_are_sharded
    assert type(net.layers[0].weight) is torch.nn.Parameter


def test_another_way_to_distribute_is_refused():
    net = models.Sequential([layers.Dense(2, input_shape=(3,))])
    with pytest.raises(ValueError, match=r"compile takes distribute='fsdp' .* but got 'zero'"):
        net.compile("sgd", "mse", distribute="zero")


def test_a_lost_connection_is_told_as_such(monkeypatch):
    for name, value in (("several", lambda: True), ("rank", lambda: 1), ("processes", lambda: 2), ("_state", {})):
        monkeypatch.setattr(distributed, name, value)
    with pytest.raises(distributed.LostProcess, match="Process 1 of 2 stops, since it lost the connection"), distributed.together():
        raise RuntimeError("[../gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:1")


@pytest.mark.parametrize("size", [0, 1, 2, 7, 8])
def test_parts_cover_a_batch_once(monkeypatch, size):
    monkeypatch.setattr(distributed, "processes", lambda: 3)
    parts = [distributed.bounds(size, who) for who in range(3)]
    assert [number for start, stop in parts for number in range(start, stop)] == list(range(size))
    assert max(stop - start for start, stop in parts) - min(stop - start for start, stop in parts) <= 1
