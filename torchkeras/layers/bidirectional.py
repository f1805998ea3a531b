"""`Bidirectional`: a recurrent layer that reads a sequence from both ends."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from torchkeras import generations
from torchkeras.layers.base import Layer, layer_registry
from torchkeras.layers.raw_modules import torch_call
from torchkeras.layers.recurrent.arguments import SequenceArguments
from torchkeras.layers.recurrent.calling import takes
from torchkeras.layers.recurrent.gated_cell import GatedCell
from torchkeras.layers.recurrent.rnn import RNN
from torchkeras.layers.serialization import deserialize, serialize
from torchkeras.layers.symbolic import in_trial
from torchkeras.layers.wrapper import Wrapper
from torchkeras.ops.recurrent import run_both, run_fused
from torchkeras.registry import custom_object_scope

MERGE_MODES = ("sum", "mul", "concat", "ave", None)


@layer_registry.add()
class Bidirectional(SequenceArguments, Wrapper):
    """Runs a recurrent layer and its mirror image and merges what they put out.

    Args:
        layer: A recurrent layer, the pattern of the forward one: `RNN`, `LSTM`, ..., or a layer with `go_backwards`, `return_sequences`,
            `return_state` and `get_config`.
        merge_mode: "concat", "sum", "mul", "ave", or `None`: a list of both outputs.
        weights: Initial values of all weights, the forward layer's first.
        backward_layer: The layer that reads backwards; `None`: made of `layer`'s config.

    Shape:
        inputs (batch, steps, size) -> (batch, [steps,] 2 * units), or (batch, [steps,] units) where the outputs are not concatenated;
        initial_state: the forward layer's states, then the backward layer's

    Raises:
        ValueError: an unknown `merge_mode`, or layers that do not fit together.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `Bidirectional`.
    """

    supports_masking = True
    resolves_training = True

    def __init__(self, layer: Any, merge_mode: str | None = "concat", weights: Any = None, backward_layer: Any = None, **kwargs: Any) -> None:
        if merge_mode not in MERGE_MODES:
            raise ValueError(f"Bidirectional takes merge_mode as one of {MERGE_MODES}, but got {merge_mode!r}.")
        for which in (layer, backward_layer):
            if which is not None and not isinstance(which, Layer):
                raise ValueError(f"Bidirectional needs a recurrent layer, but got {which!r}. A raw torch cell goes into RNN(cell) first.")
        num_constants = kwargs.pop("num_constants", 0)
        super().__init__(layer, weights=weights, **kwargs)
        self.merge_mode = merge_mode
        self._num_constants = num_constants or 0
        self.forward_layer = twin(layer)
        self.backward_layer = twin(layer, mirrored=True) if backward_layer is None else backward_layer
        self._backward_config = None if backward_layer is None else serialize(backward_layer)
        self.forward_layer.name = f"forward_{self.forward_layer.name}"
        self.backward_layer.name = f"backward_{self.backward_layer.name}"
        self._check_pair()
        self.return_sequences = layer.return_sequences
        self.return_state = layer.return_state
        self.stateful = getattr(layer, "stateful", False)
        self.time_major = getattr(layer, "time_major", False)
        self.unroll = getattr(layer, "unroll", False)
        self.input_spec = copy.copy(layer.input_spec)
        if layer.built and not generations.choose("bidirectional.zero_masked"):  # Keras 2.2.4 goes on with the layer it was given
            self.forward_layer._initial_weights = layer.get_weights()
        if generations.choose("bidirectional.zero_masked"):
            for side in (self.forward_layer, self.backward_layer):
                if hasattr(side, "zero_output_for_mask"):
                    side.zero_output_for_mask = side.return_sequences

    def keep_layer(self, layer: nn.Module) -> None:
        self.__dict__["layer"] = layer  # the pattern of the two, not a child with weights of its own

    def _check_pair(self) -> None:
        forward, backward = self.forward_layer, self.backward_layer
        if forward.go_backwards == backward.go_backwards:
            raise ValueError(
                f"Bidirectional '{self.name}' needs layers of opposite directions, but go_backwards={forward.go_backwards} in both. "
                "Make the backward_layer with go_backwards=True."
            )
        for name in ("stateful", "return_sequences", "return_state"):
            values = getattr(forward, name), getattr(backward, name)
            if values[0] != values[1]:
                raise ValueError(f"Bidirectional '{self.name}' needs the same {name} in both layers, but got {values[0]} and {values[1]}.")

    def build(self, input_shape: Any) -> None:
        for side in (self.forward_layer, self.backward_layer):
            self.build_inside(side, input_shape, f"{self.weight_scope()}/{side.name}")
        self.input_spec = copy.copy(self.forward_layer.input_spec)

    def input_shape_from_state(self, state: Any) -> Any:
        own = {key.removeprefix("forward_layer."): value for key, value in state.items() if key.startswith("forward_layer.")}
        return self.forward_layer.input_shape_from_state(own)

    def call(  # type: ignore[override]
        self, inputs: Any, training: bool | None = None, mask: Any = None, initial_state: Any = None, constants: Any = None
    ) -> Any:
        if isinstance(inputs, list):
            inputs, states, given = self.split_list(inputs)
            initial_state, constants = states or initial_state, given or constants
        training = self.training if training is None else bool(training)
        if initial_state is None and constants is None and type(inputs) is Tensor:
            quick = self._run_kernel(inputs, training) if mask is None else self._run_masked_kernel(inputs, mask, training)
            if quick is not None:
                return quick
        half = self._half(initial_state)
        forward = self._side(self.forward_layer, inputs, training, mask, None if initial_state is None else initial_state[:half], constants)
        backward = self._side(self.backward_layer, inputs, training, mask, None if initial_state is None else initial_state[half:], constants)
        states = [*forward[1:], *backward[1:]] if self.return_state else []
        first, second = (forward[0], backward[0]) if self.return_state else (forward, backward)
        if self.return_sequences:
            second = second.flip(0 if self.time_major else 1)
        return self._with_states(self._merge(first, second), states)

    def _with_states(self, merged: Any, states: list[Tensor]) -> Any:
        if self.merge_mode is None:
            return [*merged, *states]
        return [merged, *states] if self.return_state else merged

    def _run_kernel(self, inputs: Tensor, training: bool) -> Any:
        """Both directions in one call of a fused kernel, where nothing else is asked of them; else `None`."""
        mode, forward, backward = self._kernel_of_both(inputs, training)
        if mode is None:
            return None
        outputs, last = run_fused(mode, inputs, None, forward.weights_for_torch(), backward_weights=backward.weights_for_torch())
        states = [state[side] for side in (0, 1) for state in last]
        return self._merged(outputs if self.return_sequences else None, (states[0], states[len(last)]), states)

    def _run_masked_kernel(self, inputs: Tensor, mask: Any, training: bool) -> Any:
        """The same of the valid steps; `None` also where two calls are quicker."""
        if type(mask) is not Tensor or mask.dtype is not torch.bool or mask.shape != inputs.shape[:2]:
            return None
        mode, forward, backward = self._kernel_of_both(inputs, training)
        one, other = self.forward_layer, self.backward_layer
        if mode is None or one.rule_for_masked_steps != other.rule_for_masked_steps or one.masked != other.masked:
            return None
        found = run_both(
            mode,
            inputs,
            mask,
            forward.weights_for_torch(),
            backward.weights_for_torch(),
            return_sequences=self.return_sequences,
            masked_output=one.rule_for_masked_steps,
            masked=one.masked,
        )
        return None if found is None else self._merged(found.outputs, found.last, found.states)

    def _merged(self, outputs: Tensor | None, last: Sequence[Tensor], states: Sequence[Tensor]) -> Any:
        """What the layer puts out, of the outputs side by side, or of the last output of each direction."""
        if outputs is None:
            merged = self._merge(last[0], last[1])
        else:
            merged = outputs if self.merge_mode == "concat" else self._merge(*outputs.chunk(2, -1))
        return self._with_states(merged, list(states) if self.return_state else [])

    def _kernel_of_both(self, inputs: Tensor, training: bool) -> tuple[str | None, Any, Any]:
        """The mode of the fused kernel that runs both directions at once, if there is one, and their cells.

        On the CPU alone: cuDNN wants the weights of one call in one piece of memory, and each side has a piece of its own.
        """
        if self.stateful or self.time_major or inputs.device.type != "cpu" or inputs.dim() != 3 or inputs.shape[1] == 0 or in_trial():
            return None, None, None
        forward, backward = self._standard_cell(self.forward_layer), self._standard_cell(self.backward_layer)
        if forward is None or backward is None or self.forward_layer.go_backwards:
            return None, None, None
        mode = forward.kernel_mode(training)
        same = forward.units == backward.units and forward.use_bias == backward.use_bias
        return (mode, forward, backward) if same and backward.kernel_mode(training) == mode else (None, None, None)

    def _standard_cell(self, layer: Any) -> GatedCell | None:
        """The cell of a side whose own calls nobody waits for, as activity regularizers do."""
        watched = layer._forward_hooks or layer._forward_pre_hooks or layer._backward_hooks or layer._backward_pre_hooks
        cell = getattr(layer, "cell", None)
        plain = isinstance(layer, RNN) and type(layer).call is RNN.call and isinstance(cell, GatedCell)
        return cell if plain and not watched else None

    def _half(self, initial_state: Any) -> int:
        count = 0 if initial_state is None else len(initial_state)
        if count % 2:
            raise ValueError(
                f"Bidirectional '{self.name}' needs the initial states of both directions, the forward layer's first, but got {count} of them."
            )
        return count // 2

    def _side(self, layer: Any, inputs: Any, training: bool | None, mask: Any, states: Any, constants: Any) -> Any:
        given = {"training": training, "mask": mask, "initial_state": states, "constants": constants}
        known = {name: value for name, value in given.items() if value is not None and takes(layer, name)}
        return torch_call(layer, inputs, **layer.fill(known, None))

    def _merge(self, first: Tensor, second: Tensor) -> Any:
        if self.merge_mode == "concat":
            return torch.cat((first, second), -1)
        if self.merge_mode == "sum":
            return first + second
        if self.merge_mode == "ave":
            return (first + second) / 2
        return first * second if self.merge_mode == "mul" else [first, second]

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        mask = mask[0] if isinstance(mask, (list, tuple)) else mask
        output_mask = mask if self.return_sequences else None
        masks = [output_mask, output_mask] if self.merge_mode is None else [output_mask]
        if self.return_state:
            return masks + [None] * (2 * len(self.forward_layer.states))
        return masks if self.merge_mode is None else output_mask

    @property
    def states(self) -> list[Tensor | None]:
        """The states kept from the batch before, the forward layer's first."""
        return [*self.forward_layer.states, *self.backward_layer.states]

    def reset_states(self) -> None:
        """Forget the states of both directions."""
        self.forward_layer.reset_states()
        self.backward_layer.reset_states()

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "merge_mode": self.merge_mode}
        if self._num_constants:
            config["num_constants"] = self._num_constants
        if self._backward_config is not None:
            config["backward_layer"] = self._backward_config
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Bidirectional:
        """Make a layer from `get_config()`."""
        rest = dict(config)
        layer = deserialize(rest.pop("layer"), custom_objects)
        if rest.get("backward_layer") is not None:
            rest["backward_layer"] = deserialize(rest["backward_layer"], custom_objects)
        return cls(layer, **rest)


def twin(layer: Any, *, mirrored: bool = False) -> Any:
    """A new layer like this one, with weights of its own; `mirrored`: in the other direction."""
    try:
        config = layer.get_config()
    except ValueError:  # a cell without a config, such as torch's own
        made = copy.deepcopy(layer)
        for module in made.modules():
            if isinstance(module, nn.RNNCellBase):
                module.reset_parameters()
    else:
        if mirrored:
            config["go_backwards"] = not config["go_backwards"]
        inner = [type(module) for module in layer.modules() if isinstance(module, Layer)]
        with custom_object_scope({kind.__name__: kind for kind in inner if not kind.__module__.startswith("torchkeras.")}):
            return type(layer).from_config(config)
    made.go_backwards = made.go_backwards != mirrored
    return made
