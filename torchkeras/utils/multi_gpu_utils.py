"""Keras' module `utils.multi_gpu_utils`: one process drives one GPU here; each name says what to use instead."""

from __future__ import annotations

from typing import Any

from torchkeras import absent


def __getattr__(name: str) -> Any:
    return absent.lookup(__name__, name)
