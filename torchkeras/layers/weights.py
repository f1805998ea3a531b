"""Weights of a layer: parameters in torch's layout inside, Keras' names, order and layout at the border."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from torchkeras import config, constraints, initializers, regularizers
from torchkeras.layers.layouts import Layout, as_is
from torchkeras.layers.room import take
from torchkeras.layers.symbolic import real_tensors
from torchkeras.layers.tracking import track

F = TypeVar("F", bound=Callable[..., Any])


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
    owner: Any  # the layer or raw part that it belongs to

    @staticmethod
    def of(layer: Any, spec: WeightSpec) -> KerasWeight:
        """The view of one weight of a layer."""
        parameter = layer._stored(spec)
        view = spec.layout.to_keras(parameter.detach(), spec.shape).as_subclass(KerasWeight)
        view.parameter, view.spec, view.owner, view.path = parameter, spec, layer, f"{layer.weight_scope()}/{spec.path}:0"
        return view

    @property
    def name(self) -> str:  # type: ignore[override]
        """Keras' variable name."""
        return self.path

    @property
    def identity(self) -> Any:
        """Equal for two views of one weight."""
        computed = self.owner._computes(self.spec)
        return (self.owner, self.spec.attribute) if computed else id(self.parameter)

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
            stored = self.spec.layout.to_torch(new.to(self.parameter.dtype))
            if self.owner._computes(self.spec):
                self.owner._set_computed(self.spec, stored)
            else:
                self.parameter.copy_(stored)
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


def _shape_first(add_weight: F) -> F:
    """Decorator: positional arguments in the order of Keras 1 are taken, too."""

    @functools.wraps(add_weight)
    def enter(self: Any, *args: Any, **kwargs: Any) -> Any:
        if args and isinstance(args[0], (tuple, list)):
            kwargs.update(zip(("shape", "initializer", "name", "trainable", "regularizer", "constraint"), args, strict=False))
            args = ()
        return add_weight(self, *args, **kwargs)

    return enter  # type: ignore[return-value]


