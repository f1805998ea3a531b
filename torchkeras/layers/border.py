"""The border to Keras: weights in Keras' order and layout, `trainable`, state dicts into unbuilt layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from torchkeras import config
from torchkeras.layers.former_weights import in_form_of_keras1
from torchkeras.layers.raw_weights import holders
from torchkeras.layers.symbolic import in_trial
from torchkeras.layers.weights import KerasWeight, Weighted, assign_all


class KerasBorder(Weighted):
    """The weights of a layer and of all layers inside it, as Keras code sees them."""

    built: bool
    _dtype: Any
    _keras1_form: bool = False  # whether `weights` has the form of Keras 1

    @property
    def trainable(self) -> bool:
        """Whether the weights are trained; setting it reaches all layers inside."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        for module in self.modules():
            if isinstance(module, Weighted):
                module._trainable = bool(value)
            else:
                module.__dict__["_keras_trainable"] = bool(value)
        for parameter in self.parameters():
            parameter.requires_grad_(bool(value))

    @property
    def trainable_weights(self) -> list[KerasWeight]:
        """Keras-layout views of what is trained now."""
        return [w for layer in self._weighted_layers() if layer._trainable for w in layer.own_weights(trainable=True)] if self._trainable else []

    @trainable_weights.setter
    def trainable_weights(self, values: Any) -> None:
        self._declare(list(values), trainable=True)

    @property
    def non_trainable_weights(self) -> list[KerasWeight]:
        """Keras-layout views of what is not trained now."""
        frozen: list[KerasWeight] = []
        for layer in self._weighted_layers():
            if not (self._trainable and layer._trainable):
                frozen += layer.own_weights(trainable=True)
            frozen += layer.own_weights(trainable=False)
        return frozen

    @non_trainable_weights.setter
    def non_trainable_weights(self, values: Any) -> None:
        self._declare(list(values), trainable=False)

    @property
    def stored_weights(self) -> list[KerasWeight]:
        """A view of each weight that is stored, in the order of Keras' files: what is trained now stands first."""
        return self.trainable_weights + self.non_trainable_weights

    @property
    def weights(self) -> list[KerasWeight]:
        """Keras-layout views of all weights, in Keras' order; layers made as Keras 1's list the gates of LSTM and GRU apart."""
        return in_form_of_keras1(self.stored_weights)

    trainable_variables = _trainable_weights = trainable_weights
    non_trainable_variables = _non_trainable_weights = non_trainable_weights
    variables = weights

    def _weighted_layers(self) -> list[Any]:
        """What holds weights: this layer, layers and parts of raw modules inside it, each once, in the order of their weights."""
        return list(holders(self, self.weight_scope()))

    def get_weights(self) -> list[np.ndarray]:
        """Copies of all weights as NumPy arrays, in Keras' order and layout."""
        return [weight.numpy() for weight in self._in_order()]

    def set_weights(self, weights: Any) -> None:
        """Write arrays in the order of `get_weights()`; all or none.

        What Keras 1 lists otherwise than later releases, such as the gates of an LSTM, is taken in either form, as the shapes tell.

        Raises:
            ValueError: another number of arrays or another shape.
        """
        views, arrays = self._in_order(), list(weights)
        if not self.built and len(arrays) != len(views):
            raise ValueError(f"Layer '{self.name}' has no weights yet: call it on data or give it an input_shape before set_weights().")
        shapes = [tuple(np.shape(array)) for array in arrays]
        if [tuple(view.shape) for view in views] != shapes:
            others = [self._in_order(keras1=True), self._in_order(keras1=False)]
            views = next((other for other in others if [tuple(view.shape) for view in other] == shapes), views)
        assign_all(views, arrays, f"Layer '{self.name}'")

    def _in_order(self, keras1: bool | None = None) -> list[KerasWeight]:
        """The weights in the order of `get_weights()`; `keras1`: in the form of that release or of later ones, whatever the layers follow."""
        return in_form_of_keras1(self.stored_weights, keras1)

    def count_params(self) -> int:
        """Number of scalars in the weights.

        Raises:
            ValueError: the layer was not built.
        """
        if not self.built:
            raise ValueError(
                f"You tried to call count_params() on layer '{self.name}', but it isn't built. Call it on data, or give it an input_shape."
            )
        return sum(weight.numel() for weight in self.stored_weights)

    def add_update(self, updates: Any, inputs: Any = None) -> None:
        """Write new values into weights when the layer trains, from inside `call`.

        Args:
            updates: (weight, new value), a function without arguments, or a list of them. What `K.update` and the like gave is
                taken, too: they have written already.
            inputs: Accepted for Keras' sake: updates belong to the call that made them.
        """
        if in_trial() or not self.training:
            return
        pair = isinstance(updates, tuple) and len(updates) == 2 and isinstance(updates[0], Tensor)
        for update in [updates] if pair or not isinstance(updates, (list, tuple)) else updates:
            if isinstance(update, (list, tuple)):
                target, value = update
                with torch.no_grad():
                    target.copy_(torch.as_tensor(value))
            elif callable(update) and not isinstance(update, Tensor):
                update()

    @property
    def updates(self) -> list[Any]:
        """Nothing, as in tf.keras: updates are written when they are added. Setting it is `add_update`, as Keras 1 code means it."""
        return []

    @updates.setter
    def updates(self, values: Any) -> None:
        self.add_update(values)

    def get_updates_for(self, inputs: Any) -> list[Any]:
        """Nothing: see `updates`."""
        return self.updates

    @property
    def submodules(self) -> tuple[nn.Module, ...]:
        """All modules inside this one."""
        return tuple(module for module in self.modules() if module is not self)

    @property
    def config_class_name(self) -> str | None:
        """What configs call this class where it is not its own name: torch puts a class of its own around one with parametrizations."""
        return type(self).__mro__[1].__name__ if parametrize.is_parametrized(self) else None

    @property
    def dtype(self) -> str:
        """Name of the float type of the weights."""
        parameter = next(self.parameters(recurse=False), None)
        if parameter is not None and parameter.is_floating_point():
            return str(parameter.dtype).removeprefix("torch.")
        return str(self._dtype).removeprefix("torch.") if self._dtype is not None else config.floatx()

    def _weight_dtype(self) -> torch.dtype:
        if isinstance(self._dtype, torch.dtype):
            return self._dtype
        return config.FLOAT_TYPES.get(str(self._dtype), config.float_dtype())

    def input_shape_from_state(self, state: Mapping[str, Tensor]) -> Any:
        """An input shape that would make weights like these (torch names and layouts), or `None` where that cannot be told."""
        return None

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:  # type: ignore[override]
        if not self.built:
            own = {key[len(prefix) :]: value for key, value in state_dict.items() if key.startswith(prefix) and isinstance(value, Tensor)}
            shape = self.input_shape_from_state(own)
            if shape is not None:
                self.build_now(shape)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def build_now(self, input_shape: Any, device: torch.device | None = None) -> None:
        """Run `build` for a shape; `Layer` says how."""
        raise NotImplementedError
