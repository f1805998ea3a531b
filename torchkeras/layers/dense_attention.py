"""Attention of a query sequence over a value sequence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.compiler import is_compiling
from torch.nn import functional as F

from torchkeras.layers import layouts
from torchkeras.layers.base import Layer, has_mask, layer_registry
from torchkeras.layers.drawing import checked_rate

_FAR = -1e9  # added to the scores that do not count; a row without any that counts then takes the mean of all, as in Keras
_FEW_SCORES = 1 << 16


class _DenseAttention(Layer):
    """What both attentions share: inputs, masks, dropout.

    Shape:
        inputs [query (batch, queries, size), value (batch, steps, value_size), key (batch, steps, size), by default the value]
        -> (batch, queries, value_size)
        masks [of the query (batch, queries), of the value (batch, steps)]

    Raises:
        ValueError: another number of inputs or masks.
    """

    keras_weights = {"scale": ("scale", layouts.as_is)}
    supports_masking = True
    resolves_training = True

    def __init__(self, use_scale: bool, causal: bool, dropout: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.use_scale = use_scale
        self.causal = causal
        self.dropout = checked_rate(self, dropout)
        self.register_parameter("scale", None)

    def build(self, input_shape: Any) -> None:
        self._check(input_shape if isinstance(input_shape, list) else None, None)

    def call(self, inputs: Any, mask: Any = None, training: bool | None = None) -> Tensor:
        self._check(inputs, mask)
        query, value = inputs[0], inputs[1]
        key = inputs[2] if len(inputs) > 2 else value
        query_mask, value_mask = (mask[0], mask[1]) if mask else (None, None)
        dropout = self.dropout if (self.training if training is None else training) else 0.0
        result = self.attend(query, key, value, value_mask, dropout)
        return result if query_mask is None else result * query_mask.unsqueeze(-1)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, value_mask: Tensor | None, dropout: float) -> Tensor:
        """The values, weighted by what the query makes of the keys."""
        raise NotImplementedError

    def score_bias(self, query: Tensor, steps: int, value_mask: Tensor | None) -> Tensor | None:
        """What is added to the scores (..., queries, steps) so that masked and later steps do not count."""
        left_out = None if value_mask is None else value_mask.logical_not().unsqueeze(-2)
        if self.causal:
            later = torch.ones(query.shape[-2], steps, dtype=torch.bool, device=query.device).triu(1)
            left_out = later if left_out is None else left_out | later
        return None if left_out is None else left_out.to(query.dtype) * max(_FAR, torch.finfo(query.dtype).min)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return mask[0] if has_mask(mask) else None

    def _may_go_straight(self) -> bool:
        return self.built

    @property
    def _who(self) -> str:
        return f"{type(self).__name__} '{self.name}'"

    def _check(self, inputs: Any, mask: Any) -> None:
        if not isinstance(inputs, (list, tuple)) or not 2 <= len(inputs) <= 3:
            got = f"{len(inputs)}" if isinstance(inputs, (list, tuple)) else "one tensor"
            raise ValueError(f"{self._who} should be called on a list of inputs, [query, value] or [query, value, key], but got {got}.")
        if mask and (not isinstance(mask, (list, tuple)) or not 2 <= len(mask) <= len(inputs)):
            raise ValueError(
                f"{self._who} needs its mask as a list [query_mask, value_mask], where None is a mask that is not there, but got {mask!r:.80}."
            )


def _is_small(query: Tensor, key: Tensor, value: Tensor) -> bool:
    """Whether three plain operations are sooner done than torch's fused one, which wants an axis of heads."""
    if not query.dim() == key.dim() == value.dim() == 3:
        return False
    batch, queries, _ = query.shape
    return batch == key.shape[0] == value.shape[0] and batch * queries * key.shape[1] <= _FEW_SCORES


@layer_registry.add()
class Attention(_DenseAttention):
    """Dot-product attention: `softmax(query @ key^T) @ value`.

    Args:
        use_scale: Whether the scores are multiplied with a learned `scale`, which starts at 1.
        causal: Whether a query sees only the steps up to its own place.
        dropout: Fraction of the weights to drop in training.

    Shape: [query (batch, queries, size), value (batch, steps, value_size), key (batch, steps, size)] -> (batch, queries, value_size)

    Source: Luong et al. (2015); tf.keras 2.4.0 `Attention`.
    """

    def __init__(self, use_scale: bool = False, *, causal: bool = False, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(use_scale, causal, dropout, **kwargs)

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        if self.use_scale:
            self.add_weight("scale", (), None, "ones")

    def attend(self, query: Tensor, key: Tensor, value: Tensor, value_mask: Tensor | None, dropout: float) -> Tensor:
        if self.scale is not None:
            query = query * self.scale
        causal = self.causal and value_mask is None
        bias = None if causal else self.score_bias(query, key.shape[-2], value_mask)
        if not causal and not dropout and not is_compiling() and query.is_cpu and _is_small(query, key, value):
            scores = torch.bmm(query, key.transpose(1, 2))
            return torch.bmm(torch.softmax(scores if bias is None else scores + bias, -1), value)
        # one head: torch's kernels want (batch, heads, steps, size)
        query, key, value = query.unsqueeze(-3), key.unsqueeze(-3), value.unsqueeze(-3)
        bias = bias if bias is None or bias.dim() < 3 else bias.unsqueeze(-3)
        return F.scaled_dot_product_attention(query, key, value, bias, dropout, causal, scale=1.0).squeeze(-3)

    def input_shape_from_state(self, state: Mapping[str, Tensor]) -> Any:
        return [(None, None, None)] * 2 if "scale" in state or not self.use_scale else None


@layer_registry.add()
class AdditiveAttention(_DenseAttention):
    """Additive attention: `softmax(sum(scale * tanh(query + key))) @ value`.

    Args:
        use_scale: Whether the sum is weighted by a learned `scale`, one for each of the features.
        causal: Whether a query sees only the steps up to its own place.
        dropout: Fraction of the weights to drop in training.

    Shape: [query (batch, queries, size), value (batch, steps, value_size), key (batch, steps, size)] -> (batch, queries, value_size)

    Source: Bahdanau et al. (2014); tf.keras 2.4.0 `AdditiveAttention`.
    """

    def __init__(self, use_scale: bool = True, *, causal: bool = False, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(use_scale, causal, dropout, **kwargs)

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        if self.use_scale:
            size = input_shape[1][-1]
            if size is None:
                raise ValueError(f"AdditiveAttention '{self.name}' needs to know the size of the last axis, but got inputs of shapes {input_shape}.")
            self.add_weight("scale", (size,), None, "glorot_uniform")

    def attend(self, query: Tensor, key: Tensor, value: Tensor, value_mask: Tensor | None, dropout: float) -> Tensor:
        features = torch.tanh(query.unsqueeze(-2) + key.unsqueeze(-3))  # (batch, queries, steps, size)
        scores = features.sum(-1) if self.scale is None else features @ self.scale
        bias = self.score_bias(scores, key.shape[-2], value_mask)
        weights = torch.softmax(scores if bias is None else scores + bias, -1)
        return (F.dropout(weights, dropout) if dropout else weights) @ value

    def input_shape_from_state(self, state: Mapping[str, Tensor]) -> Any:
        if self.use_scale:
            return [(None, None, state["scale"].shape[0])] * 2 if "scale" in state else None
        return [(None, None, None)] * 2


__all__ = ["AdditiveAttention", "Attention"]
