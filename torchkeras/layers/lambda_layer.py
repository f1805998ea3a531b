"""`Lambda`: a user's function as a layer."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from torchkeras import config as settings
from torchkeras import generations
from torchkeras.layers.base import Layer, layer_registry
from torchkeras.layers.config import admitted, base_config, plain_value
from torchkeras.layers.phase import with_phase
from torchkeras.layers.symbolic import KerasTensor, run_trials, shape_of
from torchkeras.registry import get_registered_name, get_registered_object
from torchkeras.shapes import as_shape


@layer_registry.add()
class Lambda(Layer):
    """A function of tensors as a layer.

    Args:
        function: Takes the input (a tensor, or a list of them), and by keyword `mask` and `training` if it has such parameters.
            An nn.Module is one too: its parameters are then the layer's.
        output_shape: Shape without the batch axis, or a function from input shape to output shape. Used where `function` cannot be
            run on a symbolic tensor to find out; otherwise the shape that it really gives is taken.
        mask: `None`: no mask goes on; a function of (inputs, mask), or a tensor: the mask that goes on.
        arguments: Further keyword arguments for `function`.

    Shape: as the function says.

    Raises:
        TypeError: `function` cannot be called, or an `output_shape` of another kind.

    A config holds the function's name, never its code; reading one needs the function itself in `custom_objects`.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `Lambda`.
    """

    resolves_training = True

    def __init__(
        self, function: Callable[..., Any], output_shape: Any = None, mask: Any = None, arguments: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if not callable(function):
            raise TypeError(f"Lambda '{self.name}' needs a function that takes a tensor, but got {function!r}.")
        if not (output_shape is None or callable(output_shape) or isinstance(output_shape, (tuple, list))):
            raise TypeError(f"Lambda '{self.name}': output_shape must be a tuple, a list or a function, but got {output_shape!r}.")
        self.function = function
        self._output_shape = list(output_shape) if _several(output_shape) else as_shape(output_shape) if _plain(output_shape) else output_shape
        self.arguments = dict(arguments or {})
        self.supports_masking = mask is not None
        if isinstance(mask, Tensor):
            self.register_buffer("mask", mask, persistent=False)
        else:
            self.mask = mask
        parameters = _parameters(function.forward if isinstance(function, nn.Module) else function)
        self._wants = {name for name in ("mask", "training") if name in parameters and name not in self.arguments}

    @with_phase
    def call(self, inputs: Any, mask: Any = None, training: bool | None = None) -> Any:
        arguments = self.arguments
        if self._wants:
            arguments = dict(arguments)
            if "mask" in self._wants:
                arguments["mask"] = mask
            if "training" in self._wants:
                arguments["training"] = self.training if training is None else training
        return self.function(inputs, **arguments)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return self.mask(inputs, mask) if callable(self.mask) else self.mask

    def _may_go_straight(self) -> bool:
        return self.built and self.mask is None

    def compute_output_shape(self, input_shape: Any) -> Any:
        if callable(self._output_shape):
            found = self._output_shape(input_shape)
            return [as_shape(one) for one in found] if _several(found) else as_shape(found)
        if self._output_shape is not None:
            declared: Any = self._output_shape
            batch = as_shape(input_shape[0] if _several(input_shape) else input_shape)[0]
            return [(batch, *as_shape(one)) for one in declared] if _several(declared) else (batch, *declared)
        shapes = input_shape if _several(input_shape) else [input_shape]
        placeholders = [KerasTensor.placeholder(as_shape(shape), settings.float_dtype()) for shape in shapes]
        try:
            return shape_of(run_trials(self._trial_call, (placeholders if _several(input_shape) else placeholders[0],), {}))
        except Exception as error:
            raise ValueError(
                f"Lambda '{self.name}' could not run its function on a symbolic input of shape {input_shape}: {str(error).rstrip('. ')}. "
                "Give output_shape=..., or write the function with torch operations that need no values."
            ) from error

    # -- configs

    def get_config(self) -> dict[str, Any]:
        found: dict[str, Any] = base_config(self)
        with_module = generations.choose("config.lambda_module")
        parts = {"function": (self.function, "module"), "output_shape": (self._output_shape, "output_shape_module")}
        if self.mask is not None:
            parts["mask"] = (self.mask, "mask_module")
        for key, (value, module_key) in parts.items():
            named = callable(value)
            found[key] = self._name_of(value, key) if named else _raw(value)
            found[f"{key}_type"] = "function" if named else "raw"
            if with_module:
                found[module_key] = getattr(value, "__module__", None) if named else None
        return {**found, "arguments": plain_value("", {key: _raw(value) for key, value in self.arguments.items()})}

    def _name_of(self, function: Any, what: str) -> str:
        name = get_registered_name(function) if hasattr(function, "__name__") else None
        if name is None or not name.replace(">", "").isidentifier():
            raise ValueError(
                f"The config of Lambda '{self.name}' would need the name of its {what}, but {function!r} has none. Write it as a function with "
                "def (and pass that function in custom_objects when loading), or write a Layer; weights alone can be saved by save_weights()."
            )
        return name

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None, safe_mode: bool | None = None) -> Lambda:
        """Make the layer from `get_config()`; functions are those that the caller gave, by their name or by the layer's.

        Args:
            config: The config.
            custom_objects: Functions by name; those registered or in scope are known as well.
            safe_mode: `False` also takes bytecode out of the config, which then can do anything; unset means `True`.

        Raises:
            ValueError: a function that the caller did not give, or bytecode.
        """
        config = dict(admitted(config, custom_objects, safe_mode))
        layer = str(config.get("name"))
        for key, module_key in (("function", "module"), ("output_shape", "output_shape_module"), ("mask", "mask_module")):
            config.pop(module_key, None)
            kind, value = config.pop(f"{key}_type", None), config.get(key)
            ready = callable(value) or (
                key != "function"
                and (value is None or kind == "raw" or (kind is None and isinstance(value, (tuple, list)) and key == "output_shape"))
            )
            config[key] = _from_raw(value) if ready else _find(value, kind, layer, key, custom_objects)
        if isinstance(config["mask"], np.ndarray):
            config["mask"] = torch.as_tensor(config["mask"])
        config["arguments"] = {key: _from_raw(value) for key, value in (config.get("arguments") or {}).items()}
        return cls(**config)


def _parameters(function: Any) -> Mapping[str, Any]:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):  # functions written in C
        return {}


def _plain(shape: Any) -> bool:
    return isinstance(shape, (tuple, list)) and not _several(shape)


def _several(shape: Any) -> bool:
    """Whether it is a list of shapes, not one shape."""
    return isinstance(shape, (tuple, list)) and bool(shape) and isinstance(shape[0], (tuple, list))


def _raw(value: Any) -> Any:
    """A value of a config: arrays as Keras writes them."""
    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    return {"type": "ndarray", "value": value.tolist()} if isinstance(value, np.ndarray) else value


def _from_raw(value: Any) -> Any:
    return np.asarray(value["value"]) if isinstance(value, Mapping) and value.get("type") == "ndarray" else value


def _find(value: Any, kind: Any, layer: str, what: str, custom_objects: Mapping[str, Any] | None) -> Any:
    """A function that a config names: only ever one that the caller gave."""
    own = layer if what == "function" else f"{layer}.{what}"
    named = isinstance(value, str) and kind != "lambda"
    found = get_registered_object(value, custom_objects) if named else None
    if found is None:
        found = get_registered_object(own, custom_objects)
    if found is not None:
        return found
    if named:
        raise ValueError(
            f"Lambda '{layer}' needs the function {value!r} as its {what}. Pass the function: custom_objects={{{value!r}: function}}; "
            "nothing is imported because a config names it."
        )
    if isinstance(value, Mapping) and value.get("class_name") != "__lambda__":
        raise ValueError(
            f"The {what} of Lambda '{layer}' should be the name of a function, but is {dict(value)!r:.80}. Nothing is imported because a config "
            f"names it. Pass the function itself: custom_objects={{{own!r}: function}}."
        )
    raise ValueError(
        f"The {what} of Lambda '{layer}' is stored as bytecode, which can do anything once it runs, so it is not run here. "
        f"Pass the function itself: custom_objects={{{own!r}: function}}; or, if you trust the file as you trust a program, "
        "load the whole file with safe_mode=False."
    )
