"""A metric that an evaluation made goes on after it."""

import torch

from torchkeras.metrics import BinaryAccuracy


def test_metric_made_in_inference_mode_outlives_it():
    y = torch.tensor([[1.0], [0.0]])
    with torch.inference_mode():
        metric = BinaryAccuracy()
        metric.update_state(y, y)
    assert float(metric.result()) == 1.0
    metric.update_state(y, 1 - y)
    assert float(metric.result()) == 0.5
    metric.reset_state()
    assert float(metric.result()) == 0.0
