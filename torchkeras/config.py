"""Global settings of the library: float type, fuzz factor, image data format.

Source: `keras.backend.common` (Keras 2.2.4), `keras.backend` (tf.keras 2.4.0).
"""

from __future__ import annotations

from typing import Any, Final

import torch

FLOAT_TYPES: Final = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32, "float64": torch.float64}
DATA_FORMATS: Final = ("channels_last", "channels_first")

_settings: dict[str, Any] = {"floatx": "float32", "epsilon": 1e-7, "image_data_format": "channels_last", "policy": None, "device": None}


def floatx() -> str:
    """Name of the float type that new weights and cast data have, such as "float32"."""
    return _settings["floatx"]


def float_dtype() -> torch.dtype:
    """`floatx()` as a torch dtype."""
    return FLOAT_TYPES[_settings["floatx"]]


def set_floatx(value: str) -> None:
    """Set the float type of new weights and cast data.

    Args:
        value: "float16", "bfloat16", "float32" or "float64".

    Raises:
        ValueError: another value.
    """
    if value not in FLOAT_TYPES:
        raise ValueError(f"set_floatx takes one of {sorted(FLOAT_TYPES)}, but got {value!r}.")
    _settings["floatx"] = value


def epsilon() -> float:
    """Fuzz factor that keeps logarithms and divisions finite, 1e-7 at first."""
    return _settings["epsilon"]


def set_epsilon(value: float) -> None:
    """Set the fuzz factor, a positive number."""
    value = float(value)
    if not value > 0:
        raise ValueError(f"set_epsilon takes a number above 0, but got {value!r}.")
    _settings["epsilon"] = value


def image_data_format() -> str:
    """Where images have their channels: "channels_last" (at first) or "channels_first"."""
    return _settings["image_data_format"]


def set_image_data_format(data_format: str) -> None:
    """Set where images have their channels.

    Raises:
        ValueError: neither "channels_last" nor "channels_first".
    """
    _settings["image_data_format"] = normalize_data_format(data_format)


def normalize_data_format(value: str | None) -> str:
    """`value` checked, or the global setting where it is `None`."""
    if value is None:
        return _settings["image_data_format"]
    data_format = str(value).lower()
    if data_format not in DATA_FORMATS:
        raise ValueError(f"data_format must be one of {list(DATA_FORMATS)} or None, but got {value!r}.")
    return data_format
