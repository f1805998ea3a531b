"""Where data at hand lies during training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from torchkeras import layers, models
from torchkeras.training.arrays import ArrayBatches, Packing, keep_data

X, Y = np.ones((10, 3), "float32"), np.zeros((10, 1), "float32")


def batches(where: str, device: str = "meta") -> ArrayBatches:
    """Batches for a model that is elsewhere; the device without memory stands for it."""
    made = ArrayBatches(Packing(torch.from_numpy(X), torch.from_numpy(Y), None), 4, False, torch.device(device))
    keep_data(made, where)
    return made


@pytest.mark.parametrize(("where", "device"), [("device", "meta"), ("cpu", "cpu"), ("auto", "cpu")])
def test_data_is_moved_once_or_stays(where: str, device: str):
    made = batches(where)
    assert {leaf.device.type for leaf in made.placed()} == {device}
    assert [tuple(x.shape) for x, _, _ in made] == [(4, 3), (4, 3), (2, 3)]
    assert all(x.device.type == "meta" for x, _, _ in made)  # each batch comes to the model in any case


@pytest.mark.parametrize(("free", "moved"), [(4 * 160, True), (4 * 160 - 1, False)])
def test_automatically_it_moves_where_it_takes_a_quarter_of_the_free_memory(monkeypatch, free: int, moved: bool):
    made = batches("auto", "cpu")
    asked: list[Any] = []

    class Leaf:
        """A tensor as far as placing looks at it."""

        def __init__(self, leaf: Any) -> None:
            self.leaf, self.device = leaf, leaf.device

        def numel(self) -> int:
            return self.leaf.numel()

        def element_size(self) -> int:
            return self.leaf.element_size()

        def to(self, device: Any, non_blocking: bool) -> Any:
            asked.append((device.type, non_blocking))
            return self

    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 10**9))
    made.device = torch.device("cuda")
    made.leaves = [Leaf(leaf) for leaf in made.leaves]  # type: ignore[misc]
    made.placed()
    assert asked == ([("cuda", True)] * 2 if moved else [])


@pytest.mark.parametrize("where", ["auto", "device", "cpu"])
def test_training_is_the_same_wherever_the_data_is(where: str):
    net = models.Sequential([layers.Dense(1, kernel_initializer="ones", input_shape=(3,))])
    net.compile("sgd", "mse")
    history = net.fit(X, Y, batch_size=4, shuffle=False, verbose=0, data_device=where).history
    errors = [3.0]  # three weights of 1; each step moves four numbers by 0.01 * 2 * error
    for _ in range(2):
        errors.append(errors[-1] * (1 - 4 * 0.02))
    np.testing.assert_allclose(history["loss"], [np.dot([4, 4, 2], np.square(errors)) / 10], rtol=1e-6)


def test_other_places_and_streams_are_refused():
    net = models.Sequential([layers.Dense(1, input_shape=(3,))])
    net.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"data_device='auto', 'device' .* or 'cpu', but got 'gpu'"):
        net.fit(X, Y, data_device="gpu")
    with pytest.raises(ValueError, match="GeneratorBatches gives its data batch by batch"):
        net.fit(iter([(X, Y)]), steps_per_epoch=1, data_device="device", verbose=0)
