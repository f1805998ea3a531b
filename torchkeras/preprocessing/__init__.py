"""Raw sequences, texts and images to arrays."""

from __future__ import annotations

from typing import Any

from torchkeras import absent
from torchkeras.preprocessing import image, sequence, text

__all__ = ["image", "sequence", "text"]


def __getattr__(name: str) -> Any:
    return absent.lookup(__name__, name)
