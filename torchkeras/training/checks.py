"""What `fit`, `evaluate` and `predict` ask of data, checked at the door before anything changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from torchkeras.losses import function_name
from torchkeras.training.tensors import flatten, several


def check_lengths(named: Sequence[tuple[str, Any]]) -> int:
    """The common number of samples.

    Raises:
        ValueError: lengths differ, or there is nothing.
    """
    lengths = [(name, leaf.shape[0] if leaf.dim() else 0) for name, value in named for leaf in flatten(value) if leaf is not None]
    if not lengths:
        raise ValueError("There is no data: x is empty.")
    if len({length for _, length in lengths}) > 1:
        raise ValueError(f"All arrays must have the same number of samples, but got {', '.join(f'{name}: {length}' for name, length in lengths)}.")
    if lengths[0][1] == 0:
        raise ValueError(f"There are no samples: {lengths[0][0]} has length 0.")
    return lengths[0][1]


def check_inputs(model: Any, x: Any) -> None:
    """Compare data with the model's declared inputs.

    Raises:
        ValueError: another number of arrays, another rank or another size.
    """
    if model._record_ is None or getattr(model, "_inferred", False):
        return
    record = model._record_
    shapes = [record.infos[number].shape for number in record.inputs]
    names = model._input_names_in or model.input_names
    if isinstance(x, Mapping):
        missing = [name for name in names if name not in x]
        if missing:
            raise ValueError(f"Model '{model.name}' has the inputs {names}, but the dict of data has no {missing}. It has {sorted(x)}.")
        leaves = [x[name] for name in names]
    else:
        leaves = flatten(x)
    if len(leaves) != len(names):
        raise ValueError(f"Model '{model.name}' expects {len(names)} arrays as input ({', '.join(names)}), but got {len(leaves)}.")
    for name, shape, leaf in zip(names, shapes, leaves, strict=True):
        got = tuple(leaf.shape)
        if len(got) == len(shape) - 1 and len(got) == 1 and shape[-1] == 1:
            continue  # (n,) stands for (n, 1)
        if len(got) != len(shape):
            raise ValueError(
                f"Error when checking input: expected {name} to have {len(shape)} dimensions, but got array with shape {got}. Reshape the data."
            )
        if any(want is not None and want != have for want, have in zip(shape[1:], got[1:], strict=True)):
            raise ValueError(
                f"Error when checking input: expected {name} to have shape {tuple(shape[1:])} but got array with shape {got[1:]}. Reshape the data."
            )


def check_targets(model: Any, compiled: Any, targets: Sequence[Any]) -> None:
    """Compare targets with the model's outputs and losses.

    Raises:
        ValueError: NaN, class ids out of range, or a width that does not fit the loss.
    """
    shapes = None
    if model._record_ is not None:
        shapes = [model._record_.infos[number].shape for number in model._record_.output_numbers()]
    for number, (name, target) in enumerate(zip(compiled.names, targets, strict=False)):
        if not isinstance(target, Tensor) or not target.numel():
            continue
        if target.is_floating_point() and bool(torch.isnan(target).any()):
            raise ValueError(f"The targets of output '{name}' contain NaN. Remove or fill those samples first.")
        objective = compiled.objectives[number] if number < len(compiled.objectives) else None
        if shapes is not None and number < len(shapes) and objective is not None:
            _check_width(name, target, shapes[number], objective)


def _check_width(name: str, target: Tensor, shape: Any, objective: Any) -> None:
    loss = getattr(objective.loss, "fn", objective.loss)
    label = function_name(loss) if not isinstance(loss, str) else loss
    width = shape[-1] if shape else None
    if label == "sparse_categorical_crossentropy":
        if width is not None and width > 0:
            low, high = int(target.min()), int(target.max())
            if low < 0 or high >= width:
                raise ValueError(
                    f"The targets of output '{name}' have class ids from {low} to {high}, but the output has {width} classes (0 to {width - 1}). "
                    "Use an output with more units, or renumber the classes."
                )
        return
    known = label in _SAME_SHAPE
    if not known or not shape:
        return
    got = tuple(target.shape)
    expanded = (*got, 1) if len(got) == len(shape) - 1 else got
    if len(expanded) != len(shape):
        raise ValueError(f"Error when checking target: expected {name} to have {len(shape)} dimensions, but got array with shape {got}.")
    if any(want is not None and want != have for want, have in zip(shape[1:], expanded[1:], strict=True)):
        hint = ""
        if label == "categorical_crossentropy":
            hint = (
                " You are passing a target array of class ids while using the loss `categorical_crossentropy`, which expects one-hot rows:"
                " use torchkeras.utils.to_categorical(y), or the loss `sparse_categorical_crossentropy`."
                if expanded[-1] == 1
                else ""
            )
        raise ValueError(f"Error when checking target: expected {name} to have shape {tuple(shape[1:])} but got array with shape {got[1:]}.{hint}")


_SAME_SHAPE = {
    "categorical_crossentropy",
    "binary_crossentropy",
    "mean_squared_error",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_logarithmic_error",
    "poisson",
    "kullback_leibler_divergence",
    "kl_divergence",
    "hinge",
    "squared_hinge",
    "categorical_hinge",
    "logcosh",
    "log_cosh",
    "cosine_proximity",
    "cosine_similarity",
    "huber",
    "huber_loss",
}


def weights_per_output(sample_weight: Any, names: Sequence[str]) -> list[Any]:
    """Sample weights for each output, from one array, a list, or a dict by output name.

    Raises:
        ValueError: another number of them than outputs, or an unknown output.
    """
    if isinstance(sample_weight, Mapping):
        unknown = [name for name in sample_weight if name not in names]
        if unknown:
            raise ValueError(f"sample_weight names the outputs {unknown}, but the model's outputs are {list(names)}.")
        return [sample_weight.get(name) for name in names]
    if isinstance(sample_weight, (list, tuple)) and (several(sample_weight) or all(part is None for part in sample_weight)):
        if len(sample_weight) != len(names):
            raise ValueError(f"sample_weight has {len(sample_weight)} entries, but the model has {len(names)} outputs: {list(names)}.")
        return list(sample_weight)
    return [sample_weight] * len(names)


def modes_per_output(modes: Any, names: Sequence[str]) -> list[Any]:
    """`sample_weight_mode` for each output, from one for all, a list, or a dict by output name.

    Raises:
        ValueError: a mode that is not `None` or "temporal", or for an output that there is not.
    """
    if isinstance(modes, Mapping):
        unknown = [name for name in modes if name not in names]
        if unknown:
            raise ValueError(f"sample_weight_mode names the outputs {unknown}, but the model's outputs are {list(names)}.")
        found = [modes.get(name) for name in names]
    elif isinstance(modes, (list, tuple)):
        if len(modes) != len(names):
            raise ValueError(f"sample_weight_mode has {len(modes)} entries, but the model has {len(names)} outputs: {list(names)}.")
        found = list(modes)
    else:
        found = [modes for _ in names]
    wrong = [mode for mode in found if mode not in (None, "temporal", "samplewise")]
    if wrong:
        raise ValueError(f"sample_weight_mode must be None or 'temporal', but got {wrong[0]!r}.")
    return found


def check_weights(weights: Sequence[Tensor | None], targets: Sequence[Any], names: Sequence[str], modes: Any = None) -> None:
    """Compare sample weights with targets.

    Args:
        weights, targets: For each output.
        names: Names of the outputs.
        modes: `sample_weight_mode` of `compile`: "temporal" asks for one weight a time step.

    Raises:
        ValueError: another length, more axes than the targets, or weights that are not what the mode asks for.
    """
    for weight, target, name, mode in zip(weights, targets, names, modes_per_output(modes, names), strict=True):
        if weight is None or target is None:
            continue
        if mode == "temporal" and weight.dim() != 2:
            raise ValueError(
                f"Found a sample_weight array for output '{name}' with shape {tuple(weight.shape)}. sample_weight_mode='temporal' needs one weight "
                "a time step: (samples, steps)."
            )
        if weight.dim() == 0 or weight.shape[0] != target.shape[0]:
            raise ValueError(f"sample_weight for output '{name}' has the shape {tuple(weight.shape)}, but there are {target.shape[0]} samples.")
        if weight.dim() > max(target.dim(), 1) or tuple(weight.shape) != tuple(target.shape[: weight.dim()]):
            raise ValueError(
                f"sample_weight for output '{name}' has the shape {tuple(weight.shape)}, but the targets {tuple(target.shape)}. "
                "Give one weight a sample, or one a time step."
            )
