"""`K.function`: a part of a graph as a function of arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from torchkeras.backend.control import LearningPhase
from torchkeras.backend.conversion import as_tensor, default_device
from torchkeras.backend.gradient import symbolic_gradients
from torchkeras.backend.values import get_value, set_value
from torchkeras.graph.network import Network
from torchkeras.graph.record import sorted_nodes
from torchkeras.layers.phase import current_phase
from torchkeras.layers.symbolic import KerasTensor


class Function:
    """A part of a graph that runs on arrays, what `K.function` makes.

    Args:
        inputs: The symbolic tensors to feed, `K.learning_phase()` among them if it is to be chosen in each call; a list or one.
        outputs: The tensors to compute, a list or one; what is no symbolic tensor, such as a weight, is read in each call.
        updates: Pairs (variable, new value): after the outputs, the values are computed and written.
        name: A label, for messages.

    Raises:
        ValueError: an output that needs an input which is not there.
    """

    def __init__(self, inputs: Any, outputs: Any, updates: Sequence[Any] | None = None, name: str | None = None) -> None:
        self.name = name or "K.function"
        self.inputs = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
        self.outputs = list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]
        self._one_output = not isinstance(outputs, (list, tuple))
        self._one_input = not isinstance(inputs, (list, tuple))
        self.updates = [one for one in updates or () if isinstance(one, tuple)]  # another was carried out when it was made
        wrong = [one for one in self.inputs if not isinstance(one, (KerasTensor, LearningPhase))]
        if wrong:
            raise TypeError(f"{self.name} takes symbolic tensors and K.learning_phase() as inputs, but got {wrong[0]!r}.")
        self._fed = [one for one in self.inputs if isinstance(one, KerasTensor)]
        self._computed = [one for one in (*self.outputs, *(new for _, new in self.updates)) if isinstance(one, KerasTensor)]
        self._network = self._make_network() if self._computed else None

    def _make_network(self) -> Network:
        _, layers = sorted_nodes(self._fed, self._computed)
        modes = {module: module.training for layer in layers for module in layer.modules()}
        network = Network(self._fed, self._computed, name="k_function")
        for module, training in modes.items():
            module.training = training  # a network sets those of raw modules
        self._gradients = any(getattr(layer, "function", None) is symbolic_gradients for layer in layers)
        return network

    def __call__(self, inputs: Any) -> Any:
        """Run on arrays or tensors, one for each input.

        Returns:
            Arrays, as many as outputs; one alone where one alone was asked for.

        Raises:
            ValueError: another number of inputs.
        """
        values = [inputs] if self._one_input else list(inputs)
        if len(values) != len(self.inputs):
            raise ValueError(f"{self.name} has {len(self.inputs)} inputs, but was called with {len(values)}.")
        phase = next((value for symbol, value in zip(self.inputs, values, strict=True) if isinstance(symbol, LearningPhase)), current_phase())
        computed: list[Any] = []
        if self._network is not None:
            computed = self._run(self._network, values, bool(phase))
        found = iter(computed)
        results = [get_value(next(found) if isinstance(one, KerasTensor) else one) for one in self.outputs]
        news = [next(found) if isinstance(new, KerasTensor) else new for _, new in self.updates]
        for (variable, _), new in zip(self.updates, news, strict=True):
            set_value(variable, new)
        return results[0] if self._one_output else results

    def _run(self, network: Network, values: list[Any], training: bool) -> list[Tensor]:
        device = next((weight.device for weight in network.parameters()), default_device())
        fed = []
        for symbol, value in zip(self.inputs, values, strict=True):
            if isinstance(symbol, KerasTensor):
                tensor = as_tensor(value).detach().to(device, symbol.dtype)
                fed.append(tensor.requires_grad_() if self._gradients and tensor.is_floating_point() else tensor)
        with torch.set_grad_enabled(self._gradients):
            return list(network.call(fed, training=training))


def function(inputs: Any, outputs: Any, updates: Sequence[Any] | None = None, name: str | None = None, **kwargs: Any) -> Function:
    """Make a function of arrays from a part of a graph.

    Args:
        inputs: The symbolic tensors to feed, `K.learning_phase()` among them if it is to be chosen in each call; a list or one.
        outputs: The tensors to compute, a list or one.
        updates: Pairs (variable, new value) to be written in each call.
        name: A label, for messages.
        **kwargs: None: what TensorFlow's sessions and Theano's functions take has no meaning here.

    Raises:
        ValueError: an output that needs an input which is not there, or another argument.
    """
    if kwargs:
        raise ValueError(
            f"K.function got {next(iter(kwargs))!r}, an argument of TensorFlow's sessions or Theano's functions. Leave it out: torch has neither."
        )
    return Function(inputs, outputs, updates, name)
