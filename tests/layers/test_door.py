"""What a layer lets in: inputs of another kind or shape than it takes, on the first call and on later ones."""

from __future__ import annotations

import pytest
import torch

from torchkeras import layers
from torchkeras.layers.base import Layer, get_mask


class AsItIs(Layer):
    """A user's layer, whose code takes any shape."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.input_spec = layers.InputSpec(min_ndim=3, axes={-1: 2})

    def call(self, inputs):
        return inputs


def test_the_input_spec_of_a_users_layer_holds_at_every_call():
    layer = AsItIs()
    with pytest.raises(ValueError, match="expected min_ndim=3, found ndim=2"):
        layer(torch.ones(1, 2))
    layer(torch.ones(1, 3, 2))
    for _ in range(2):
        with pytest.raises(ValueError, match=r"expected axis -1 of input shape to have value 2, found 5.*\(1, 3, 5\)"):
            layer(torch.ones(1, 3, 5))


@pytest.mark.parametrize(
    ("layer", "first", "later"),
    [
        (layers.PReLU(), (2, 3), (2, 1)),
        (layers.PReLU(shared_axes=[1, 2]), (2, 4, 4, 3), (2, 4, 4, 1)),
        (layers.BatchNormalization(axis=[1, 2]), (2, 3, 4), (2, 3, 1)),
        (layers.BatchNormalization(axis=1), (2, 3, 4), (2, 1, 4)),
        (layers.LayerNormalization(axis=[1, 2]), (2, 3, 4), (2, 3, 1)),
        (layers.Dense(2), (2, 3), (2, 1)),
        (layers.Conv2D(2, 1), (1, 4, 4, 3), (1, 4, 4, 1)),
        (layers.Conv2D(2, 2), (1, 4, 4, 3), (1, 4, 4, 1)),
        (layers.LocallyConnected1D(2, 2), (1, 4, 3), (1, 4, 1)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Layer) else str(value),
)
def test_one_channel_is_not_spread_over_the_weights_of_many(layer, first, later):
    layer(torch.ones(first))
    with pytest.raises(ValueError, match=r"expected axis .* found 1"):
        layer(torch.ones(later))


def test_what_is_no_data_is_refused():
    with pytest.raises(TypeError, match=r"takes tensors, arrays, numbers or lists of them, but got \['a'\]"):
        layers.Dense(1)(["a"])
    with pytest.raises(TypeError, match=r"\(Dense\) needs an input, but got None"):
        layers.Dense(1)(None)
    with pytest.raises(TypeError, match=r"\(Conv2D\) needs an input, but got nothing"):
        layers.Conv2D(1, 1)()
    with pytest.raises(ValueError, match="needs units that are a whole number, but got 'a'"):
        layers.Dense("a")


@pytest.mark.parametrize("layer", [layers.Embedding(5, 2, mask_zero=True), layers.Masking()], ids=["Embedding", "Masking"])
def test_a_layer_that_makes_masks_makes_one_at_every_call(layer):
    inputs = torch.tensor([[1, 2, 0], [3, 0, 0]])
    data = inputs if isinstance(layer, layers.Embedding) else inputs.float().unsqueeze(-1)
    for _ in range(3):
        assert torch.equal(get_mask(layer(data)), inputs != 0)
    assert layer._direct


def test_what_tf_keras_asks_of_a_layer_beside_its_weights():
    layer = layers.Dense(2, kernel_regularizer="l2")
    layer(torch.ones(1, 3))
    assert layer.updates == layer.get_updates_for(None) == []
    assert [float(one.detach()) for one in layer.get_losses_for(None)] == [float(one.detach()) for one in layer.losses]
    assert layer.submodules == ()
    inside = layers.TimeDistributed(layer)
    assert inside.submodules == (layer,)


def test_updates_that_are_set_are_written():
    class Counting(Layer):
        def build(self, input_shape):
            self.count = self.add_weight("count", (), initializer="zeros", trainable=False)

        def call(self, inputs):
            self.updates = [(self.count, self.count + 1)]
            return inputs

    layer = Counting()
    layer(torch.ones(1, 1))
    layer.train()
    layer(torch.ones(1, 1))
    assert layer.get_weights()[0] == 1
