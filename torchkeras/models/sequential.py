"""`Sequential`: a stack of layers that can grow at any time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from torchkeras import generations
from torchkeras.graph.ends import Symbols
from torchkeras.graph.network import Network
from torchkeras.graph.record import Record
from torchkeras.layers.base import layer_registry
from torchkeras.layers.input_layer import InputLayer
from torchkeras.layers.keras1 import Merge
from torchkeras.layers.naming import module_key, name_of, snake_case, unique_name
from torchkeras.layers.raw_modules import stop_watching, watch_modules
from torchkeras.layers.serialization import deserialize, serialize
from torchkeras.layers.symbolic import KerasTensor, shape_of, symbolic_leaves
from torchkeras.models.keras1 import ClassPredictions
from torchkeras.models.model import Model
from torchkeras.saving.model_config import admitting, prepare
from torchkeras.shapes import as_shape


@layer_registry.add()
class Sequential(ClassPredictions, Model):
    """A stack of layers, each with one input and one output.

    The shape of the input comes from the first layer (`input_shape=`), from `build()`, or from the first data.

    Args:
        layers: Layers or raw nn.Modules to start with.
        name: Unique name; `None`: `sequential`, ...

    Raises:
        TypeError: something that is no layer.
        ValueError: two layers of one name.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `Sequential`.
    """

    hangs_masks = True

    def __init__(self, layers: Sequence[nn.Module] | None = None, name: str | None = None, **kwargs: Any) -> None:
        self._made_record: Record | None = None
        self._stack: list[str] = []
        self._growing = Symbols()  # the first and the last symbolic tensor
        self._inferred = False
        super().__init__(name=name, **kwargs)
        for layer in layers or ():
            self.add(layer)

    @property
    def _first(self) -> KerasTensor | None:
        return self._growing.inputs

    @property
    def _last(self) -> KerasTensor | None:
        return self._growing.outputs

    # the record follows the stack lazily, so that adding a thousand layers costs a thousand steps
    @property
    def _record_(self) -> Record | None:  # type: ignore[override]
        if self._made_record is None and self._last is not None:
            self._init_graph(self._first, self._last)
        return self._made_record

    @_record_.setter
    def _record_(self, record: Record | None) -> None:
        self._made_record = record

    def __getstate__(self) -> dict[str, Any]:
        self._record_  # noqa: B018  makes it: symbolic tensors do not travel, the record does
        return dict(self.__dict__)

    def add(self, layer: Any) -> None:
        """Put a layer on top of the stack.

        Args:
            layer: A layer, a model or a raw nn.Module.

        Raises:
            TypeError: something else, or a class instead of an instance.
            ValueError: a layer of that name is there already, or it gives several outputs.
        """
        if isinstance(layer, KerasTensor) and layer.keras_history is not None:
            layer = layer.keras_history[0]
        if not isinstance(layer, nn.Module):
            hint = f" It is a class: write {layer.__name__}(...)." if isinstance(layer, type) else ""
            raise TypeError(f"Sequential.add takes an instance of a layer or an nn.Module, but got {layer!r}.{hint}")
        self._revive()
        if isinstance(layer, InputLayer):
            if self._stack:
                raise ValueError(f"InputLayer '{layer.name}' must be the first layer of model '{self.name}'.")
            self._start(layer)
            return
        key = module_key(name_of(layer))
        if key in self._modules:
            raise ValueError(
                f"All layers added to a Sequential model should have unique names. Name '{name_of(layer)}' is already the name of a layer in it."
            )
        if self._last is None and not self._stack and isinstance(layer, Merge) and layer.inbound_nodes:
            self._start_merged(layer)
            return
        if self._last is None and not self._stack:
            shape = _own_input_shape(layer)
            if shape is not None:
                self._start(InputLayer(batch_input_shape=shape, dtype=_own_input_dtype(layer), name=_input_name(layer)))
        if self._last is not None:
            watch_modules([self._last])
            self._growing.outputs = self._one_output(layer, layer(self._last))
            stop_watching(symbolic_leaves([self._first, self._last]))
        self._stack.append(key)
        self._modules[key] = layer
        layer.train(self.training)
        self._made_record = None
        self._after_change()

    def _one_output(self, layer: nn.Module, output: Any) -> KerasTensor:
        if not isinstance(output, KerasTensor):
            raise ValueError(
                f"Layers in a Sequential model give one tensor, but '{name_of(layer)}' gives {shape_of(output)}. Use the functional API."
            )
        return output

    def _start_merged(self, layer: Merge) -> None:
        """Begin with the outputs of other models, as in Keras 1: their inputs become this model's."""
        output = layer.inbound_nodes[0].outputs[0]
        self._growing = Symbols(sources(output), output)
        below = _flattened(layer)
        self._stack = [*(module_key(name_of(one)) for one in below), module_key(layer.name)]
        self._modules.update(zip(self._stack, [*below, layer], strict=True))
        self._made_record = None
        self._after_change()

    def _start(self, layer: InputLayer) -> None:
        start = layer.inbound_nodes[0].outputs[0]
        self._growing = Symbols(start, start)
        self._modules[module_key(layer.name)] = layer
        self._input_key = module_key(layer.name)
        self._made_record = None

    def _revive(self) -> None:
        """After a copy: symbolic tensors for the record."""
        if self._made_record is not None and self._last is None:
            self._growing = Symbols(self.inputs[0], self.outputs[0])

    def _after_change(self) -> None:
        self._plan = None
        self.__dict__.pop("_has_loss_layers", None)
        self._symbols = Symbols()
        self.built = self._last is not None and bool(self._stack)

    def pop(self) -> None:
        """Take the top layer off.

        Raises:
            TypeError: there is none.
        """
        if not self._stack:
            raise TypeError(f"There are no layers in model '{self.name}'.")
        self._revive()
        layer = self._modules.pop(self._stack.pop())
        if self._last is not None and layer is not None:
            made_here = [node for node in layer.__dict__.get("_inbound_nodes", []) if any(output is self._last for output in node.outputs)]
            self._growing.outputs = made_here[0].inputs[0]
            layer.__dict__["_inbound_nodes"].remove(made_here[0])
        self._made_record = None
        self._after_change()

    @property
    def layers(self) -> list[nn.Module]:
        """The layers from bottom to top, without the input layer."""
        return [self._modules[key] for key in self._stack]  # type: ignore[misc]

    def build(self, input_shape: Any = None) -> None:
        """Make all weights for an input shape.

        Args:
            input_shape: Shape with the batch axis, `None` where unknown.
        """
        if self._last is not None or self._made_record is not None:
            return
        if input_shape is None:
            raise ValueError(f"Model '{self.name}' needs a shape to be built: give input_shape, with the batch axis first.")
        self._build_from(as_shape(input_shape), None)

    def _build_from(self, shape: Any, dtype: torch.dtype | None) -> None:
        if not self._stack:
            raise ValueError(f"Model '{self.name}' has no layers: add() some first.")
        layers = self.layers
        start = InputLayer(batch_input_shape=(None, *shape[1:]), dtype=dtype, name=_input_name(layers[0]))
        self._start(start)
        assert self._first is not None
        value: KerasTensor = self._first
        watch_modules(symbolic_leaves([self._first]))
        try:
            for layer in layers:
                value = self._one_output(layer, layer(value))
        except Exception:
            self._growing = Symbols()
            self._modules.pop(self._input_key, None)
            raise
        self._growing.outputs = value
        self._inferred = True
        self._after_change()

    def ensure_built(self, inputs: Any) -> None:
        if self.built:
            return
        if isinstance(inputs, (list, tuple)) and len(inputs) == 1:
            inputs = inputs[0]
        if not isinstance(inputs, Tensor):
            raise ValueError(f"Sequential model '{self.name}' takes one input, but got {type(inputs).__name__}. Use the functional API for several.")
        shape = as_shape(inputs.shape)
        device = inputs.device if inputs.device.type != "meta" else torch.get_default_device()
        with torch.device(device):
            self._build_from(shape, None)
        self.built = True

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Run the layers from bottom to top."""
        if not self.built:
            self.ensure_built(inputs)
        return super().call(inputs, training=training, mask=mask)

    @property
    def input_shape(self) -> Any:
        self._need_shape()
        return super().input_shape

    @property
    def output_shape(self) -> Any:
        self._need_shape()
        return super().output_shape

    def _need_shape(self) -> None:
        if self._record_ is None:
            raise AttributeError(f"Model '{self.name}' has no defined shape yet: give the first layer an input_shape, or call the model on data.")

    def get_config(self) -> dict[str, Any]:
        """The layers as plain data.

        Raises:
            ValueError: `add_loss` or `add_metric` brought a symbolic tensor, for which the list of layers has no place.
        """
        if self._record_ is not None and self._record_.added and generations.choose("graph.added_layers"):
            raise ValueError(
                f"Model '{self.name}' is a Sequential that add_loss() or add_metric() gave a symbolic tensor: a list of layers cannot say that. "
                "Make Model(model.inputs, model.outputs) of it before, and add them there."
            )
        layers = [serialize(layer) for layer in self.layers]
        if self._record_ is not None and generations.choose("summary.title"):
            layers.insert(0, serialize(self._modules[self._input_key]))  # type: ignore[arg-type]
        return {"name": self.name, "layers": layers}

    @classmethod
    def from_config(cls, config: Any, custom_objects: Any = None) -> Sequential:
        """Make a model from `get_config()`; also from the bare list of layers that Keras 1 and early Keras 2 wrote.

        Raises:
            UnsafeConfigError: the config brings code, or names an object that is neither the library's nor the caller's.
            ValueError: a layer that is not known, or does not fit on the one before.
        """
        config = prepare(config, custom_objects)
        if "input_layers" in config:  # of Keras 1, on top of a Merge: no stack but a graph
            return Model.from_config(config, custom_objects)
        entries, name = (config["layers"], config.get("name")) if isinstance(config, dict) else (config, None)
        model = cls(name=name)
        with admitting():
            for entry in entries:
                model.add(deserialize(entry, custom_objects))
        if not model.built and isinstance(config, dict) and config.get("build_input_shape"):
            model.build(config["build_input_shape"])
        return model


def _input_name(layer: nn.Module) -> str:
    """Name of the input that a first layer brings with it: `dense_1_input`, in Keras 1 `dense_input_1`."""
    if generations.choose("name.words") == "parted":
        return f"{name_of(layer)}_input"
    return unique_name(f"{snake_case(type(layer).__name__)}_input", first_index=1)


def sources(tensor: KerasTensor) -> list[KerasTensor]:
    """The symbolic inputs that a tensor was computed from, in the order in which they come up."""
    found: dict[int, KerasTensor] = {}
    seen: set[int] = set()

    def visit(one: KerasTensor) -> None:
        layer, node, _ = one.keras_history  # type: ignore[misc]
        if isinstance(layer, InputLayer):
            found.setdefault(id(one), one)
            return
        made = layer.__dict__["_inbound_nodes"][node]
        if id(made) not in seen:
            seen.add(id(made))
            for part in made.inputs:
                visit(part)

    visit(tensor)
    return list(found.values())


def _flattened(merge: Merge) -> list[nn.Module]:
    """The layers of the models that a Merge joins, each once."""
    found: dict[nn.Module, None] = {}
    for one in merge.__dict__["layers"] or ():
        for layer in one.layers if isinstance(one, Network) else [one]:
            found.setdefault(layer)
    return list(found)


def _own_input_shape(layer: nn.Module) -> Any:
    """The input shape that a first layer brings with it, or `None`."""
    if isinstance(layer, Network) and layer._record_ is not None:
        return layer.input_shape if not isinstance(layer.input_shape, list) else None
    shape = getattr(layer, "_batch_input_shape", None)
    inner = getattr(layer, "layer", None)
    return _own_input_shape(inner) if shape is None and isinstance(inner, Network) else shape


def _own_input_dtype(layer: nn.Module) -> Any:
    if isinstance(layer, Network) and layer._record_ is not None:
        return layer._record_.infos[layer._record_.inputs[0]].dtype
    return None
