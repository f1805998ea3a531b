"""The state of an optimizer as Keras 1 wrote it, for the parameters that layers have here.

Keras 1 has more parameters (each gate of a recurrent layer has its own) and lists their states in the order of their names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from torchkeras.optimizers import Optimizer
from torchkeras.saving.errors import ContentError
from torchkeras.saving.foreign_weights import count_in_file, to_keras2
from torchkeras.saving.weight_groups import Origin

Array = np.ndarray[Any, Any]


def optimizer_list(model: Any, pairs: Sequence[tuple[Any, Sequence[str]]], values: Sequence[Array], source: Origin) -> list[Array]:
    """The list that `set_weights` of the model's optimizer takes.

    Args:
        model: The model, its optimizer bound.
        pairs: Each layer with the names that its weights have in the file, in the file's order.
        values: The optimizer's list in the file.
        source: Which Keras wrote it.

    Raises:
        ContentError: the list does not fit the weights of the file.
    """
    trained: dict[str, tuple[int, int]] = {}
    for number, (layer, names) in enumerate(pairs):
        for index, name in enumerate(names[: count_in_file(layer, source, trainable=True)]):
            trained[name] = (number, index)
    order = sorted(trained)
    optimizer: Optimizer = model.optimizer
    head = len(optimizer.keras2_numbers)
    if not order or (len(values) - head) % len(order):
        raise ContentError(f"it has {len(values)} arrays, which are not the states of the {len(order)} weights that the file trains")
    found = list(values[:head])
    for start in range(head, len(values), len(order)):
        states = {trained[name]: value for name, value in zip(order, values[start : start + len(order)], strict=True)}
        ours: dict[int, Array] = {}
        for number, (layer, _) in enumerate(pairs):
            parts = [states[key] for key in sorted(key for key in states if key[0] == number)]
            if parts:
                converted = to_keras2(layer, parts, source)
                ours.update({id(view.parameter): array for view, array in zip(layer.trainable_weights, converted, strict=True)})
        found += [ours[id(parameter)] for group in optimizer.param_groups for parameter in group["params"]]
    return found
