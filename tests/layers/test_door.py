"""What a layer lets in: inputs of another kind or shape than it takes, on the first call and on later ones."""

from __future__ import annotations

import re

import pytest
import torch
from torch.nn.modules import module

from torchkeras import layers
from torchkeras.layers import unhooked
from torchkeras.layers.base import Layer, get_mask
from torchkeras.layers.unhooked import is_unhooked


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


@pytest.mark.parametrize("layer", [layers.Dense(2), layers.ReLU(), layers.BatchNormalization()], ids=lambda layer: type(layer).__name__)
def test_torchs_hooks_run_at_every_call(layer):
    """Calls that need nothing but the kernel go past nn.Module.__call__, unless somebody hooked into it."""
    x, seen = torch.ones(3, 2, requires_grad=True), []
    layer(x)
    assert is_unhooked(layer.__dict__)

    def note(*args):
        seen.append(args[0])

    for register, by_backward in [
        (layer.register_forward_hook, False),
        (layer.register_forward_pre_hook, False),
        (layer.register_full_backward_hook, True),
        (layer.register_full_backward_pre_hook, True),
        (module.register_module_forward_hook, False),
        (module.register_module_forward_pre_hook, False),
        (module.register_module_full_backward_hook, True),
        (module.register_module_full_backward_pre_hook, True),
    ]:
        with_hook = register(note)
        assert not is_unhooked(layer.__dict__)
        y = layer(x)
        if by_backward:
            y.sum().backward()
        with_hook.remove()
        assert seen == [layer], register.__name__
        seen.clear()
        layer(x).sum().backward()
        assert not seen
    assert is_unhooked(layer.__dict__)


def test_tools_that_look_for_torchs_own_call_find_it():
    layer, x = layers.Dense(2), torch.ones(1, 3)
    first = layer(x)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]):
        assert not is_unhooked(layer.__dict__)
    traced = torch.jit.trace(layer, x)
    torch.testing.assert_close(traced(x), first)
    layer.compile(backend="eager")
    assert not is_unhooked(layer.__dict__)
    torch.testing.assert_close(layer(x), first)


def test_a_torch_that_keeps_hooks_elsewhere_is_asked_at_every_call(monkeypatch):
    layer, x = layers.Dense(2), torch.ones(1, 3)
    first = layer(x)
    monkeypatch.setattr("torchkeras.layers.unhooked._all_forward", unhooked._UNKNOWN)
    calls = []
    monkeypatch.setattr("torchkeras.layers.base._module_call", lambda *args: calls.append(args) or torch.nn.Module.__call__(*args))
    torch.testing.assert_close(layer(x), first)
    assert len(calls) == 1


@pytest.mark.parametrize("place", ["_compiler", "_tracer", "_profiler"])
def test_a_torch_that_keeps_its_flags_elsewhere_is_asked_at_every_call(monkeypatch, place):
    layer, x = layers.Dense(2), torch.ones(1, 3)
    layer(x)
    assert is_unhooked(layer.__dict__)
    monkeypatch.setattr(unhooked, place, unhooked._flags(torch, "_no_such_flag"))
    assert not is_unhooked(layer.__dict__)


def test_a_program_that_is_traced_names_the_layers_in_it():
    class Both(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first = layers.Dense(2)

        def forward(self, x):
            return self.first(x)

    both, x = Both(), torch.ones(1, 3)
    both(x)
    assert any("first" in (node.scopeName() or "") for node in torch.jit.trace(both, x).inlined_graph.nodes())


class Outer(Layer):
    """Calls a layer that is built already."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def call(self, inputs):
        return self.inner(inputs)


def test_errors_name_the_layer_inside_that_was_called_before():
    def needs_two(x):
        if x.shape[-1] != 2:
            raise RuntimeError("two, please")
        return x

    inner = layers.Lambda(needs_two, name="inner")
    inner(torch.ones(1, 2))
    with pytest.raises(ValueError, match=r"two, please \(in Lambda 'inner'\)"):
        Outer(inner)(layers.Input((3,)))


@pytest.mark.parametrize("layer", [layers.Dense(2), layers.ReLU(), layers.Add()], ids=lambda layer: type(layer).__name__)
def test_texts_are_refused_by_layers_that_are_built(layer):
    x = torch.ones(1, 3)
    layer([x, x] if isinstance(layer, layers.Add) else x)
    for text in ("abc", ["a", "b"]):
        with pytest.raises(TypeError, match=rf"Layer '{layer.name}' takes tensors, arrays, numbers or lists of them, but got .*{text[0]}"):
            layer(text)


def test_name_scopes_change_nothing_but_are_there():
    class Scoped(layers.Dense):
        @Layer.with_name_scope
        def call(self, inputs):
            """Doubled."""
            return 2 * super().call(inputs)

    layer, x = Scoped(2, name="scoped"), torch.ones(1, 3)
    torch.testing.assert_close(layer(x), 2 * x @ layer.kernel)
    assert Scoped.call.__doc__ == "Doubled."
    with layer.name_scope as scope:
        assert scope == "scoped/"


def test_a_signature_is_a_shape_with_its_type():
    spec = layers.Dense(2).compute_output_signature(layers.InputSpec(shape=(None, 3), dtype="float32"))
    assert (spec.shape, spec.dtype) == ((None, 2), "float32")
    both = layers.Add(dtype="float64").compute_output_signature([layers.Input((4,)), layers.Input((4,))])
    assert (both.shape, both.dtype) == ((None, 4), "float64")
    with pytest.raises(TypeError, match=r"signature of layer 'm' takes what has a shape and a dtype, but got 3\. Give InputSpec\(shape="):
        layers.Dense(2, name="m").compute_output_signature(3)


@pytest.mark.parametrize("value", ["x", None, [0.0]])
def test_masking_needs_a_number(value):
    with pytest.raises(TypeError, match=rf"Masking 'm' needs a number as mask_value, .*but got {re.escape(repr(value))}"):
        layers.Masking(value, name="m")
