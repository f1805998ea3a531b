"""The contestants of the benchmark of sequences compute the same; no time is measured here."""

from __future__ import annotations

import pytest
import torch

from benchmarks import sequences


@pytest.mark.parametrize("name", sequences.WORKLOADS)
def test_contestants_agree(name):
    work = sequences.WORKLOADS[name]._replace(units=4, size=3, batch=3, steps=6)
    batch = sequences.make_batch(work)
    assert batch.mask.sum(1).tolist() == batch.lengths.tolist() and batch.mask[:, -1].all()
    module, call = sequences.by_hand(work, "dense")
    expected = call(batch)
    for form in sequences.FORMS:
        stack = sequences.by_layer(work, form)
        sequences.run_layers(stack, batch)
        for number, layer in enumerate(stack):
            sides = [(layer.forward_layer, ""), (layer.backward_layer, "_reverse")] if work.bidirectional else [(layer, "")]
            for side, ending in sides:
                weights = {f"{key}_l0": getattr(module, f"{key}_l{number}{ending}") for key in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
                side.load_state_dict(weights)
        torch.testing.assert_close(sequences.run_layers(stack, batch), expected, rtol=1e-4, atol=1e-5)
    _, packed = sequences.by_hand(work, "packed")
    assert packed(batch).shape == expected.shape


@pytest.mark.parametrize("action", ["train", "predict"])
def test_contestants_run(action):
    work = sequences.WORKLOADS["lstm"]._replace(units=4, size=3, batch=3, steps=6)
    batch = sequences.make_batch(work)
    for call in sequences.contestants(work, batch, action).values():
        assert call().shape == (3, 4)
    assert (batch.inputs.grad is not None) is (action == "train")
