"""Pictures of models: `plot_model`, `model_to_dot`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from torchkeras.utils.atomic import atomic_text, atomic_write
from torchkeras.utils.model_boxes import Box, Shape, boxes_of, has_graph
from torchkeras.utils.model_picture import Card, lay_out, write_bitmap, write_svg

_DIRECTIONS = ("TB", "BT", "LR", "RL")


class DotText:
    """A graph in the DOT language, for where pydot is not installed.

    Args:
        text: The source.
    """

    def __init__(self, text: str) -> None:
        self._text = text

    def to_string(self) -> str:
        """The source."""
        return self._text

    def __str__(self) -> str:
        return self._text

    def write(self, path: str | os.PathLike[str], prog: str = "dot", format: str = "raw") -> bool:
        """Write the source (`format="raw"`), or a picture by Graphviz.

        Raises:
            RuntimeError: Graphviz is not installed, or fails.
        """
        if format == "raw":
            with atomic_text(path) as file:
                file.write(self._text)
        else:
            content = run_graphviz(self._text, format, prog)
            with atomic_write(path) as file:
                file.write(content)
        return True


def run_graphviz(text: str, kind: str, program: str = "dot") -> bytes:
    """A picture of DOT source by Graphviz.

    Raises:
        RuntimeError: the program is not installed, or fails.
    """
    if shutil.which(program) is None:
        raise RuntimeError(f"Graphviz's program {program!r} is not installed. plot_model draws without it.")
    done = subprocess.run([program, f"-T{kind}"], input=text.encode(), capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"Graphviz's {program!r} failed: {done.stderr.decode(errors='replace').strip()[:500]}")
    return done.stdout


def model_to_dot(
    model: Any,
    show_shapes: bool = False,
    show_layer_names: bool = True,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = 96,
    subgraph: bool = False,
) -> Any:
    """A model's graph in the DOT language: a `pydot.Dot` (a `pydot.Subgraph` for `subgraph`) where pydot is installed, else a `DotText`.

    Args:
        model: A Sequential or functional model.
        show_shapes: Whether to show the shapes of inputs and outputs.
        show_layer_names: Whether to show names.
        rankdir: "TB", "BT", "LR" or "RL": where edges lead.
        expand_nested: Whether models in the model stand as their own layers, in a frame.
        dpi: Pixels per inch.
        subgraph: Whether to give a cluster for use in another graph.

    Raises:
        ValueError: a model whose graph is not known, or another `rankdir`.

    Source: Keras 1.2.2, 2.2.4 and tf.keras 2.4.0 `model_to_dot`.
    """
    text = _dot_text(model, _checked(model, rankdir, expand_nested), show_shapes, show_layer_names, rankdir, dpi, subgraph)
    try:
        import pydot
    except ImportError:
        return DotText(text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # pydot's use of its parser
        graphs: Any = pydot.graph_from_dot_data(f"digraph {{ {text} }}" if subgraph else text)
    return graphs[0].get_subgraphs()[0] if subgraph else graphs[0]


def plot_model(
    model: Any,
    to_file: str | os.PathLike[str] = "model.png",
    show_shapes: bool = False,
    show_layer_names: bool = True,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = 96,
) -> Any:
    """Write a picture of a model's graph: by Graphviz where it is installed, else by a drawing of our own.

    Args:
        model: A Sequential or functional model.
        to_file: The file; its ending says the format: png, svg, pdf, or dot for the source. Without Graphviz all but svg and dot need matplotlib.
        show_shapes: Whether to show the shapes of inputs and outputs.
        show_layer_names: Whether to show names.
        rankdir: "TB", "BT", "LR" or "RL": where edges lead.
        expand_nested: Whether models in the model stand as their own layers.
        dpi: Pixels per inch.

    Returns:
        An `IPython.display.Image` in a notebook, else `None`.

    Raises:
        ValueError: a model whose graph is not known, or another `rankdir`.
        ImportError: matplotlib is needed and not installed.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `plot_model`.
    """
    boxes = _checked(model, rankdir, expand_nested)
    path = os.fspath(to_file)
    kind = os.path.splitext(path)[1][1:].lower() or "png"
    path = path if os.path.splitext(path)[1] else f"{path}.png"
    if kind == "dot" or shutil.which("dot") is not None:
        text = _dot_text(model, boxes, show_shapes, show_layer_names, rankdir, dpi, False)
        DotText(text).write(path, format="raw" if kind == "dot" else kind)
    else:
        picture = lay_out([Card(box.name, _lines(box, show_shapes, show_layer_names), box.inputs) for box in boxes], rankdir)
        if kind == "svg":
            write_svg(picture, path)
        else:
            write_bitmap(picture, path, kind, dpi)
    return _shown(path, kind)


plot = plot_model  # Keras 1


def _shown(path: str, kind: str) -> Any:
    """The picture for a notebook, where there is one."""
    if "ipykernel" not in sys.modules or kind not in ("png", "jpg", "jpeg"):
        return None
    from IPython.display import Image

    return Image(filename=path)


def _checked(model: Any, rankdir: str, expand_nested: bool) -> list[Box]:
    if rankdir not in _DIRECTIONS:
        raise ValueError(f"rankdir must be one of {', '.join(_DIRECTIONS)}, but got {rankdir!r}.")
    if not has_graph(model):
        raise ValueError(
            f"The graph of {type(model).__name__} '{getattr(model, 'name', '?')}' is not known: the model is not built yet, or it computes in its "
            "own call(). Call build() or fit() with some data first; the graph of a subclassed model is shown by the TensorBoard callback."
        )
    return boxes_of(model, expand_nested)


def _lines(box: Box, shapes: bool, names: bool) -> list[str]:
    found = [f"{box.name}: {box.kind}" if names else box.kind]
    if shapes:
        found += [f"in {_shape_text(box.in_shapes)}", f"out {_shape_text(box.shapes)}"]
    return found


def _shape_text(shapes: Sequence[Shape]) -> str:
    texts = ["(" + ", ".join("?" if size is None else str(size) for size in shape) + ")" for shape in shapes]
    return texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"


def _dot_text(model: Any, boxes: list[Box], shapes: bool, names: bool, rankdir: str, dpi: int, subgraph: bool) -> str:
    head = f"subgraph {_quoted(f'cluster_{model.name}')}" if subgraph else "digraph G"
    lines = [f"{head} {{", f"graph [rankdir={rankdir}, dpi={dpi}, concentrate=true];", "node [shape=record];"]
    if subgraph:
        lines.append(f"label={_quoted(model.name)};")
    number = {box.name: str(place) for place, box in enumerate(boxes)}
    if subgraph:  # so that names differ from those of the graph around it
        number = {name: f"{model.name}_{place}" for name, place in number.items()}
    lines += _nodes(boxes, (), number, shapes, names)
    lines += [f"{_quoted(number[source])} -> {_quoted(number[box.name])};" for box in boxes for source in box.inputs if source in number]
    return "\n".join([*lines, "}\n"])


def _nodes(boxes: list[Box], group: tuple[str, ...], number: dict[str, str], shapes: bool, names: bool) -> list[str]:
    """The nodes of a group, and frames around the groups in it."""
    depth = len(group)
    lines, inner = [], dict.fromkeys(box.group[: depth + 1] for box in boxes if len(box.group) > depth and box.group[:depth] == group)
    for box in boxes:
        if box.group == group:
            lines.append(f"{_quoted(number[box.name])} [label={_quoted(_record(box, shapes, names))}];")
    for found in inner:
        lines += [f"subgraph {_quoted('cluster_' + '/'.join(found))} {{", f"label={_quoted(found[-1])};"]
        lines += [*_nodes(boxes, found, number, shapes, names), "}"]
    return lines


def _record(box: Box, shapes: bool, names: bool) -> str:
    """A label of DOT's records."""
    title = _escaped(_lines(box, False, names)[0])
    if not shapes:
        return title
    return f"{title}|{{input:|output:}}|{{{{{_escaped(_shape_text(box.in_shapes))}}}|{{{_escaped(_shape_text(box.shapes))}}}}}"


def _escaped(text: str) -> str:
    for character in "\\{}|<>":
        text = text.replace(character, f"\\{character}")
    return text


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '\\"') + '"'
