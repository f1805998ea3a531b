"""`Embedding`: a table of vectors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from torchkeras import constraints, initializers, regularizers
from torchkeras.layers import layouts
from torchkeras.layers.base import Layer, layer_registry
from torchkeras.layers.symbolic import SIZE_TRIALS, in_trial
from torchkeras.ops.recurrent import known_lengths, with_noted_count


@layer_registry.add()
class Embedding(Layer):
    """Looks up a learned vector for each id.

    Args:
        input_dim: Number of ids, which run from 0 to `input_dim - 1`.
        output_dim: Length of a vector.
        embeddings_initializer: How the table starts.
        embeddings_regularizer, activity_regularizer: Penalties in the loss.
        embeddings_constraint: Applied to the table after each update.
        mask_zero: Id 0 is padding: the mask that goes on leaves it out.
        input_length: Number of ids a sample where it is fixed (a tuple for more axes): the output's shape then is known.

    Shape:
        inputs (batch, ...), of integers or whole floats -> output (batch, ..., output_dim)
        weight (input_dim, output_dim) as in torch.nn.Embedding, seen by Keras code as embeddings

    Raises:
        ValueError: sizes below 1, or inputs of another length than `input_length`.
        IndexError: an id out of range, on the CPU and with `checks_ids`.

    Attributes:
        sparse_gradients: The table's gradient holds only the rows looked up (`torch.nn.Embedding(sparse=True)`); for optimizers that take such.
        checks_ids: On an accelerator, look for ids out of range before each lookup. That waits for the device; without it such an id
            ends the program with a message of the device's own. Set it on the layer, or on the class for all.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `Embedding`.
    """

    keras_weights = {"embeddings": ("weight", layouts.as_is)}
    accepts_integers = True
    heads_chain = True
    sparse_gradients: bool = False
    checks_ids: bool = False

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        activity_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        input_length: Any = None,
        **kwargs: Any,
    ) -> None:
        lengths = _lengths(input_length)
        if "input_shape" not in kwargs and kwargs.get("batch_input_shape") is None:
            kwargs["input_shape"] = lengths or (None,)
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        if int(input_dim) < 1 or int(output_dim) < 1:
            raise ValueError(f"Embedding '{self.name}' needs sizes of at least 1, but got input_dim={input_dim!r} and output_dim={output_dim!r}.")
        self.input_dim = int(input_dim)
        self.output_dim = int(output_dim)
        self.embeddings_initializer = initializers.get(embeddings_initializer)
        self.embeddings_regularizer = regularizers.get(embeddings_regularizer)
        self.embeddings_constraint = constraints.get(embeddings_constraint)
        self.mask_zero = mask_zero
        self.supports_masking = self.masks_inputs = bool(mask_zero)
        self.input_length = input_length
        self._lengths = lengths

    def build(self, input_shape: Any) -> None:
        self.add_weight(
            "embeddings",
            (self.input_dim, self.output_dim),
            None,
            self.embeddings_initializer,
            self.embeddings_regularizer,
            constraint=self.embeddings_constraint,
        )

    def call(self, inputs: Tensor) -> Tensor:
        if self._lengths is not None and in_trial():
            inputs = self._of_declared_length(inputs)
        if inputs.dtype is not torch.int64 and inputs.dtype is not torch.int32:
            inputs = inputs.long()
        if self.checks_ids and inputs.device.type != "cpu":
            self._check_ids(inputs)
        try:
            return F.embedding(inputs, self.weight, sparse=self.sparse_gradients)
        except IndexError:
            self._check_ids(inputs)
            raise

    def compute_mask(self, inputs: Tensor, mask: Any = None) -> Tensor | None:
        if self.mask_zero:
            return with_noted_count(inputs != 0, inputs, 0)
        # the mask of rows of unequal length, whose steps are known, goes on; Keras knows no such rows
        return mask if isinstance(mask, Tensor) and known_lengths(mask) is not None else None

    def _may_go_straight(self) -> bool:
        return self.built

    def _of_declared_length(self, inputs: Tensor) -> Tensor:
        """A symbolic input in the shape that `input_length` promises."""
        wanted, sizes = self._lengths or (), tuple(inputs.shape[1:])
        fits = len(wanted) == len(sizes) and all(length in (None, size) or size in SIZE_TRIALS for length, size in zip(wanted, sizes, strict=True))
        if not fits:
            shown = tuple(None if size in SIZE_TRIALS else size for size in sizes)
            raise ValueError(
                f"Embedding '{self.name}' has input_length={self.input_length!r}, but got an input with the axes {shown} beside the batch."
            )
        return inputs.new_empty((inputs.shape[0], *(size if length is None else length for length, size in zip(wanted, sizes, strict=True))))

    def _check_ids(self, inputs: Tensor) -> None:
        outside = inputs[(inputs < 0) | (inputs >= self.input_dim)]
        if outside.numel():
            raise IndexError(
                f"Embedding '{self.name}' knows the ids 0 to {self.input_dim - 1} (input_dim={self.input_dim}), but got the id {int(outside[0])} "
                f"({outside.numel()} of {inputs.numel()} ids are out of range). Make input_dim larger than the largest id, and start ids at 0."
            )

    def input_shape_from_state(self, state: Any) -> Any:
        return (None, *(self._lengths or (None,))) if "weight" in state else None

    def extra_repr(self) -> str:
        return f"{self.input_dim}, {self.output_dim}, {super().extra_repr()}"


def _lengths(input_length: Any) -> tuple[int | None, ...] | None:
    """`input_length` as a tuple, `None` where it was not given."""
    if not input_length:
        return None
    return tuple(input_length) if isinstance(input_length, (tuple, list)) else (int(input_length),)
