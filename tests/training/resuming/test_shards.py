"""States of weights in shards are of whole weights: two processes save, restore, and go on with shards or whole copies."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import numpy as np
import pytest
import torch

from tests.training.torchrun import ROOT, command, environment
from torchkeras import layers, models, optimizers
from torchkeras.training.resuming import shards

pytestmark = pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch was built without torch.distributed")


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> dict[str, Any]:
    """What `sharded.py` found out in two processes."""
    folder = tmp_path_factory.mktemp("sharded")
    words = command(2, "tests.training.resuming.sharded", str(folder))
    done = subprocess.run(words, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    result: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return result


def test_a_restored_state_goes_on_bit_for_bit(found):
    assert found["again"] == found["first"]
    assert found["weights_again"] == found["weights"]


def test_a_new_model_and_one_of_whole_copies_go_on_from_it(found):
    assert found["new"] == found["first"]
    np.testing.assert_allclose(found["copies"], found["first"], rtol=1e-6)  # gradients are rounded otherwise
    np.testing.assert_allclose(found["back"], found["first"], rtol=1e-6)


def test_the_file_holds_whole_weights_and_slots(found):
    assert found["shapes"] == [[5, 4], [5], [1, 5], [1]]
    assert found["slots"] == [[[5, 4], [5, 4]], [[5], [5]], [[1, 5], [1, 5]], [[1], [1]]]


def test_a_run_saved_within_fit_goes_on_bit_for_bit(found):
    assert found["history_again"] == found["history"]
    assert found["end_again"] == found["end"]


def test_an_optimizer_of_two_sharded_models_is_refused():
    net = models.Sequential([layers.Dense(1, input_shape=(2,), name="one")], name="both")
    net.compile(optimizers.SGD(), "mse")
    net.train_on_batch(np.ones((1, 2)), np.ones((1, 1)))
    net._trained.shards = type("Shards", (), {"local": [], "sharded": []})
    with pytest.raises(ValueError, match="The SGD of model 'both', compiled with distribute='fsdp', trains other weights than this model's"):
        shards.whole_optimizer(net, net.optimizer.state_dict())


def test_gradients_of_other_parts_are_refused():
    weight = torch.nn.Parameter(torch.zeros(3, 2))
    torch.testing.assert_close(shards.like(weight, torch.ones(3, 2)), torch.ones(3, 2))
    with pytest.raises(ValueError, match=r"by processes with \(2, 2\) of a weight of which this one has \(3, 2\). Go on with as many processes"):
        shards.like(weight, torch.ones(2, 2))
