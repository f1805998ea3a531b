"""What convolutions and pools share: which strides there are, and which axis holds the channels."""

from __future__ import annotations

from torch import Tensor


def check_strides(strides: tuple[int, ...], dilation: tuple[int, ...], who: str) -> None:
    """Refuse what TensorFlow does not compute.

    Raises:
        ValueError: strides and dilation both above 1.
    """
    if max(strides) > 1 and max(dilation) > 1:
        raise ValueError(f"{who} takes strides above 1 or a dilation_rate above 1, not both, but got strides {strides} and dilation_rate {dilation}.")


def channels_to_front(x: Tensor, data_format: str) -> Tensor:
    """(batch, channels, ...) as a view."""
    return x if data_format == "channels_first" else x.movedim(-1, 1)


def channels_back(x: Tensor, data_format: str) -> Tensor:
    """The view back into the data format."""
    return x if data_format == "channels_first" else x.movedim(1, -1)
