"""Weights of a layer: parameters in torch's layout inside, Keras' names, order and layout at the border."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from torchkeras import config, constraints, initializers, regularizers
from torchkeras.layers.layouts import Layout, as_is
from torchkeras.layers.symbolic import real_tensors
from torchkeras.layers.tracking import track


class KerasWeight(torch.Tensor):
    """A weight as Keras code sees it: Keras' layout, sharing memory with the parameter it stands for.

    Attributes:
        parameter: The stored tensor (a Parameter or a buffer) in torch's layout.
        path: Keras' variable name, such as "dense/kernel:0".
    """

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]
    parameter: Tensor
    path: str
    spec: WeightSpec

    @staticmethod
    def of(layer: Weighted, spec: WeightSpec) -> KerasWeight:
        """The view of one weight of a layer."""
        parameter = layer._stored(spec)
        view = spec.layout.to_keras(parameter.detach(), spec.shape).as_subclass(KerasWeight)
        view.parameter, view.spec, view.path = parameter, spec, f"{layer.weight_scope()}/{spec.path}:0"
        return view

    @property
    def name(self) -> str:  # type: ignore[override]
        """Keras' variable name."""
        return self.path

    @property
    def trainable(self) -> bool:
        """Whether the weight is trained while its layer is trainable."""
        return self.spec.trainable

    def assign(self, value: Any) -> KerasWeight:
        """Write a value of the same shape into the weight.

        Raises:
            ValueError: another shape.
        """
        new = torch.as_tensor(np.asarray(value) if not isinstance(value, Tensor) else value.detach())
        if tuple(new.shape) != tuple(self.shape):
            raise ValueError(f"Weight '{self.path}' has the shape {tuple(self.shape)}, but got a value of shape {tuple(new.shape)}.")
        with torch.no_grad():
            self.parameter.copy_(self.spec.layout.to_torch(new.to(self.parameter.dtype)))
            if not self.spec.layout.is_view:
                self.copy_(new)
        return self

    def assign_add(self, value: Any) -> KerasWeight:
        """Add to the weight in place."""
        return self.assign(self.numpy() + np.asarray(value))

    def assign_sub(self, value: Any) -> KerasWeight:
        """Subtract from the weight in place."""
        return self.assign(self.numpy() - np.asarray(value))

    def read_value(self) -> Tensor:
        """The weight as a plain tensor."""
        return self.as_subclass(Tensor)

    value = read_value

    def numpy(self, *, force: bool = False) -> np.ndarray:
        """A copy as a NumPy array, from any device."""
        tensor = self.as_subclass(Tensor).detach().cpu()
        return (tensor.float() if tensor.dtype is torch.bfloat16 else tensor).numpy().copy()

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return f"<KerasWeight '{self.path}' shape={tuple(self.shape)} dtype={self.dtype}>"


@dataclass
class WeightSpec:
    """What is known of one weight: its two names, layouts and what acts on it."""

    name: str
    attribute: str
    layout: Layout
    shape: tuple[int, ...]  # as Keras has it
    trainable: bool
    regularizer: Callable[[Tensor], Tensor] | None = None
    constraint: Callable[[Tensor], Tensor] | None = None
    path: str = ""  # the variable's name below the layer's


