"""Masks that hang on tensors: where eager code and the outputs of models keep them."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from torchkeras.layers.symbolic import KerasTensor


def get_mask(tensor: Any) -> Any:
    """The mask that hangs on a tensor (or on each of several), or `None`."""
    if isinstance(tensor, (list, tuple)):
        return [get_mask(part) for part in tensor]
    return getattr(tensor, "_keras_mask", None)


def set_mask(tensor: Any, mask: Any) -> None:
    """Hang a mask on a tensor, for the layers that eager code calls next."""
    if isinstance(tensor, (list, tuple)):
        for part, part_mask in zip(tensor, mask if isinstance(mask, (list, tuple)) else [mask] * len(tensor), strict=False):
            set_mask(part, part_mask)
    elif mask is not None and isinstance(tensor, Tensor):
        if type(tensor) is KerasTensor:
            tensor.keras_mask = mask
        else:
            tensor._keras_mask = mask  # type: ignore[attr-defined]


def has_mask(mask: Any) -> bool:
    """Whether any mask is there."""
    if isinstance(mask, (list, tuple)):
        return any(has_mask(part) for part in mask)
    return mask is not None


def symbolic_masks(inputs: Any) -> Any:
    """The masks of symbolic inputs, or `None` where there are none."""
    if isinstance(inputs, (list, tuple)):
        masks = [symbolic_masks(part) for part in inputs]
        return masks if has_mask(masks) else None
    return inputs.keras_mask if type(inputs) is KerasTensor else None
