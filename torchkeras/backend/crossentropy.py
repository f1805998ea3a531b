"""The crossentropies of K: like the losses of these names, but not averaged, and with `axis`."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from torchkeras.backend.conversion import as_tensor, recorded
from torchkeras.backend.keras1 import keras1_spelling
from torchkeras.generations import BY_GENERATION, resolve
from torchkeras.losses import crossentropy


def _check_axis(output: Any, axis: int, who: str) -> Any:
    output = as_tensor(output)
    if not -output.ndim <= axis < output.ndim:
        raise ValueError(f"{who} needs one of the axes of `output`, whose shape is {tuple(output.shape)}, but got axis={axis}.")
    return output


@keras1_spelling
@recorded
def categorical_crossentropy(target: Any, output: Any, from_logits: bool = False, axis: int = -1) -> Tensor:
    """Minus the log-probability of the target classes.

    Args:
        target: One-hot targets or class probabilities.
        output: Class probabilities, or scores where `from_logits` is set.
        from_logits: Whether `output` holds scores before a softmax.
        axis: The axis of the classes.

    Shape: two of (batch, ..., classes) -> (batch, ...). Unit: nats.

    Raises:
        ValueError: an axis that `output` does not have.
    """
    output = _check_axis(output, axis, "categorical_crossentropy")
    return crossentropy.categorical_crossentropy(as_tensor(target, like=output), output, from_logits, axis=axis)


@keras1_spelling
@recorded
def sparse_categorical_crossentropy(target: Any, output: Any, from_logits: bool = False, axis: int = -1) -> Tensor:
    """Minus the log-probability of the class that each id names.

    Args:
        target: Class ids.
        output: Class probabilities, or scores where `from_logits` is set.
        from_logits: Whether `output` holds scores before a softmax.
        axis: The axis of the classes.

    Shape: ids (batch, ...) or (batch, ..., 1), output (batch, ..., classes) -> (batch, ...). Unit: nats.

    Raises:
        ValueError: an axis that `output` does not have, or another number of ids.
    """
    output = _check_axis(output, axis, "sparse_categorical_crossentropy")
    return crossentropy.sparse_categorical_crossentropy(target, output, from_logits, axis=axis)


@keras1_spelling
@recorded
def binary_crossentropy(target: Any, output: Any, from_logits: bool = False, *, clip: str = BY_GENERATION) -> Tensor:
    """Crossentropy of independent yes-or-no targets, element by element.

    Args:
        target: Targets, 0 to 1.
        output: Probabilities of 1, or scores where `from_logits` is set.
        from_logits: Whether `output` holds scores before a sigmoid.
        clip: What is done at probabilities of 0 and 1, see the loss of this name; by default what the chosen release does.

    Shape: two of one shape -> that shape. Unit: nats.
    """
    output = as_tensor(output)
    return crossentropy.binary_of_elements(as_tensor(target, like=output), output, from_logits, 0, resolve(clip, "loss.binary_clip"), "none")
