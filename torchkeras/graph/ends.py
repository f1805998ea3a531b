"""The symbolic ends of a model's graph: inputs and outputs, their shapes and names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from torchkeras.graph import record as records
from torchkeras.layers.base import Layer
from torchkeras.layers.naming import name_of
from torchkeras.layers.nodes import Node, inbound_nodes, outbound_nodes
from torchkeras.layers.raw_modules import watch_modules
from torchkeras.layers.symbolic import KerasTensor, shape_of, symbolic_leaves


class Symbols:
    """The symbolic ends of a graph; copies and pickles start without them, and make them from the record when asked."""

    def __init__(self, inputs: Any = None, outputs: Any = None, added: Sequence[KerasTensor] = ()) -> None:
        self.inputs, self.outputs, self.added = inputs, outputs, list(added)

    def __bool__(self) -> bool:
        return self.outputs is not None

    def __reduce_ex__(self, protocol: Any) -> Any:
        return (Symbols, ())

    def __deepcopy__(self, memo: Any) -> Symbols:
        return Symbols()


class GraphEnds(Layer):
    """What a network tells of its inputs and outputs."""

    _record_: records.Record | None
    _symbols: Symbols

    def _graph(self) -> records.Record:
        if self._record_ is None:
            raise AttributeError(
                f"Model '{self.name}' has no graph of layers yet: it was never built, or it is subclassed and computes in its own call(). "
                "Give the first layer an input_shape, call it on data, or use the functional API."
            )
        return self._record_

    def _ends(self) -> tuple[Any, Any]:
        record = self._graph()  # where it is made only now, the symbolic tensors are there, too
        if not self._symbols:
            self._symbols = Symbols(*_materialize(record, self._modules))
        watch_modules(symbolic_leaves(self._symbols.outputs))
        return self._symbols.inputs, self._symbols.outputs

    @property
    def inputs(self) -> list[KerasTensor]:
        """The symbolic inputs."""
        return symbolic_leaves(self._ends()[0])

    @property
    def outputs(self) -> list[KerasTensor]:
        """The symbolic outputs."""
        return symbolic_leaves(self._ends()[1])

    @property
    def input(self) -> Any:
        """The symbolic input, or the list of them."""
        return self.inputs[0] if len(self.inputs) == 1 else self.inputs

    @property
    def output(self) -> Any:
        """The symbolic output, or the list of them."""
        return self.outputs[0] if len(self.outputs) == 1 else self.outputs

    @property
    def input_shape(self) -> Any:
        """Shape of the input, or the list of shapes."""
        shapes = [self._graph().infos[number].shape for number in self._graph().inputs]
        return shapes[0] if len(shapes) == 1 else shapes

    @property
    def output_shape(self) -> Any:
        """Shape of the output, or the list of shapes."""
        shapes = [self._graph().infos[number].shape for number in self._graph().output_numbers()]
        return shapes[0] if len(shapes) == 1 else shapes

    @property
    def input_names(self) -> list[str]:
        """Names of the input layers."""
        return [name_of(self._modules[key]) for key in self._graph().input_keys]

    @property
    def output_names(self) -> list[str]:
        """Names of the layers that make the outputs, numbered where one makes several."""
        names: list[str] = []
        for key in self._graph().output_keys:
            name = name_of(self._modules[key])
            number = sum(1 for known in names if known == name or (known.startswith(f"{name}_") and known[len(name) + 1 :].isdigit()))
            names.append(f"{name}_{number}" if number and name in names else name)
        return names

    def _declares_shape(self) -> bool:
        return type(self).compute_output_shape is not GraphEnds.compute_output_shape

    def compute_output_shape(self, input_shape: Any) -> Any:
        if self._record_ is None:
            return super().compute_output_shape(input_shape)
        several = isinstance(input_shape, list) and input_shape and isinstance(input_shape[0], (list, tuple))
        shapes = input_shape if several else [input_shape]
        made = [KerasTensor.placeholder(tuple(s), self._record_.infos[n].dtype) for s, n in zip(shapes, self._record_.inputs, strict=True)]
        return shape_of(self._infer((made if several else made[0],), {}))


def _materialize(record: records.Record, modules: Mapping[str, Any]) -> tuple[Any, Any, list[KerasTensor]]:
    """New symbolic tensors and nodes for a record, after a copy or a pickle."""
    made = [KerasTensor.placeholder(info.shape, info.dtype, info.label) for info in record.infos]
    for info, tensor in zip(record.infos, made, strict=True):
        if info.masked:
            tensor.keras_mask = KerasTensor.placeholder(info.shape[:2], torch.bool)
    for key, number in zip(record.input_keys, record.inputs, strict=True):
        inbound_nodes(modules[key]).clear()
        outbound_nodes(modules[key]).clear()
        Node(modules[key], (), {}, made[number])
    for step in record.steps:
        args, kwargs, structure = (records.fill(part, made.__getitem__) for part in (step.args, step.kwargs, step.structure))
        Node(modules[step.key], args, kwargs, structure)
    inputs = [made[number] for number in record.inputs]
    return inputs, records.fill(record.outputs, made.__getitem__), [made[number] for number in record.added]
