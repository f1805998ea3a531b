"""A model's graph for TensorBoard: layers as nodes, tensors as edges."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from torchkeras.utils.model_boxes import Box, unused

_FAR = 10_000  # nodes of autograd that are searched for where a tensor comes from


class Watch:
    """Follows one forward pass of a subclassed model: which module got which other module's output.

    Plain torch functions between modules are looked through by way of autograd; what depends on no module comes from `input`.

    Args:
        model: Any nn.Module; its innermost modules are the nodes, named by their place in it.
    """

    def __init__(self, model: nn.Module) -> None:
        self.boxes: list[Box] = []
        self._made: dict[int, str] = {}  # by id of a tensor
        self._functions: dict[Any, str] = {}  # by node of autograd
        self._kept: list[Any] = []  # so that no id is given twice
        self._taken = {"input"}
        places = {id(module): name.replace(".", "/") for name, module in model.named_modules()}
        self._handles = [
            module.register_forward_hook(
                lambda module, args, kwargs, output: self._seen(places[id(module)], module, args, kwargs, output), with_kwargs=True
            )
            for module in model.modules()
            if module is not model and not any(True for _ in module.children())
        ]

    def remove(self) -> None:
        """Listen no more."""
        for handle in self._handles:
            handle.remove()
        self._kept.clear()
        self._functions.clear()

    def _seen(self, place: str, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        name = unused(place, self._taken)
        inputs = [self._source(tensor) for tensor in _tensors((args, kwargs))]
        outputs = list(_tensors(output))
        self.boxes.append(Box(name, type(module).__name__, list(dict.fromkeys(inputs)), [tuple(tensor.shape) for tensor in outputs]))
        self._kept.append(outputs)
        for tensor in outputs:
            self._made[id(tensor)] = name
            if tensor.grad_fn is not None:
                self._functions[tensor.grad_fn] = name

    def _source(self, tensor: Tensor) -> str:
        """The module that a tensor comes from."""
        self._kept.append(tensor)
        if id(tensor) in self._made:
            return self._made[id(tensor)]
        waiting, seen = [tensor.grad_fn], set[Any]()
        while waiting and len(seen) < _FAR:
            function = waiting.pop(0)
            if function is None or function in seen:
                continue
            if function in self._functions:
                return self._functions[function]
            seen.add(function)
            waiting += [following for following, _ in function.next_functions]
        return "input"


def _innermost(model: nn.Module) -> Iterator[nn.Module]:
    """Modules that stand for themselves: those of the libraries, and those that have none inside."""
    containers = (nn.ModuleList, nn.ModuleDict, nn.Sequential)
    for module in model.children():
        library = type(module).__module__.startswith(("torchkeras.layers", "torch.nn.modules")) and not isinstance(module, containers)
        if library or not any(True for _ in module.children()):
            yield module
        else:
            yield from _innermost(module)


def _tensors(structure: Any) -> Iterator[Tensor]:
    if isinstance(structure, Tensor):
        yield structure
    elif isinstance(structure, dict):
        yield from _tensors(list(structure.values()))
    elif isinstance(structure, (list, tuple)):
        for part in structure:
            yield from _tensors(part)


def graph_event(boxes: list[Box]) -> Any:
    """The boxes as an event that the Graphs page shows."""
    from tensorboard.compat.proto.attr_value_pb2 import AttrValue
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.graph_pb2 import GraphDef
    from tensorboard.compat.proto.node_def_pb2 import NodeDef
    from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
    from tensorboard.compat.proto.versions_pb2 import VersionDef

    def shape_of(shape: tuple[int | None, ...]) -> Any:
        return TensorShapeProto(dim=[TensorShapeProto.Dim(size=-1 if size is None else size) for size in shape])

    names = {box.name for box in boxes}
    nodes = []
    if any("input" in box.inputs for box in boxes) and "input" not in names:
        nodes.append(NodeDef(name="input", op="Input"))
    for box in boxes:
        shapes = AttrValue(list=AttrValue.ListValue(shape=[shape_of(shape) for shape in box.shapes]))
        nodes.append(NodeDef(name=box.name, op=box.kind, input=box.inputs, attr={"_output_shapes": shapes}))
    graph = GraphDef(node=nodes, versions=VersionDef(producer=22))
    return Event(graph_def=graph.SerializeToString())


def keras_summary(model: Any) -> Any:
    """The summary that TensorBoard's conceptual graph is made of: the model as JSON, in the tag `keras`, as tf.keras writes it.

    Args:
        model: A Sequential or functional model.
    """
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto

    text = model_json(model)
    metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="graph_keras_model", content=b"1"))
    tensor = TensorProto(dtype="DT_STRING", string_val=[text.encode()], tensor_shape=TensorShapeProto())
    return Summary(value=[Summary.Value(tag="keras", tensor=tensor, metadata=metadata)])


def model_json(model: Any) -> str:
    """The class and config of a model as JSON."""
    if hasattr(model, "to_json"):
        return model.to_json()
    return json.dumps({"class_name": type(model).__name__, "config": model.get_config()}, default=str)
