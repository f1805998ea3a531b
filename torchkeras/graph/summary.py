"""The text of `model.summary()`, character for character that of the chosen Keras release."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from torch import nn

from torchkeras import generations
from torchkeras.graph.config import first_node
from torchkeras.layers.base import Layer
from torchkeras.layers.input_layer import InputLayer
from torchkeras.layers.legacy_table import FORMER_CLASSES
from torchkeras.layers.naming import name_of
from torchkeras.layers.raw_weights import weights_of

if TYPE_CHECKING:
    from torchkeras.graph.network import Network


def print_summary(
    model: Network, line_length: int | None = None, positions: Sequence[float] | None = None, print_fn: Callable[[str], Any] | None = None
) -> None:
    """Print the table of a model's layers.

    Args:
        model: A built model.
        line_length: Width in characters; `None`: 65, or 98 where the graph branches.
        positions: Where the columns end, as fractions of the width or as characters.
        print_fn: Called with each line, instead of `print`.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `print_summary`.
    """
    for line in summary_lines(model, line_length, positions):
        (print_fn or print)(line)


def summary_lines(model: Network, line_length: int | None = None, positions: Sequence[float] | None = None) -> list[str]:
    """The lines of the table."""
    tf_keras = generations.choose("summary.title")
    wide = generations.choose("summary.wide")
    simple = is_chain(model) and not wide
    width = line_length or (65 if simple else 100 if wide else 98)
    columns = list(positions or ([0.45, 0.85, 1.0] if simple else [0.33, 0.55, 0.67, 1.0]))
    if columns[-1] <= 1:
        columns = [int(width * column) for column in columns]
    titles = ["Layer (type)", "Output Shape", "Param #", *([] if simple else ["Connected to"])]
    lines = [f'Model: "{model.name}"'] if tf_keras else []
    lines += ["_" * width, _row(titles, columns), "=" * width]
    layers = model.layers
    joined = [layer for layer in layers if wide and type(layer).__name__ == "Merge" and type(model).__name__ == "Sequential"]
    branches = layers[: layers.index(joined[0])] if joined else []  # Keras 1 had those as models: it shows no connections inside
    layers = [layer for layer in layers if layer not in joined]
    for number, layer in enumerate(layers):
        fields = [f"{name_of(layer)} ({_class_name(layer, wide)})", _shape_text(model, layer), str(_count(layer))]
        sources = [] if simple or layer in branches else connections(model, layer)
        lines.append(_row([*fields, *([] if simple else [sources[0] if sources else ""])], columns))
        lines += [_row(["", "", "", source], columns) for source in sources[1:]]
        lines.append(("=" if number == len(layers) - 1 else "_") * width)
    trainable, frozen = parameter_counts(model)
    lines += [f"Total params: {trainable + frozen:,}", f"Trainable params: {trainable:,}", f"Non-trainable params: {frozen:,}", "_" * width]
    return lines


def _class_name(layer: nn.Module, former: bool) -> str:
    name = getattr(layer, "config_class_name", None) or type(layer).__name__
    return FORMER_CLASSES.get(name, name) if former else name


def _row(fields: Sequence[str], columns: Sequence[float]) -> str:
    line = ""
    for number, (text, column) in enumerate(zip(fields, columns, strict=False)):
        line = line[:-1] + " " if number else line
        line = (line + str(text))[: int(column)].ljust(int(column))
    return line


def is_chain(model: Network) -> bool:
    """Whether each layer follows the one before: then the table has no column for connections."""
    record = model._record_
    if record is None or type(model).__name__ == "Sequential":
        return True
    depths = _nodes_by_depth(record)
    if any(len(steps) > 1 for steps in depths.values()) or len(record.inputs) > 1:
        return False
    seen: set[str] = set()
    for step in record.steps:
        if step.key in seen:  # a shared layer
            return False
        seen.add(step.key)
    return all(len(step.inputs) == 1 for step in record.steps)


def _nodes_by_depth(record: Any) -> dict[int, list[Any]]:
    depth_of_value: dict[int, int] = {}
    found: dict[int, list[Any]] = {}
    for step in record.steps:
        depth = max((depth_of_value.get(number, 0) for number in step.inputs), default=0) + 1
        for number in step.outputs:
            depth_of_value[number] = depth
        found.setdefault(depth, []).append(step)
    return found


def connections(model: Network, layer: nn.Module) -> list[str]:
    """Where a layer's inputs come from: "name[node][tensor]"."""
    record = model._graph()
    key = next(key for key in record.layer_keys if model._modules[key] is layer)
    found = []
    for step in sorted((step for step in record.steps if step.key == key), key=lambda step: step.node_index):
        for number in step.inputs:
            info = record.infos[number]
            source = model._modules[info.key]
            found.append(f"{name_of(source)}[{info.node_index + first_node(source)}][{info.tensor_index}]")
    return found


def _shape_text(model: Network, layer: nn.Module) -> str:
    record = model._record_
    if record is None:
        try:
            return str(layer.output_shape) if isinstance(layer, Layer) else "multiple"
        except (AttributeError, ValueError):
            return "multiple"
    key = next(key for key in record.layer_keys if model._modules[key] is layer)
    if isinstance(layer, InputLayer):
        shape = tuple(layer._batch_input_shape or ())
        return str([shape]) if generations.choose("summary.title") else str(shape)
    shapes = {tuple(record.infos[number].shape for number in step.outputs) for step in record.steps if step.key == key}
    if len(shapes) != 1:
        return "multiple"
    (only,) = shapes
    return str(only[0]) if len(only) == 1 else str(list(only))


def _count(layer: nn.Module) -> int:
    if isinstance(layer, Layer):
        return layer.count_params() if layer.built else 0
    return sum(view.numel() for view in weights_of(layer, name_of(layer)))


def parameter_counts(model: Network) -> tuple[int, int]:
    """Numbers of trained and of frozen scalars."""
    views = {view.identity: view for view in model.stored_weights}
    trained = {view.identity for view in model.trainable_weights}
    trainable = sum(view.numel() for key, view in views.items() if key in trained)
    return trainable, sum(view.numel() for view in views.values()) - trainable
