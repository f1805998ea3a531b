"""`MultiHeadAttention`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from torchkeras import constraints, initializers, regularizers
from torchkeras.layers import layouts
from torchkeras.layers.base import Layer, layer_registry
from torchkeras.layers.casting import to_tensors
from torchkeras.layers.drawing import checked_rate
from torchkeras.layers.symbolic import shape_of
from torchkeras.shapes import as_shape


@dataclass(frozen=True)
class _IntoHeads(layouts.Layout):
    """Keras (size, heads, head_size), stored (heads * head_size, size) as torch.nn.Linear has it."""

    def to_keras(self, stored: Tensor, keras_shape: Sequence[int]) -> Tensor:
        return stored.view(keras_shape[1], keras_shape[2], keras_shape[0]).permute(2, 0, 1)

    def to_torch(self, value: Tensor) -> Tensor:
        return value.flatten(1).t().contiguous()


@dataclass(frozen=True)
class _OutOfHeads(layouts.Layout):
    """Keras (heads, head_size, *output), stored (output, heads * head_size)."""

    def to_keras(self, stored: Tensor, keras_shape: Sequence[int]) -> Tensor:
        return stored.t().view(keras_shape)

    def to_torch(self, value: Tensor) -> Tensor:
        return value.flatten(2).flatten(0, 1).t().contiguous()


@dataclass(frozen=True)
class _Flat(layouts.Layout):
    """Keras several axes, stored as one."""

    def to_keras(self, stored: Tensor, keras_shape: Sequence[int]) -> Tensor:
        return stored.view(keras_shape)

    def to_torch(self, value: Tensor) -> Tensor:
        return value.flatten().contiguous()


_PROJECTIONS = {"query": "q_proj", "key": "k_proj", "value": "v_proj", "attention_output": "out_proj"}


@layer_registry.add()
class MultiHeadAttention(Layer):
    """Several attentions side by side: each head projects query, key and value, and the results are projected together.

    Args:
        num_heads: Number of heads.
        key_dim: Size of a head's query and key.
        value_dim: Size of a head's value; `None`: `key_dim`.
        dropout: Fraction of the attention weights to drop in training.
        use_bias: Whether the projections add a bias.
        output_shape: Size (or sizes) of the output's last axis; `None`: as the query's.
        attention_axes: The axes that are attended over, counted with the batch; `None`: all between the batch and the last.
        kernel_initializer, bias_initializer: How the weights start.
        kernel_regularizer, bias_regularizer, activity_regularizer: Penalties in the loss.
        kernel_constraint, bias_constraint: Applied after each update.

    Shape:
        query (batch, *queries, size), value (batch, *steps, value_size), key (batch, *steps, key_size), by default the value
        -> (batch, *queries, *output_shape), and with `return_attention_scores` also (batch, heads, *queries, *steps)
        attention_mask (batch, *queries, *steps), or what broadcasts to it: False where a query does not see a step
        weights as torch's linear layers have them: q_proj_weight (heads * key_dim, size), ..., out_proj_weight (output, heads * value_dim)

    Raises:
        ValueError: sizes below 1, key and value of different lengths, or inputs of another size than at first.

    Source: Vaswani et al. (2017); `MultiHeadAttention` of TensorFlow 2.4.
    """

    keras_weights = {
        **{f"{name}/kernel": (f"{own}_weight", _OutOfHeads() if own == "out_proj" else _IntoHeads()) for name, own in _PROJECTIONS.items()},
        **{f"{name}/bias": (f"{own}_bias", _Flat()) for name, own in _PROJECTIONS.items()},
    }
    resolves_training = True
    config_omits = ("output_shape",)  # a layer's attribute of that name is the shape of what it made

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: int | Sequence[int] | None = None,
        attention_axes: int | Sequence[int] | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        if min(num_heads, key_dim, value_dim or key_dim) < 1:
            raise ValueError(
                f"MultiHeadAttention '{self.name}' needs sizes above 0, but got num_heads={num_heads}, key_dim={key_dim}, value_dim={value_dim}."
            )
        self.num_heads = num_heads
        self.key_dim = key_dim
        self.value_dim = value_dim or key_dim
        self.dropout = checked_rate(self, dropout)
        self.use_bias = use_bias
        self._given_output_shape = output_shape
        self._output_sizes = None if output_shape is None else (output_shape,) if isinstance(output_shape, int) else tuple(output_shape)
        self.attention_axes = None if attention_axes is None else (attention_axes,) if isinstance(attention_axes, int) else tuple(attention_axes)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self._input_sizes: dict[str, int | None] = {}
        for own in _PROJECTIONS.values():
            self.register_parameter(f"{own}_bias", None)

    # -- weights

    def build(self, input_shape: Any) -> None:
        query = as_shape(input_shape)
        sizes = {"query": query[-1], **self._input_sizes}
        value = sizes.get("value", query[-1])
        for name, size in {"query": query[-1], "key": sizes.get("key", value), "value": value}.items():
            if size is None:
                raise ValueError(f"MultiHeadAttention '{self.name}' needs to know the size of the last axis of its {name}.")
            self._input_sizes[name] = size
            self._add_projection(name, (size, self.num_heads, self.value_dim if name == "value" else self.key_dim), keep=1)
        out = self._output_sizes or (query[-1],)
        self._add_projection("attention_output", (self.num_heads, self.value_dim, *out), keep=2)

    def _add_projection(self, name: str, shape: tuple[Any, ...], keep: int) -> None:
        """A projection's kernel, and its bias over the axes from `keep` on."""
        self.add_weight(f"{name}/kernel", shape, None, self.kernel_initializer, self.kernel_regularizer, constraint=self.kernel_constraint)
        if self.use_bias:
            self.add_weight(f"{name}/bias", shape[keep:], None, self.bias_initializer, self.bias_regularizer, constraint=self.bias_constraint)

    # -- calls: the weights need the shapes of all inputs

    def _enter(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return super()._enter(*self._ordered(args, kwargs))

    def _record(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return super()._record(*self._ordered(args, kwargs))

    def _ordered(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Query, value and key as positional arguments, checked, and their sizes noted."""
        names = ("query", "value", "key", "attention_mask", "return_attention_scores", "training")
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        if given.get("query") is None:
            raise TypeError(f"MultiHeadAttention '{self.name}' is called as layer(query, value, key=None), but got no query.")
        inputs = {name: to_tensors(given.pop(name)) for name in names[:3] if given.get(name) is not None}
        if given.get("attention_mask") is not None:
            given["attention_mask"] = to_tensors(given["attention_mask"], keep_integers=True)
        self._check(inputs)
        return tuple(inputs.values()), {name: value for name, value in given.items() if value is not None}

    def _check(self, inputs: Mapping[str, Tensor]) -> None:
        who = f"MultiHeadAttention '{self.name}'"
        shapes = {name: shape_of(value) for name, value in inputs.items()}
        if any(len(shape) < 3 for shape in shapes.values()):
            raise ValueError(f"{who} needs inputs of at least three axes (batch, steps, size), but got {shapes}.")
        if "key" in shapes and "value" in shapes:
            pairs = list(zip(shapes["key"][:-1], shapes["value"][:-1], strict=False))
            if len(shapes["key"]) != len(shapes["value"]) or any(None not in pair and pair[0] != pair[1] for pair in pairs):
                raise ValueError(f"{who} needs a key and a value of the same lengths, but got {shapes}.")
        sizes = {name: shape[-1] for name, shape in shapes.items()}
        if "value" in sizes:
            sizes.setdefault("key", sizes["value"])
        if not self.built:
            self._input_sizes = sizes
        for name, size in sizes.items():
            if self.built and size not in (None, self._input_sizes[name]):
                raise ValueError(
                    f"{who} was built for a {name} of size {self._input_sizes[name]} on the last axis, but got inputs of shapes {shapes}."
                )

    def call(
        self,
        query: Tensor,
        value: Tensor,
        key: Tensor | None = None,
        attention_mask: Tensor | None = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
    ) -> Any:
        key = value if key is None else key
        axes = self._axes(query.dim())
        dropout = self.dropout if (self.training if training is None else training) else 0.0
        q, lengths = self._heads(query, self.q_proj_weight, self.q_proj_bias, axes)
        k, steps = self._heads(key, self.k_proj_weight, self.k_proj_bias, axes)
        v, _ = self._heads(value, self.v_proj_weight, self.v_proj_bias, axes)
        bias = None if attention_mask is None else self._score_bias(attention_mask, q, lengths, steps)
        scale = 1 / math.sqrt(self.key_dim)
        weights = None
        if return_attention_scores:
            scores = (q * scale) @ k.transpose(-1, -2)
            weights = torch.softmax(scores if bias is None else scores + bias, -1)
            attended = F.dropout(weights, dropout, dropout > 0) @ v
        else:
            attended = F.scaled_dot_product_attention(q, k, v, bias, dropout, scale=scale)
        output = self._joined(attended, query.dim(), axes, lengths)
        return output if weights is None else (output, weights.reshape(*weights.shape[:-2], *lengths, *steps))

    def _axes(self, rank: int) -> list[int]:
        axes = self.attention_axes or tuple(range(1, rank - 1))
        found = sorted(axis % rank for axis in axes)
        if found and (found[0] == 0 or found[-1] == rank - 1):
            raise ValueError(f"MultiHeadAttention '{self.name}' attends over axes between the batch and the last, but has attention_axes={axes}.")
        return found

    def _heads(self, x: Tensor, weight: Tensor, bias: Tensor | None, axes: list[int]) -> tuple[Tensor, list[int]]:
        """A projection as (batch, *other axes, heads, steps, head_size), and the lengths of the axes that are attended over."""
        lengths = [x.shape[axis] for axis in axes]
        projected = F.linear(x, weight, bias).unflatten(-1, (self.num_heads, -1))
        others = [axis for axis in range(x.dim() - 1) if axis not in axes]
        ordered = projected.permute(*others, x.dim() - 1, *axes, x.dim())
        return ordered.flatten(len(others) + 1, len(others) + len(axes)), lengths

    def _joined(self, attended: Tensor, rank: int, axes: list[int], lengths: list[int]) -> Tensor:
        """The heads' results in the query's order of axes, projected together."""
        others = [axis for axis in range(rank - 1) if axis not in axes]
        unfolded = attended.unflatten(-2, lengths)  # (*others, heads, *lengths, size)
        now = [*others, rank - 1, *axes, rank]
        ordered = unfolded.permute(*(now.index(axis) for axis in range(rank + 1)))
        output = F.linear(ordered.flatten(-2), self.out_proj_weight, self.out_proj_bias)
        return output if self._output_sizes is None or len(self._output_sizes) == 1 else output.unflatten(-1, self._output_sizes)

    def _score_bias(self, mask: Tensor, q: Tensor, lengths: list[int], steps: list[int]) -> Tensor:
        """What is added to the scores (*others, heads, queries, steps), 0 or far below, from a mask (batch, *queries, *steps)."""
        counted = len(lengths) + len(steps)
        folded = mask.expand(*mask.shape[:-counted], *lengths, *steps) if mask.dim() >= counted else mask.expand(*lengths, *steps)
        folded = folded.flatten(-len(steps)).flatten(-len(lengths) - 1, -2)
        while folded.dim() < q.dim() and folded.dim() > 2:
            folded = folded.unsqueeze(-3)
        return folded.logical_not().to(q.dtype) * max(-1e9, torch.finfo(q.dtype).min)

    # -- the border

    def compute_output_shape(self, query_shape: Any, value_shape: Any = None, key_shape: Any = None) -> Any:
        several = isinstance(query_shape, list) and query_shape and isinstance(query_shape[0], (list, tuple))
        query = as_shape(query_shape[0] if several else query_shape)
        return (*query[:-1], *(self._output_sizes or query[-1:]))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "output_shape": self._given_output_shape}

    def input_shape_from_state(self, state: Mapping[str, Tensor]) -> Any:
        if not all(f"{own}_weight" in state for own in _PROJECTIONS.values()):
            return None
        self._input_sizes = {name: state[f"{_PROJECTIONS[name]}_weight"].shape[1] for name in ("query", "key", "value")}
        return (None, None, self._input_sizes["query"])


__all__ = ["MultiHeadAttention"]
