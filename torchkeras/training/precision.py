"""Mixed precision: matrix products and convolutions in half floats, weights and losses in float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

POLICIES = {"mixed_float16": torch.float16, "mixed_bfloat16": torch.bfloat16}
FIRST_SCALE = 2.0**15  # of float16 losses, as tf.keras begins
_PLAIN = (None, "float32", "float64")


def policy_dtype(policy: Any) -> torch.dtype | None:
    """The half float type of a policy; `None` for full precision.

    Args:
        policy: "mixed_float16", "mixed_bfloat16", "float32", `None`, or an object with such a `name`.

    Raises:
        ValueError: another policy.
    """
    name = getattr(policy, "name", policy)
    if name in _PLAIN:
        return None
    if name not in POLICIES:
        raise ValueError(f"mixed_precision must be one of {list(POLICIES)}, or None for full precision, but got {policy!r}.")
    return POLICIES[name]


def in_precision(forward: Callable[..., Any], device: torch.device, dtype: torch.dtype | None) -> Callable[..., Any]:
    """A function that runs under torch.autocast, where a half float type is wanted."""
    return forward if dtype is None else torch.autocast(device.type, dtype)(forward)


def loss_scaler(device: torch.device, dtype: torch.dtype | None) -> torch.amp.GradScaler | None:
    """What keeps small float16 gradients from vanishing; bfloat16 reaches as far down as float32 and needs none."""
    return torch.amp.GradScaler(device.type, init_scale=FIRST_SCALE) if dtype is torch.float16 else None
