"""Class weights as weights of samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from torchkeras import generations


def class_ids(target: Tensor) -> Tensor:
    """The class of each sample from ids, (n, 1) ids, or one-hot rows."""
    if target.dim() == 2 and target.shape[-1] > 1:
        return target.argmax(dim=-1)
    ids = target.reshape(target.shape[0], -1)[:, 0]
    return (ids.round() if ids.is_floating_point() else ids).long()


def weights_of_classes(target: Tensor, class_weight: Mapping[int, float], output: str, classes: int | None, *, whole: bool = True) -> Tensor:
    """A weight for each sample by its class.

    Args:
        target: Ids (n,) or (n, 1), or one-hot rows (n, classes).
        class_weight: Weight of each class id.
        output: The output's name, for messages.
        classes: How many classes the output has, where known.
        whole: Whether this is all of the data; a batch on an accelerator is not looked at, since that would wait for it. A class without
            a weight then makes its samples' loss NaN.

    Raises:
        ValueError: targets of more than two axes, a class without a weight, or a weight for a class that cannot be.
    """
    if target.dim() > 2:
        raise ValueError(
            f"class_weight needs one class a sample, but the targets of output '{output}' have the shape {tuple(target.shape)}. Use sample_weight."
        )
    given = {int(key): float(value) for key, value in class_weight.items()}
    impossible = sorted(key for key in given if key < 0 or (classes is not None and key >= classes))
    if impossible:
        raise ValueError(f"class_weight has weights for the classes {impossible}, but output '{output}' has the classes 0 to {(classes or 0) - 1}.")
    ids = class_ids(target)
    size = max(max(given, default=0), (classes or 0) - 1) + 2  # the last place is for ids beyond
    table = torch.full((size,), float("nan"))
    for label, weight in given.items():
        table[label] = weight
    weights = table.to(ids.device)[ids.clamp(-1, size - 1)]
    if (whole or ids.device.type == "cpu") and bool(weights.isnan().any()):
        missing = [label for label in torch.unique(ids).tolist() if label not in given]
        raise ValueError(f"`class_weight` must contain all classes in the data. Output '{output}' has the classes {missing} too.")
    return weights


def combine(
    targets: Sequence[Tensor | None],
    sample_weights: Sequence[Tensor | None],
    class_weight: Any,
    names: Sequence[str],
    classes: Sequence[int | None],
    *,
    whole: bool = True,
) -> list[Tensor | None]:
    """Sample weights with the class weights in them, for each output.

    Both at once multiply in tf.keras; Keras 1 and 2 then follow the sample weights alone.

    Args:
        targets, sample_weights: For each output.
        class_weight: {id: weight} for all outputs, or {output name: {id: weight}}, or a list.
        names: Names of the outputs.
        classes: Number of classes of each output, where known.
        whole: Whether this is all of the data, see `weights_of_classes`.
    """
    chosen = _per_output(class_weight, names)
    product = generations.choose("loss.class_and_sample_weight") == "product"
    combined: list[Tensor | None] = []
    for target, weight, mine, name, count in zip(targets, sample_weights, chosen, names, classes, strict=True):
        if mine is None or target is None or (weight is not None and not product):
            combined.append(weight)
            continue
        by_class = weights_of_classes(target, mine, name, count, whole=whole)
        if weight is None:
            combined.append(by_class)
        else:
            combined.append(weight * by_class.reshape(by_class.shape + (1,) * (weight.dim() - 1)).to(weight.dtype))
    return combined


def _per_output(class_weight: Any, names: Sequence[str]) -> list[Any]:
    if isinstance(class_weight, Mapping) and class_weight and all(isinstance(key, str) for key in class_weight):
        unknown = [key for key in class_weight if key not in names]
        if unknown:
            raise ValueError(f"class_weight names the outputs {unknown}, but the model's outputs are {list(names)}.")
        return [class_weight.get(name) for name in names]
    if isinstance(class_weight, (list, tuple)):
        if len(class_weight) != len(names):
            raise ValueError(f"class_weight has {len(class_weight)} entries, but the model has {len(names)} outputs: {list(names)}.")
        return list(class_weight)
    return [class_weight for _ in names]
