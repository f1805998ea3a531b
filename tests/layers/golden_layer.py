"""Run one recorded layer case: the same arguments, weights and inputs must give what genuine Keras gave.

Use in a test that takes the fixture `keras_version`, so that the layer is made as the case's release makes it:

    @pytest.mark.parametrize("case", golden("layer", "Conv2D"), ids=str)
    def test_conv2d_matches_keras(case, keras_version):
        check_golden_layer(case)
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tests.golden_cases import Case
from torchkeras.layers.base import Layer, get_mask, layer_registry, set_mask
from torchkeras.layers.naming import reset_uids

RTOL = 1e-5
LAYER_ARGUMENTS = ("layer", "cell", "cells", "backward_layer")  # given as {"class_name", "config"} with constructor arguments


class MinimalRNNCell(Layer):
    """The custom cell of the Keras documentation: `output = dot(x, kernel) + dot(h, recurrent_kernel)`."""

    def __init__(self, units: int, **kwargs: Any) -> None:
        self_units = int(units)
        super().__init__(**kwargs)
        self.units = self.state_size = self_units

    def build(self, input_shape: Any) -> None:
        self.add_weight("kernel", (input_shape[-1], self.units), initializer="uniform")
        self.add_weight("recurrent_kernel", (self.units, self.units), initializer="uniform")

    def call(self, inputs: Tensor, states: Any) -> Any:
        output = inputs @ self.kernel + states[0] @ self.recurrent_kernel
        return output, [output]


CUSTOM = {"MinimalRNNCell": MinimalRNNCell}


def revive(name: str, value: Any) -> Any:
    """A constructor argument of a case: layers and cells made, lists as tuples."""
    if name in LAYER_ARGUMENTS and isinstance(value, dict):
        arguments = {key: revive(key, part) for key, part in value["config"].items()}
        return layer_registry.find(value["class_name"], CUSTOM)(**arguments)
    if isinstance(value, list):
        if name in LAYER_ARGUMENTS:
            return [revive(name, part) for part in value]
        return tuple(revive("", part) for part in value)
    return value


def make_layer(case: Case) -> Layer:
    """The case's layer, made with its constructor arguments."""
    reset_uids()
    arguments = {key: revive(key, value) for key, value in case["kwargs"].items()}
    return layer_registry.find(case["class"], CUSTOM)(**arguments)


def plain(config: Any) -> Any:
    """A config as JSON has it."""
    return json.loads(json.dumps(config))


def check_golden_layer(case: Case, make: Callable[[Case], Layer] = make_layer, *, config: bool = True) -> Layer:
    """Compare outputs, masks, losses, gradients, later weights, config and weight names with the recorded ones.

    Args:
        case: A golden case of the kind "layer".
        make: Makes the layer (unbuilt) of a case whose arguments need translating.
        config: Whether `get_config()` must equal the recorded one.

    Returns:
        The layer, for more checks.
    """
    layer = make(case)
    inputs = _tensors(case, case["inputs"])
    states = _tensors(case, case.get("initial_state") or [])
    with torch.no_grad():
        _call(layer, inputs, [], None)  # builds
    if config:
        assert plain(layer.get_config()) == case["config"]
    if getattr(layer, "stateful", False) and hasattr(layer, "reset_states"):
        layer.reset_states()
    layer.set_weights(case.arrays("weights"))
    if config:
        assert [weight.name.rsplit("/", 1)[-1] for weight in layer.weights] == [name.rsplit("/", 1)[-1] for name in case["weight_names"]]
    layer.train(case["training"])
    for call in case.get("calls") or [case.info]:
        inputs = _tensors(case, call["inputs"])
        outputs = _check_call(case, layer, call, inputs, states)
    if case.get("grads"):
        _check_gradients(case, layer, inputs, states, outputs)
    if case.get("losses"):
        for loss, wanted in zip(layer.losses, case.arrays("losses"), strict=True):
            close(loss, wanted, case["atol"], "loss")
    if case.get("weights_after"):
        for weight, wanted in zip(layer.get_weights(), case.arrays("weights_after"), strict=True):
            close(weight, wanted, case["atol"], "weight after the calls")
    if case.get("outputs_after_reset"):
        layer.reset_states()
        again = _call(layer, _tensors(case, case["inputs"]), (case.get("calls") or [case.info])[0].get("masks"), case)
        for output, wanted in zip(flat(again), case.arrays("outputs_after_reset"), strict=True):
            close(output, wanted, case["atol"], "output after reset_states()")
    return layer


