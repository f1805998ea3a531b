"""Dropout masks of recurrent cells: drawn once a sequence, the same at every step (Gal & Ghahramani, 2016)."""

from __future__ import annotations

import torch
from torch import Tensor

from torchkeras.layers.base import Layer


def dropout_mask(like: Tensor, rate: float, count: int) -> Tensor:
    """(batch, count, ...) of 0 and 1 / (1 - rate), for tensors of `like`'s shape (batch, ...)."""
    return torch.nn.functional.dropout(like.new_ones((like.shape[0], count, *like.shape[1:])), rate)


class CellDropout(Layer):
    """Dropout of a cell that is called step by step: the masks stay until they are reset.

    Source: tf.keras 2.4.0 `DropoutRNNCellMixin`.
    """

    dropout: float
    recurrent_dropout: float
    _dropout_mask: Tensor | None = None
    _recurrent_dropout_mask: Tensor | None = None

    def reset_dropout_mask(self) -> None:
        """Draw new masks of the inputs at the next call."""
        self._dropout_mask = None

    def reset_recurrent_dropout_mask(self) -> None:
        """Draw new masks of the state at the next call."""
        self._recurrent_dropout_mask = None

    def get_dropout_mask_for_cell(self, inputs: Tensor, training: bool | None, count: int = 1) -> list[Tensor] | None:
        """The masks of the inputs, `count` of them: `None` without dropout, ones outside training."""
        mask = self._kept_mask("_dropout_mask", inputs, self.dropout, training, count)
        return None if mask is None else list(mask.unbind(1))

    def get_recurrent_dropout_mask_for_cell(self, inputs: Tensor, training: bool | None, count: int = 1) -> list[Tensor] | None:
        """The masks of the state, `count` of them: `None` without dropout, ones outside training."""
        mask = self._kept_mask("_recurrent_dropout_mask", inputs, self.recurrent_dropout, training, count)
        return None if mask is None else list(mask.unbind(1))

    def _kept_mask(self, name: str, like: Tensor, rate: float, training: bool | None, count: int) -> Tensor | None:
        if rate == 0:
            return None
        if not (self.training if training is None else training):
            return like.new_ones((like.shape[0], count, *like.shape[1:]))
        kept: Tensor | None = getattr(self, name)
        if kept is None or kept.shape[1] != count or kept.shape[0] != like.shape[0]:
            kept = dropout_mask(like, rate, count)
            setattr(self, name, kept)
        return kept
