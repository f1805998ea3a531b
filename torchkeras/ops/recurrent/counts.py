"""Valid steps counted on the host, before data goes to a device, for masks that layers make there later."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from torchkeras.ops.recurrent.order import known_lengths, set_known_lengths


def note_count(inputs: Tensor, padding: float, counts: Sequence[int]) -> None:
    """Tell a batch how many steps of each row are not wholly `padding`.

    Args:
        inputs: (batch, steps, ...).
        padding: The value that marks padding: 0 for ids, the `mask_value` of Masking.
        counts: Such steps of each row.
    """
    noted = getattr(inputs, "_step_counts", None) or {}
    inputs._step_counts = {**noted, float(padding): [int(count) for count in counts]}  # type: ignore[attr-defined]


def hand_on_counts(tensor: Tensor, there: Tensor) -> None:
    """Hang on a copy of a tensor (a mask, or a batch) what was counted for it."""
    lengths, noted = known_lengths(tensor), getattr(tensor, "_step_counts", None)
    if lengths is not None:
        set_known_lengths(there, lengths)
    if noted is not None:
        there._step_counts = noted  # type: ignore[attr-defined]


def with_noted_count(mask: Tensor, inputs: Tensor, padding: float) -> Tensor:
    """A mask that was made of a batch, with what `note_count` told of that batch."""
    counts = (getattr(inputs, "_step_counts", None) or {}).get(float(padding))
    if counts is not None and len(counts) == mask.shape[0]:
        set_known_lengths(mask, counts)
    return mask
