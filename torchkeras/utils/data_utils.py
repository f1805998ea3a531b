"""Keras' `utils.data_utils`: downloads, and data sets read by workers."""

from __future__ import annotations

from typing import Any

from torchkeras import absent
from torchkeras.utils.archives import ArchiveError, extract_archive
from torchkeras.utils.download import get_file, validate_file
from torchkeras.utils.enqueuers import GeneratorEnqueuer, OrderedEnqueuer, SequenceEnqueuer
from torchkeras.utils.sequence import Sequence

__all__ = [
    "ArchiveError",
    "GeneratorEnqueuer",
    "OrderedEnqueuer",
    "Sequence",
    "SequenceEnqueuer",
    "extract_archive",
    "get_file",
    "pack_x_y_sample_weight",
    "unpack_x_y_sample_weight",
    "validate_file",
]


def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """Inputs, targets and weights as the tuple that `fit` takes; single inputs without targets as they are.

    Source: tf.keras 2.4.0 `pack_x_y_sample_weight`.
    """
    if y is None:
        return (x,) if isinstance(x, (list, tuple, dict)) else x
    return (x, y) if sample_weight is None else (x, y, sample_weight)


def unpack_x_y_sample_weight(data: Any) -> tuple[Any, Any, Any]:
    """Inputs, targets and weights out of a batch, `None` for what it does not have.

    Args:
        data: `x`, `(x,)`, `(x, y)` or `(x, y, sample_weight)`.

    Raises:
        ValueError: a tuple of another length.

    Source: tf.keras 2.4.0 `unpack_x_y_sample_weight`.
    """
    if not isinstance(data, tuple):
        return data, None, None
    if not 1 <= len(data) <= 3:
        raise ValueError(f"A batch must be x, (x,), (x, y) or (x, y, sample_weight), but got a tuple of {len(data)}. Give several inputs as a list.")
    x, y, sample_weight = (*data, None, None)[:3]
    return x, y, sample_weight


def __getattr__(name: str) -> Any:
    return absent.lookup(__name__, name)
