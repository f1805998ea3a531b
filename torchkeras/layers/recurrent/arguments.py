"""The arguments of a call of a recurrent layer, in all the forms that Keras takes."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from torchkeras.layers.base import Layer
from torchkeras.layers.recurrent.calling import flat_sizes
from torchkeras.layers.symbolic import is_symbolic, symbolic_leaves


class SequenceArguments(Layer):
    """A layer that takes `initial_state` and `constants` besides its inputs."""

    _num_constants: int = 0
    _constants_shapes: tuple[Any, ...] = ()

    def _enter(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        args, kwargs = self._standard_arguments(args, kwargs)
        return super()._enter(args, kwargs)

    def _standard_arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Keras allows `layer([x, *initial_state, *constants])`; inside they are arguments of their own."""
        kwargs = dict(kwargs)
        if not args and "inputs" in kwargs:
            args = (kwargs.pop("inputs"),)
        if args and isinstance(args[0], list):
            inputs, states, constants = self.split_list(args[0])
            args = (inputs, *args[1:])
            kwargs.update({key: value for key, value in (("initial_state", states), ("constants", constants)) if value})
        for key in ("initial_state", "constants"):
            value = kwargs.get(key)
            if value is None:
                kwargs.pop(key, None)
            elif not isinstance(value, (list, tuple)):
                kwargs[key] = [value]
        self._check_mixed([*flat_sizes(kwargs.get("initial_state") or []), *flat_sizes(kwargs.get("constants") or [])])
        if kwargs.get("constants"):
            self._num_constants = len(kwargs["constants"])
            self._constants_shapes = tuple(tuple(constant.shape) for constant in kwargs["constants"])
        if not self.built and args:
            self._check_symbolic(args[0])
        return args, kwargs

    def split_list(self, parts: list[Any]) -> tuple[Any, list[Any], list[Any]]:
        """(inputs, initial states, constants) out of Keras' one list of them."""
        if len(parts) > 1 and not any(isinstance(part, (Tensor, np.ndarray)) for part in parts[1:]):
            return parts, [], []  # plain numbers
        end = len(parts) - self._num_constants
        return parts[0], parts[1:end], parts[end:]

    def _check_mixed(self, tensors: list[Any]) -> None:
        symbolic = [is_symbolic(tensor) for tensor in tensors]
        if any(symbolic) and not all(symbolic):
            raise ValueError(
                f"The initial state and the constants of '{self.name}' must be all symbolic (outputs of layers or of Input) or all plain tensors, "
                "but got a mix of the two. Pass the plain ones through Input()."
            )

    def _check_symbolic(self, inputs: Any) -> None:
        """What must be known of the shape of a symbolic input."""
        leaves = symbolic_leaves(inputs)
        if not leaves:
            return
        batch, steps = leaves[0].shape[:2] if not getattr(self, "time_major", False) else leaves[0].shape[1::-1]
        if self.stateful and batch is None:
            raise ValueError(
                f"'{self.name}' is stateful, so it needs to know its batch size, but got an input of shape {tuple(leaves[0].shape)}. "
                "Give the first layer batch_input_shape=(...), or Input a batch_shape=(...)."
            )
        if getattr(self, "unroll", False) and steps is None:
            raise ValueError(
                f"'{self.name}' cannot unroll over an unknown number of steps: got an input of shape {tuple(leaves[0].shape)}. "
                "Give the first layer an input_shape with the number of steps (an Embedding: input_length), or leave unroll=False."
            )
