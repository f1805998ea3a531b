"""Emitters of the attentions: their formulas, with `nn.Linear` and `nn.Dropout` where they have weights and drop some."""

from __future__ import annotations

import math
from typing import Any

from torchkeras import layers
from torchkeras.exporting.table import Call, emits
from torchkeras.exporting.texts import one_or_all
from torchkeras.exporting.writer import Made

_FAR = -1e9  # added to the scores that do not count


def _weighted(call: Call, scores: str, value: str) -> Made:
    """The values, weighted by the scores, of which dropout leaves some out."""
    weights = f"torch.softmax({scores}, -1)"
    rate = call.layer.dropout
    if 0 < rate < 1 and not call.writer.in_inference:
        drop = call.part(f"nn.Dropout({rate!r})", suffix="dropout")
        weights = f"{drop}({weights})"
    return Made(f"{weights} @ {value}")


def _causal(call: Call, scores: str) -> str:
    """The scores, those of later steps far below the others."""
    if not call.layer.causal:
        return scores
    name = call.writer.assign(f"{call.key}_scores", scores)
    return f"{name} + {_FAR} * torch.ones_like({name}).triu(1)"


@emits(layers.Attention)
def dot_attention(call: Call) -> Made:
    """`softmax(query @ key^T) @ value`."""
    query, value, key = _inputs(call)
    scale = "" if call.layer.scale is None else f" * {call.parameter(call.layer.scale, 'scale')}"
    return _weighted(call, _causal(call, f"{query}{scale} @ {key}.mT"), value)


@emits(layers.AdditiveAttention)
def additive_attention(call: Call) -> Made:
    """`softmax(sum(scale * tanh(query + key))) @ value`."""
    query, value, key = _inputs(call)
    features = f"torch.tanh({query}.unsqueeze(-2) + {key}.unsqueeze(-3))"
    scores = f"{features}.sum(-1)" if call.layer.scale is None else f"{features} @ {call.parameter(call.layer.scale, 'scale')}"
    return _weighted(call, _causal(call, scores), value)


def _inputs(call: Call) -> tuple[str, str, str]:
    """Query, value and key."""
    texts = [value.text for value in call.several]
    return texts[0], texts[1], texts[2] if len(texts) > 2 else texts[1]


@emits(layers.MultiHeadAttention)
def multi_head_attention(call: Call) -> Made:
    """Four `nn.Linear` around an attention of each head by itself."""
    layer = call.layer
    ranks = {value.rank for value in call.several}
    if ranks != {3} or (layer.attention_axes or (1,)) not in ((1,), (-2,)) or (layer._output_sizes and len(layer._output_sizes) > 1):
        call.refuse("it attends over other axes than the steps of sequences, or gives several last axes.")
    heads = [_head(call, name, own, text) for (name, own), text in zip((("query", "q"), ("value", "v"), ("key", "k")), _inputs(call), strict=True)]
    query, value, key = (call.writer.assign(f"{call.key}_{name}", text) for name, text in zip(("query", "value", "key"), heads, strict=True))
    scores = f"{query} @ {key}.mT / {math.sqrt(layer.key_dim)!r}"
    output = _linear(call, "output", "out")
    return Made(f"{output}(({_weighted(call, scores, value).text}).transpose(1, 2).flatten(2))")


def _head(call: Call, name: str, own: str, text: str) -> str:
    """A projection as (batch, heads, steps, size of a head)."""
    return f"{_linear(call, name, own)}({text}).unflatten(-1, ({one_or_all((call.layer.num_heads,))}, -1)).transpose(1, 2)"


def _linear(call: Call, name: str, own: str) -> str:
    weight: Any = getattr(call.layer, f"{own}_proj_weight")
    bias: Any = getattr(call.layer, f"{own}_proj_bias")
    text = f"nn.Linear({weight.shape[1]}, {weight.shape[0]}{'' if bias is not None else ', bias=False'})"
    return call.part(text, {"weight": weight, "bias": bias}, suffix=name)