class Weighted(nn.Module):
    """A module whose weights Keras code can name, read and write."""

    keras_weights: ClassVar[dict[str, tuple[str, Layout]]] = {}
    name: str
    _trainable: bool
    _weight_specs: dict[str, WeightSpec]
    _build_device: torch.device | None
    _tracks_containers: ClassVar[bool] = False  # whether layers in list and dict attributes are looked after: in users' classes

    def add_weight(
        self,
        name: Any = None,
        shape: Any = None,
        dtype: Any = None,
        initializer: Any = None,
        regularizer: Any = None,
        trainable: bool = True,
        constraint: Any = None,
        *,
        path: str | None = None,
        **kwargs: Any,
    ) -> nn.Parameter | Tensor:
        """Make a weight: a Parameter, or a buffer where it is not trained.

        Args:
            name: Keras name; also the attribute it is kept under, unless `keras_weights` says otherwise.
            shape: Shape as Keras has it.
            dtype: Name or torch dtype; `None`: the layer's.
            initializer: Name, config or callable; `None`: Glorot uniform for floats, zeros for the rest.
            regularizer: Added to the loss.
            trainable: Whether optimizers may change it.
            constraint: Applied after each update.
            path: Variable name in files where it differs from `name`.

        Raises:
            TypeError: an unknown argument.
            ValueError: a shape with an unknown or negative dimension.
        """
        if isinstance(name, (tuple, list)) and (shape is None or isinstance(shape, str)):  # Keras 1 and 2.0: add_weight(shape, name)
            name, shape = shape, name
        for known in ("getter", "partitioner", "use_resource", "synchronization", "aggregation", "collections", "experimental_autocast"):
            kwargs.pop(known, None)  # of TensorFlow's graph: nothing here corresponds to them
        if kwargs:
            raise TypeError(f"add_weight of layer '{self.name}' got unknown arguments: {sorted(kwargs)}.")
        name = name or f"weight_{len(self._weight_specs)}"
        shape = tuple(shape or ())
        if any(dim is None or int(dim) < 0 for dim in shape):
            raise ValueError(f"Weight '{name}' of layer '{self.name}' needs every dimension known, but got the shape {shape}.")
        attribute, layout = self.keras_weights.get(name, (re.sub(r"\W", "_", name.rsplit("/")[-1]), as_is))
        spec = WeightSpec(
            name=name,
            attribute=attribute,
            layout=layout,
            shape=tuple(int(dim) for dim in shape),
            trainable=trainable,
            regularizer=regularizers.get(regularizer),
            constraint=constraints.get(constraint),
            path=path or name,
        )
        return self._make_weight(spec, initializer, dtype)

    def _make_weight(self, spec: WeightSpec, initializer: Any, dtype: Any) -> nn.Parameter | Tensor:
        torch_dtype = config.FLOAT_TYPES.get(dtype, dtype) if dtype is not None else self._weight_dtype()
        if isinstance(torch_dtype, str):
            torch_dtype = getattr(torch, torch_dtype)
        if initializer is None:
            initializer = "glorot_uniform" if torch_dtype.is_floating_point else "zeros"
        with real_tensors(), torch.inference_mode(False), torch.no_grad():
            value = torch.as_tensor(initializers.get(initializer)(spec.shape, dtype=torch_dtype))
            stored = spec.layout.to_torch(value.to(torch_dtype)).to(self._build_device or torch.get_default_device())
            if stored.is_inference():
                stored = stored.clone()
        owned = self._parameters.get(spec.attribute) is not None or self._buffers.get(spec.attribute) is not None
        if owned or (hasattr(type(self), spec.attribute) and spec.attribute not in self.keras_weights):
            spec.attribute = f"{spec.attribute}_{len(self._weight_specs)}"
        kept: Tensor
        if spec.trainable and stored.is_floating_point():
            self._parameters.pop(spec.attribute, None)  # the place that __init__ kept: the order of making is the order shown
            kept = nn.Parameter(stored, requires_grad=self._trainable)
            self.register_parameter(spec.attribute, kept)
        else:
            kept = stored
            self.register_buffer(spec.attribute, kept)
        key = spec.name if spec.name not in self._weight_specs else f"{spec.name}_{len(self._weight_specs)}"
        self._weight_specs[key] = spec
        return kept

    def _weight_dtype(self) -> torch.dtype:
        return config.float_dtype()

    def _stored(self, spec: WeightSpec) -> Tensor:
        return getattr(self, spec.attribute)

    def sublayers(self) -> Iterator[Any]:
        """This layer and all layers inside it."""
        for module in self.modules():
            if isinstance(module, Weighted):
                yield module

    def weight_scope(self) -> str:
        """First part of the variables' names: the layer's own name, or what the layer around it says."""
        return self.__dict__.get("_scope") or self.name

    def keras_view(self, name: str) -> Tensor:
        """The differentiable Keras-layout view of the weight called `name`."""
        spec = self._weight_specs[name]
        return spec.layout.to_keras(self._stored(spec), spec.shape)

    def own_weights(self, *, trainable: bool) -> list[KerasWeight]:
        """Views of this layer's own weights, without those of layers inside it."""
        return [KerasWeight.of(self, spec) for spec in self._weight_specs.values() if spec.trainable is trainable]

    def regularized(self) -> Iterator[tuple[WeightSpec, Tensor]]:
        """Own weights that have a regularizer, in Keras' layout."""
        for spec in self._weight_specs.values():
            if spec.regularizer is not None:
                yield spec, spec.layout.to_keras(self._stored(spec), spec.shape)

    def __setattr__(self, name: str, value: Any) -> None:
        if self._tracks_containers and type(value) in (list, dict, tuple) and "_modules" in self.__dict__:
            object.__setattr__(self, name, track(self, name, value))
            return
        # `self.W = self.add_weight("kernel", ...)`: the weight moves to the name that the user gave it
        specs = self.__dict__.get("_weight_specs")
        if specs and isinstance(value, Tensor):
            for spec in specs.values():
                table = self._parameters if spec.attribute in self._parameters else self._buffers
                if table.get(spec.attribute) is value and spec.attribute != name:
                    if name in self.keras_weights:  # a property shows it under that name already
                        return
                    del table[spec.attribute]
                    spec.attribute = name
                    break
        super().__setattr__(name, value)


def assign_all(views: Sequence[KerasWeight], values: Sequence[Any], who: str) -> None:
    """Write values to views, all or none.

    Raises:
        ValueError: another number of values, or a shape that differs.
    """
    if len(views) != len(values):
        raise ValueError(
            f"{who} has {len(views)} weights ({', '.join(v.path for v in views[:6])}{', ...' if len(views) > 6 else ''}), "
            f"but set_weights got {len(values)} arrays. Give them in the order of get_weights()."
        )
    for view, value in zip(views, values, strict=True):
        if tuple(view.shape) != tuple(np.shape(value)):
            raise ValueError(
                f"{who}: weight '{view.path}' has the shape {tuple(view.shape)}, "
                f"but set_weights got an array of shape {tuple(np.shape(value))} for it."
            )
    for view, value in zip(views, values, strict=True):
        view.assign(value)
