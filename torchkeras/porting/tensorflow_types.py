"""Names of types, however they are written."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


def dtype_name(dtype: Any) -> str:
    """Name of a torch, NumPy or named type."""
    return str(dtype).removeprefix("torch.") if isinstance(dtype, (str, torch.dtype)) else np.dtype(dtype).name