def flat(structure: Any) -> list[Any]:
    """The tensors of nested lists and tuples, in order."""
    if isinstance(structure, (list, tuple)):
        return [leaf for part in structure for leaf in flat(part)]
    return [structure]


def close(got: Any, wanted: Any, atol: float, what: str) -> None:
    """Equal up to the case's tolerance."""
    got = torch.as_tensor(got).detach()
    wanted = torch.as_tensor(np.asarray(wanted))
    assert tuple(got.shape) == tuple(wanted.shape), f"{what}: shape {tuple(got.shape)}, recorded {tuple(wanted.shape)}"
    torch.testing.assert_close(got, wanted, rtol=RTOL, atol=atol, check_dtype=False, msg=lambda text: f"{what}: {text}")


def _tensors(case: Case, keys: Any) -> list[Tensor]:
    tensors = [torch.as_tensor(case.array(key)) for key in keys]
    return [tensor.requires_grad_(tensor.is_floating_point() and not case.get("calls")) for tensor in tensors]


def _call(layer: Layer, inputs: list[Tensor], masks: Any, case: Case | None, states: list[Tensor] | None = None) -> Any:
    for tensor, key in zip(inputs, masks or [], strict=False):
        if key is not None and case is not None:
            set_mask(tensor, torch.as_tensor(case.array(key)))
    kwargs = {"initial_state": states} if states else {}
    return layer(inputs[0] if len(inputs) == 1 else inputs, **kwargs)


def _check_call(case: Case, layer: Layer, call: Any, inputs: list[Tensor], states: list[Tensor]) -> list[Tensor]:
    layer.clear_losses()
    outputs = flat(_call(layer, inputs, call.get("masks"), case, states))
    assert len(outputs) == len(call["outputs"])
    for number, (output, key) in enumerate(zip(outputs, call["outputs"], strict=True)):
        close(output, case.array(key), case["atol"], f"output {number}")
    if call.get("output_masks") is not None:
        for output, key in zip(outputs, call["output_masks"], strict=True):
            mask, wanted = get_mask(output), case.array(key)
            assert (mask is None) == (wanted is None), f"mask {mask}, recorded {wanted}"
            if mask is not None:
                np.testing.assert_array_equal(mask.numpy(), wanted)
    elif "output_masks" in call and not case.get("calls") and not states:
        assert all(get_mask(output) is None for output in outputs), "a mask came out where none was recorded"
    return outputs


def _check_gradients(case: Case, layer: Layer, inputs: list[Tensor], states: list[Tensor], outputs: list[Tensor]) -> None:
    total = sum((output * torch.as_tensor(case.array(key))).sum() for output, key in zip(outputs, case["cotangents"], strict=True))
    wanted = case["grads"]
    pairs: list[tuple[str, Tensor, Any, Any]] = []
    for what, tensors, keys in (("input", inputs, wanted["inputs"]), ("initial state", states, wanted.get("initial_state") or [])):
        pairs += [(f"{what} {number}", tensor, key, None) for number, (tensor, key) in enumerate(zip(tensors, keys, strict=True))]
    weights = layer.stored_weights
    assert len(weights) == len(wanted["weights"])
    pairs += [(weight.name, weight.parameter, key, weight.spec) for weight, key in zip(weights, wanted["weights"], strict=True)]
    asked = [pair for pair in pairs if pair[1].requires_grad]
    assert not [name for name, tensor, key, _ in pairs if key is not None and not tensor.requires_grad], "a recorded gradient has no counterpart"
    if not asked:
        return
    gradients = torch.autograd.grad(total, [pair[1] for pair in asked], allow_unused=True)  # type: ignore[arg-type]
    for (name, _, key, spec), gradient in zip(asked, gradients, strict=True):
        if key is None:
            assert gradient is None or not gradient.any(), f"gradient of {name}, where none was recorded"
            continue
        assert gradient is not None, f"no gradient of {name}"
        close(gradient if spec is None else spec.layout.to_keras(gradient, spec.shape), case.array(key), case["grad_atol"], f"gradient of {name}")
