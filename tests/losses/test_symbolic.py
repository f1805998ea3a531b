"""Losses of symbolic tensors, as in `model.add_loss(mse(inputs, outputs))`."""

from __future__ import annotations

import pytest
import torch

from torchkeras import losses
from torchkeras.graph.network import Network
from torchkeras.layers import Input
from torchkeras.losses.lookup import FUNCTIONS


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
@pytest.mark.parametrize("steps", [(), (3,)])
def test_a_graph_of_a_loss_takes_batches_of_any_size(function, steps):
    width = 1 if function is losses.sparse_categorical_crossentropy else 4
    y_true, scores = Input((*steps, width)), Input((*steps, 4))
    values = function(y_true, torch.sigmoid(scores))
    assert values.shape == (None, *steps)
    network = Network([y_true, scores], values)
    for batch in (1, 5):
        targets, inputs = torch.zeros(batch, *steps, width), torch.randn(batch, *steps, 4)
        torch.testing.assert_close(network([targets, inputs]), function(targets, torch.sigmoid(inputs)))


def test_ids_that_do_not_fit_are_refused_while_the_graph_is_built():
    with pytest.raises(ValueError, match=r"one class id for each prediction, \(None, 3\), but got y_true of shape \(None, 3, 4\)"):
        losses.sparse_categorical_crossentropy(Input((3, 4)), Input((3, 4)))
