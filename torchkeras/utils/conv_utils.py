"""Keras' module `utils.conv_utils`: shapes of convolutions, which layers tell by themselves here; each name says what to use instead."""

from __future__ import annotations

from typing import Any

from torchkeras import absent


def __getattr__(name: str) -> Any:
    return absent.lookup(__name__, name)
