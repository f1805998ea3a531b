"""The states that a recurrent layer starts with, and those it keeps from batch to batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchkeras.layers.base import Layer
from torchkeras.layers.recurrent.calling import cell_states, flat_sizes


class KeptStates(Layer):
    """States of a recurrent layer: given by call, kept across batches where it is stateful, or zeros."""

    cell: Any
    _recorded_first: bool
    _just_reset: bool = False

    def _zero_states(self, one_step: Tensor) -> list[Tensor]:
        raise NotImplementedError

    def state_names(self) -> list[str]:
        """Names of the buffers that keep the states; they are no part of the state_dict, as in Keras' weights."""
        return [f"state_{number}" for number in range(len(flat_sizes(cell_states(self.cell))))]

    @property
    def states(self) -> list[Tensor | None]:
        """The states kept from the batch before; `None` before the first one, or where the layer is not stateful."""
        return [self._buffers.get(name) for name in self.state_names()]

    @states.setter
    def states(self, values: Sequence[Tensor]) -> None:
        self.keep_states(values)

    def keep_states(self, values: Sequence[Tensor]) -> None:
        """Keep states for the next batch: detached, on their device, each in memory of its own."""
        for number, (name, value) in enumerate(zip(self.state_names(), values, strict=True)):
            shared = any(value is other for other in values[:number])  # one tensor of zeros may stand for all of them
            kept = value.detach().clone() if shared else value.detach()
            if name in self._buffers:
                self._buffers[name] = kept
            else:
                self.register_buffer(name, kept, persistent=False)
        self._just_reset = False

    def starting_states(self, inputs: Tensor, initial_state: Any) -> list[Tensor]:
        """The states to begin a batch with.

        Args:
            inputs: (batch, steps, ...).
            initial_state: The caller's: a list of tensors, or `None`.

        Raises:
            ValueError: another number of states, or states of another size, than the cell has, or a stateful layer whose batch size changed.
        """
        given = None if initial_state is None else self._checked(initial_state, inputs)
        if not self.stateful:
            return self._zero_states(inputs[:, 0]) if given is None else given
        kept = self._kept(inputs)
        if given is None:
            return kept
        if not self._recorded_first or self._buffers.get(self.state_names()[0]) is None:
            return given
        moved = torch.stack([state.count_nonzero() for state in kept]).sum() > 0
        return [torch.where(moved, own, new) for own, new in zip(kept, given, strict=True)]

    def _checked(self, initial_state: Any, inputs: Tensor) -> list[Tensor]:
        given = [torch.as_tensor(state).to(inputs) if isinstance(state, np.ndarray) else state for state in flat_sizes(initial_state)]
        names = self.state_names()
        if len(given) != len(names):
            raise ValueError(f"'{self.name}' has {len(names)} states, but was passed {len(given)} initial states.")
        for number, (state, size) in enumerate(zip(given, flat_sizes(cell_states(self.cell)), strict=True)):
            if state.shape[0] != inputs.shape[0] or not self._fits(state, size):
                wanted = (inputs.shape[0], *self._size(size))
                raise ValueError(f"Initial state {number} of '{self.name}' must have the shape {wanted}, but got {tuple(state.shape)}.")
        return given

    def _size(self, size: Any) -> tuple[Any, ...]:
        return tuple(size) if isinstance(size, torch.Size) else (size,)

    def _fits(self, state: Tensor, size: Any) -> bool:
        return tuple(state.shape[1:]) == self._size(size)

    def _kept(self, inputs: Tensor) -> list[Tensor]:
        kept = self.states
        if any(state is None for state in kept):
            return self._zero_states(inputs[:, 0])
        states = [state for state in kept if state is not None]
        if states[0].shape[0] != inputs.shape[0]:
            if self._just_reset:
                return self._zero_states(inputs[:, 0])
            raise ValueError(
                f"'{self.name}' is stateful and keeps the states of {states[0].shape[0]} rows, but got a batch of {inputs.shape[0]}. "
                "Give it batches of one size (a number of samples that the batch size divides), or call reset_states() before another size."
            )
        if torch.is_inference_mode_enabled():
            return states
        return [state.clone() if state.is_inference() else state for state in states]  # autograd takes none of inference's

    def reset_states(self, states: Any = None) -> None:
        """Forget the states, or set them.

        Args:
            states: Arrays or tensors, one for each state; `None`: zeros, and the next batch may have another size.

        Raises:
            AttributeError: the layer is not stateful.
            ValueError: another number of states or another shape.
        """
        if not self.stateful:
            raise AttributeError(f"'{self.name}' is not stateful, so it has no states to reset. Make it with stateful=True.")
        names = self.state_names()
        if states is None:
            if self.states[0] is not None:
                self.keep_states([torch.zeros_like(state) for state in self.states if state is not None])
            self._just_reset = True  # of zeros: the next batch may have another size
            return
        values = [states] if isinstance(states, (np.ndarray, Tensor)) else list(flat_sizes(states))
        if len(values) != len(names):
            raise ValueError(f"'{self.name}' has {len(names)} states, but reset_states() got {len(values)}.")
        parameter = next(self.parameters(), torch.empty(0))
        tensors = [torch.as_tensor(value).to(parameter) for value in values]
        sizes = flat_sizes(cell_states(self.cell))
        for number, (tensor, size, kept) in enumerate(zip(tensors, sizes, self.states, strict=True)):
            if not self._fits(tensor, size) or (kept is not None and kept.shape != tensor.shape):
                wanted = tuple(kept.shape) if kept is not None else ("batch", *self._size(size))
                raise ValueError(f"State {number} of '{self.name}' must have the shape {wanted}, but reset_states() got {tuple(tensor.shape)}.")
        self.keep_states([tensor.clone() for tensor in tensors])