class Weighted(nn.Module):
    """A module whose weights Keras code can name, read and write."""

    keras_weights: ClassVar[dict[str, tuple[str, Layout]]] = {}
    name: str
    _trainable: bool
    _weight_specs: dict[str, WeightSpec]
    _build_device: torch.device | None
    _tracks_containers: ClassVar[bool] = False  # whether layers in list and dict attributes are looked after: in users' classes

    @_shape_first
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
            **kwargs: What TensorFlow's graph wants to know of a variable; nothing here corresponds to it.

        In Keras 1 and 2.0 the order is (shape, initializer, name, trainable, regularizer, constraint); a shape in first place says so.

        Raises:
            TypeError: an unknown argument.
            ValueError: a shape with an unknown or negative dimension.
        """
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

    add_variable = add_weight

    def _make_weight(self, spec: WeightSpec, initializer: Any, dtype: Any) -> nn.Parameter | Tensor:
        torch_dtype = config.FLOAT_TYPES.get(dtype, dtype) if dtype is not None else self._weight_dtype()
        if isinstance(torch_dtype, str):
            torch_dtype = getattr(torch, torch_dtype)
        take(spec.shape, f"Weight '{spec.name}' of layer '{self.name}'")
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
        original = self._parameters.get(f"{spec.attribute}_orig")
        if original is not None and f"{spec.attribute}_mask" in self._buffers:  # torch.nn.utils.prune computes it at each call only
            return original * getattr(self, f"{spec.attribute}_mask")
        return getattr(self, spec.attribute)

    def _computes(self, spec: WeightSpec) -> bool:
        """Whether torch computes a weight from other tensors, by a parametrization or by pruning."""
        return self._parameters.get(spec.attribute) is None and self._buffers.get(spec.attribute) is None

    def _set_computed(self, spec: WeightSpec, value: Tensor) -> None:
        """Write to what a weight is computed from.

        Raises:
            RuntimeError: there is no way back.
        """
        name = spec.attribute
        if parametrize.is_parametrized(self, name):
            setattr(self, name, value.to(self._stored(spec).device))  # torch knows the way back
        elif f"{name}_orig" in self._parameters:
            self._parameters[f"{name}_orig"].copy_(value)  # type: ignore[union-attr]
        else:
            raise RuntimeError(f"Weight '{spec.name}' of layer '{self.name}' is computed from other tensors: set those.")

    def _adopt_weights(self) -> None:
        """Parameters and buffers that a user's code gave the layer by itself are weights, as variables are in tf.keras."""
        specs = self._weight_specs
        places: tuple[Any, ...] = (self._parameters, self._buffers, self.__dict__, *(base.__dict__ for base in type(self).__mro__))
        for key in [key for key, spec in specs.items() if not any(spec.attribute in place for place in places)]:
            del specs[key]
        stored = {spec.attribute for spec in specs.values()}
        for name, tensor in [*self.named_parameters(recurse=False), *self.named_buffers(recurse=False)]:
            behind = name.rpartition("_")[0] in stored - {*self._parameters}  # weight_orig of a pruned weight
            spec = specs.get(name)
            if spec is not None and spec.layout is as_is:
                spec.shape = tuple(tensor.shape)  # another one may be there now
            if name not in stored and name not in self._non_persistent_buffers_set and not behind:
                trainable, constraint = isinstance(tensor, nn.Parameter), getattr(tensor, "constraint", None)
                specs[name] = WeightSpec(name, name, as_is, tuple(tensor.shape), trainable, None, constraint, name)

    def _declare(self, tensors: Sequence[Tensor], *, trainable: bool) -> None:
        """The user's code lists its weights, as for Keras 1: they take this order, others of their kind change sides.

        Args:
            tensors: Variables or Parameters; those of layers inside are known already.
            trainable: Which list it is.
        """
        self._adopt_weights()
        inside = {id(parameter) for parameter in self.parameters()} | {id(buffer) for buffer in self.buffers()}
        for tensor in tensors:
            stored = tensor.parameter if isinstance(tensor, KerasWeight) else tensor
            if id(stored) not in inside:  # known to the list alone
                label = re.sub(r"\W", "_", str(getattr(stored, "label", "")).partition(":")[0]) or f"weight_{len(self._weight_specs)}"
                setattr(self, label if not hasattr(self, label) else f"{label}_{len(self._weight_specs)}", stored)
        self._adopt_weights()
        listed = [id(tensor.parameter if isinstance(tensor, KerasWeight) else tensor) for tensor in tensors]
        found = {id(self._stored(spec)): (key, spec) for key, spec in self._weight_specs.items()}
        for identity, (key, spec) in found.items():
            spec.trainable = trainable if identity in listed else spec.trainable and not trainable
            if identity in listed:
                del self._weight_specs[key]
        self._weight_specs.update(found[identity] for identity in listed if identity in found)
        for parameter in self.parameters(recurse=False):
            parameter.requires_grad_(self._trainable and self._weight_specs[found[id(parameter)][0]].trainable)

    def hidden_parameters(self) -> list[nn.Parameter]:
        """The parameters that torch computes a weight from: torch.nn.utils' parametrizations and pruning keep them in its place."""
        stored = {spec.attribute for spec in self._weight_specs.values()}
        found = [parameter for name, parameter in self.named_parameters(recurse=False) if name not in stored]
        lists = self._modules.get("parametrizations")
        return found if lists is None else found + list(lists.parameters())

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
        if self._tracks_containers:
            self._adopt_weights()
        return [KerasWeight.of(self, spec) for spec in self._weight_specs.values() if spec.trainable is trainable]

    def regularized(self) -> Iterator[tuple[WeightSpec, Tensor]]:
        """Own weights that have a regularizer, in Keras' layout."""
        for spec in self._weight_specs.values():
            if spec.regularizer is not None:
                yield spec, spec.layout.to_keras(self._stored(spec), spec.shape)

    def __setattr__(self, name: str, value: Any) -> None:
        if self._tracks_containers and type(value) in (list, dict, tuple) and "_modules" in self.__dict__:
            value = track(self, name, value)
            if not isinstance(value, nn.Module):
                self._modules.pop(name, None)
                object.__setattr__(self, name, value)
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
