"""`RNN`: any cell over sequences, with masks, initial states and states kept across batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from torchkeras import generations
from torchkeras.layers.base import Layer, layer_registry
from torchkeras.layers.config import base_config
from torchkeras.layers.input_spec import InputSpec
from torchkeras.layers.recurrent.arguments import SequenceArguments
from torchkeras.layers.recurrent.calling import cell_states, flat_sizes, pack_like, takes
from torchkeras.layers.recurrent.chain import run_in_a_row
from torchkeras.layers.recurrent.gated_cell import GatedCell, zero_states
from torchkeras.layers.recurrent.running import Request, run_cell
from torchkeras.layers.recurrent.stacked import StackedRNNCells, check_cell
from torchkeras.layers.recurrent.states import KeptStates
from torchkeras.layers.serialization import deserialize, serialize
from torchkeras.layers.symbolic import in_trial
from torchkeras.ops.recurrent import FORMS, Link, known_lengths, run_fused


@layer_registry.add()
class RNN(SequenceArguments, KeptStates):
    """A recurrent layer made of a cell.

    Args:
        cell: A cell, or a list of cells to stack: `SimpleRNNCell`, `LSTMCell`, `GRUCell`, one of torch's own
            (`torch.nn.LSTMCell`, ...), or any object with `state_size` and `call(inputs, states)` -> (output, new states).
        return_sequences: Put out all steps, not the last alone.
        return_state: Put out the last states too: [output, state, ...]; of stacked cells [output, [state, ...], ...], a list for each cell of
            several states, where the release does so (tf.keras).
        go_backwards: Process the steps from the last to the first; outputs come in that order.
        stateful: Start each batch with the states in which the one before ended; the batch size must not change.
        unroll: Has no effect on speed here, where loops are not compiled; as in Keras the number of steps must then be known, and
            masked steps before the first valid one put out zeros in every release.
        time_major: Inputs, masks and outputs are (steps, batch, ...).
        zero_output_for_mask: Masked steps put out zeros.
        masked: How masked steps are passed over, with the same numbers: "dense", "packed", "scan" or "auto", the fastest known.

    Shape:
        inputs (batch, steps, size), mask (batch, steps) -> (batch, units), or (batch, steps, units); states (batch, units)

    Raises:
        ValueError: something that is no cell, or a `masked` that is not known.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `RNN`.
    """

    supports_masking = True
    resolves_training = True
    runs_chain = staticmethod(run_in_a_row)
    _nests_states: bool = False
    scopes_cell: ClassVar[bool] = True  # variables have the cell's name in theirs, where the release does that

    def __init__(
        self,
        cell: Any,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        time_major: bool = False,
        *,
        zero_output_for_mask: bool = False,
        masked: str = "auto",
        **kwargs: Any,
    ) -> None:
        if isinstance(cell, (list, tuple)):
            cell = StackedRNNCells(cell)
        check_cell(cell, "The cell of an RNN")
        if masked not in FORMS:
            raise ValueError(f"{type(self).__name__} takes masked as one of {FORMS}, but got {masked!r}.")
        if "input_shape" not in kwargs and ("input_dim" in kwargs or "input_length" in kwargs):
            kwargs["input_shape"] = (kwargs.pop("input_length", None), kwargs.pop("input_dim", None))
        num_constants = kwargs.pop("num_constants", 0)
        super().__init__(**kwargs)
        self.cell = cell
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.go_backwards = go_backwards
        self.stateful = stateful
        self.unroll = unroll
        self.time_major = time_major
        self.zero_output_for_mask = zero_output_for_mask
        self.masked = masked
        self._num_constants = num_constants or 0
        self._masked_output = "output" if unroll else generations.choose("rnn.masked_output")
        self._nests_states = generations.choose("rnn.nested_states")
        self._recorded_first = generations.choose("rnn.stateful_start") == "recorded"
        self._cell_scope = self.scopes_cell and generations.choose("rnn.cell_scope")

    # -- building

    def build(self, input_shape: Any) -> None:
        if isinstance(input_shape, dict) or isinstance(input_shape[0], (tuple, list)):  # nested inputs, for a cell that takes such
            self.build_cell(pytree.tree_map(self._step_shape, input_shape, is_leaf=_is_shape))
            return
        step = self._step_shape(input_shape)
        self.build_cell(step)
        self.input_spec = InputSpec(shape=(None, None, *input_shape[2:]))
        if self.stateful and None not in step:
            known = [int(size or 0) for size in step]
            self.keep_states(self._zero_states(torch.zeros(known, dtype=self._weight_dtype(), device=self._build_device)))

    def build_cell(self, step_shape: Any) -> None:
        """Build the cell for inputs of one step."""
        cell = self.cell
        if not isinstance(cell, Layer) or cell.built:
            return
        cell._scope = f"{self.weight_scope()}/{cell.name}" if self._cell_scope else self.weight_scope()  # type: ignore[attr-defined]
        with_constants = self._constants_shapes and takes(cell, "constants") and not self._cell_scope
        cell.build_now([step_shape, *self._constants_shapes] if with_constants else step_shape, self._build_device)

    def _step_shape(self, shape: Any) -> tuple[int | None, ...]:
        return tuple(shape[1:]) if self.time_major else (shape[0], *shape[2:])

    def input_shape_from_state(self, state: Any) -> Any:
        inner = {key.removeprefix("cell."): value for key, value in state.items() if key.startswith("cell.")}
        inner.update({key.removeprefix("cell.cells.0."): value for key, value in state.items() if key.startswith("cell.cells.0.")})
        return (None, None, inner["weight_ih"].shape[1]) if "weight_ih" in inner else None

    # -- computing

    def call(  # type: ignore[override]
        self, inputs: Any, mask: Any = None, training: bool | None = None, initial_state: Any = None, constants: Any = None
    ) -> Any:
        training = self.training if training is None else bool(training)
        if mask is None and initial_state is None and constants is None and type(inputs) is Tensor:
            quick = self._run_kernel(inputs, training)
            if quick is not None:
                return quick
        if isinstance(inputs, list):
            inputs, states, given = self.split_list(inputs)
            initial_state, constants = states or initial_state, given or constants
        mask = mask[0] if isinstance(mask, (list, tuple)) else mask
        if mask is not None:
            mask = mask if mask.dtype is torch.bool else mask.bool()
            mask = mask.squeeze(2) if mask.dim() == 3 and mask.shape[2] == 1 else mask
        if self.time_major:
            inputs = pytree.tree_map(lambda part: part.transpose(0, 1), inputs)
            mask = None if mask is None else mask.transpose(0, 1)
        first = inputs if isinstance(inputs, Tensor) else pytree.tree_leaves(inputs)[0]
        if first.shape[1] == 0:
            raise ValueError(
                f"'{self.name}' needs at least one time step, but got sequences of length 0. Drop them, or pad them and mask the padding."
            )
        if constants and not takes(self.cell, "constants"):
            raise ValueError(f"'{self.name}' got constants, but its cell {type(self.cell).__name__} has no argument `constants` in call().")
        states = self.starting_states(first, initial_state)
        result = self._run(inputs, states, mask, list(constants or []), training, first.shape[1])
        if self.stateful and not in_trial():
            self.keep_states(result.states)
        output = result.outputs if self.return_sequences else result.last
        if self.time_major and self.return_sequences and output is not None:
            output = output.transpose(0, 1)
        return [output, *self._nested(result.states)] if self.return_state else output

    def _nested(self, states: Sequence[Tensor]) -> Sequence[Any]:
        """Last states as they are put out: flat (Keras 2.2.4), or nested as the cell's `state_size` is, those of each stacked cell by themselves."""
        return pack_like(cell_states(self.cell), list(states)) if self._nests_states else states

    def _run_kernel(self, inputs: Tensor, training: bool) -> Any:
        """The whole layer as one call of a fused kernel, where nothing else is asked of it; else `None`."""
        cell = self._modules.get("cell")
        if self.stateful or self.time_major or not isinstance(cell, GatedCell) or inputs.dim() != 3 or inputs.shape[1] == 0 or in_trial():
            return None
        mode = cell.kernel_mode(training)
        if mode is None:
            return None
        outputs, states = run_fused(mode, inputs.flip(1) if self.go_backwards else inputs, None, cell.weights_for_torch())
        output = outputs if self.return_sequences else states[0]
        return [output, *states] if self.return_state else output

    def _run(self, inputs: Any, states: list[Tensor], mask: Tensor | None, constants: list[Tensor], training: bool, steps: int) -> Any:
        request = Request(
            self.go_backwards,
            self.return_sequences,
            self.return_state or self.stateful,
            self.rule_for_masked_steps,
            self.masked,
            None if mask is None else known_lengths(mask),
        )
        if not in_trial() or steps < 2:
            return run_cell(self.cell, inputs, states, mask, constants, training, request)
        # only the shapes are asked for: one step tells them
        result = run_cell(self.cell, pytree.tree_map(lambda part: part[:, :1], inputs), states, None, constants, training, request)
        if result.outputs is None:
            return result
        return result._replace(outputs=result.outputs.expand(-1, steps, *result.outputs.shape[2:]))

    @property
    def rule_for_masked_steps(self) -> str:
        """What a masked step puts out; see `torchkeras.ops.recurrent.run`."""
        return "zeros" if self.zero_output_for_mask else self._masked_output

    def as_link(self, *, last: bool) -> Link | None:
        """The layer as one of several that run at once, `last`: as the last of them; `None` where it has to be called."""
        own, cell = type(self), self._modules.get("cell")
        if own.call is not RNN.call or own.forward is not RNN.forward or own.compute_mask is not RNN.compute_mask:
            return None
        asks = self.stateful or self.time_major or self.return_state or self.go_backwards or self.masked != "auto"
        if asks or not (last or self.return_sequences) or not isinstance(cell, GatedCell) or not cell.built:
            return None
        recurrence = cell.plain_recurrence(self.training)
        return None if recurrence is None else Link(recurrence, cell.units, cell.states)

    def get_initial_state(self, inputs: Tensor) -> list[Tensor]:
        """The states of a batch before its first step: the cell's `get_initial_state`, or zeros.

        Args:
            inputs: (batch, steps, ...), or (steps, batch, ...) where `time_major`.
        """
        one_step = inputs[0] if self.time_major else inputs[:, 0]
        return self._zero_states(one_step)

    def _zero_states(self, one_step: Tensor) -> list[Tensor]:
        if isinstance(self.cell, GatedCell) and self.cell.runs_whole:
            return [one_step.new_zeros((one_step.shape[0], self.cell.units))] * self.cell.states
        make = getattr(self.cell, "get_initial_state", None)
        if make is None:
            return flat_sizes(zero_states(cell_states(self.cell), one_step, None, None))
        made = flat_sizes(make(inputs=one_step, batch_size=one_step.shape[0], dtype=one_step.dtype))
        return [state.to(one_step.device) for state in made]  # a user's cell may make them without a look at the inputs

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        mask = mask[0] if isinstance(mask, (list, tuple)) else mask
        output_mask = mask if self.return_sequences else None
        return [output_mask] + [None] * len(flat_sizes(cell_states(self.cell))) if self.return_state else output_mask

    @property
    def losses(self) -> list[Tensor]:
        """Scalars that the loss has beside the compiled one; Keras 2.2.4 names the cell's before the layer's."""
        found = super().losses
        own = 0 if self._call_losses_first else len(self._call_losses) + len(self._callable_losses)
        return found[own:] + found[:own]

    # -- configs

    def get_config(self) -> dict[str, Any]:
        return {**self.config_without_cell(), "cell": serialize(self.cell)}

    def config_without_cell(self) -> dict[str, Any]:
        """What the config says of the layer itself."""
        names = ["return_sequences", "return_state", "go_backwards", "stateful", "unroll"]
        if generations.choose("config.time_major"):
            names.append("time_major")
        config = {**base_config(self), **{name: getattr(self, name) for name in names}}
        for name, default in (("zero_output_for_mask", False), ("masked", "auto")):
            if getattr(self, name) != default:
                config[name] = getattr(self, name)
        if self._num_constants:
            config["num_constants"] = self._num_constants
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> RNN:
        """Make a layer from `get_config()`."""
        rest = dict(config)
        if isinstance(rest.get("cell"), dict):
            rest["cell"] = deserialize(rest["cell"], custom_objects)
        return cls(**rest)


def _is_shape(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and not any(isinstance(part, (tuple, list, dict)) for part in value)
