"""Models as ONNX files: their plain torch module, exported by torch."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from torchkeras.exporting.module import to_torch
from torchkeras.exporting.writer import ExportError
from torchkeras.graph.network import Network
from torchkeras.utils.atomic import PathLike, atomic_write

_TRIED = 32  # size of an unknown dimension while the model is traced
_MISSING = "Writing ONNX needs the packages onnx and onnxscript: pip install 'torchkeras-native[onnx]'."


def save_onnx(model: Any, path: PathLike, input_shapes: Sequence[Sequence[int | None]] | None = None) -> None:
    """Write a model in inference mode to an ONNX file, whole or not at all. Unknown dimensions stay free.

    Args:
        model: A built `Sequential` or functional model.
        path: Where to.
        input_shapes: The shape of each input without the batch axis, where they are to be fixed; `None`: as the model declares.

    Raises:
        ImportError: the packages onnx and onnxscript are missing.
        ValueError: shapes of another number than the model's inputs or axes.
        ExportError: the model has no graph, or torch cannot export it.
    """
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ImportError(_MISSING) from error
    if not isinstance(model, Network) or not model.is_graph_network:
        raise ExportError("Only built Sequential and functional models are written to ONNX: a model needs a graph of layers.")
    shapes = _shapes(model, input_shapes)
    data = _exported(_module(model), _samples(model, shapes), shapes, model)
    with atomic_write(path) as file:
        file.write(data)


def _module(model: Network) -> nn.Module:
    try:
        return to_torch(model).eval()
    except ExportError:  # masks, layers of one's own: torch may still be able to trace them
        return model.eval()


def _shapes(model: Network, given: Sequence[Sequence[int | None]] | None) -> list[tuple[int | None, ...]]:
    record = model._graph()
    declared = [tuple(record.infos[number].shape) for number in record.inputs]
    if not given:
        return declared
    if len(given) != len(declared):
        raise ValueError(f"Model '{model.name}' has {len(declared)} inputs, but {len(given)} input shapes were given.")
    found = []
    for key, shape, wanted in zip(record.input_keys, declared, given, strict=True):
        fits = len(wanted) == len(shape) - 1 and all(None in (one, two) or one == two for one, two in zip(shape[1:], wanted, strict=True))
        if not fits:
            raise ValueError(f"Input '{key}' of model '{model.name}' has the shape {shape[1:]} beside the batch, but {tuple(wanted)} was given.")
        found.append((shape[0], *(two if one is None else one for one, two in zip(shape[1:], wanted, strict=True))))
    return found


def _samples(model: Network, shapes: Sequence[tuple[int | None, ...]]) -> tuple[Tensor, ...]:
    record = model._graph()
    weight = next(iter(model.parameters()), torch.empty(0))
    made = []
    for number, shape in zip(record.inputs, shapes, strict=True):
        sizes = [(2 if axis == 0 else _TRIED) if size is None else size for axis, size in enumerate(shape)]
        users = [model._modules[step.key] for step in record.steps if number in step.inputs]
        ids = bool(users) and all(getattr(user, "accepts_integers", False) for user in users) and not record.infos[number].dtype.is_floating_point
        dtype = torch.int64 if ids else record.infos[number].dtype
        made.append(torch.zeros(sizes, dtype=dtype, device=weight.device))
    return tuple(made)


def _exported(module: nn.Module, samples: tuple[Tensor, ...], shapes: Sequence[tuple[int | None, ...]], model: Network) -> bytes:
    free = tuple({axis: torch.export.Dim.DYNAMIC for axis, size in enumerate(shape) if size is None} for shape in shapes)
    several = len(samples) > 1 and module is model
    level = logging.root.manager.disable
    try:
        logging.disable(logging.WARNING)  # of operators that the model does not have
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                module,
                (list(samples),) if several else samples,
                dynamo=True,
                verbose=False,
                dynamic_shapes=(list(free),) if several else free,
            )
        assert program is not None
        _name_ends(program.model.graph, model)
        return program.model_proto.SerializeToString()
    except Exception as error:  # torch's exporter has errors of many kinds
        first = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise ExportError(f"torch could not export model '{model.name}' to ONNX: {first[:300]}") from error
    finally:
        logging.disable(level)


def _name_ends(graph: Any, model: Network) -> None:
    """Give inputs and outputs the names that they have in the model, where nothing inside has taken them."""
    inside = {value.name for node in graph for value in node.outputs} | {value.name for value in (*graph.inputs, *graph.initializers.values())}
    for values, names, ending in ((graph.inputs, model.input_names, "input"), (graph.outputs, model.output_names, "output")):
        if len(values) != len(names):  # a value that is an output twice
            continue
        for value, name in zip(values, names, strict=True):
            wanted = name
            while wanted in inside and wanted != value.name:
                wanted = f"{wanted}_{ending}"
            inside.add(wanted)
            value.name = wanted
