"""`TimeDistributed`, and Keras' path to `Bidirectional` and `Wrapper`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from torchkeras import generations
from torchkeras.activations import hand_on_logits
from torchkeras.layers.base import Layer, layer_registry
from torchkeras.layers.bidirectional import Bidirectional
from torchkeras.layers.raw_modules import torch_call
from torchkeras.layers.recurrent.calling import takes
from torchkeras.layers.recurrent.rnn import RNN
from torchkeras.layers.wrapper import Wrapper


@layer_registry.add()
class TimeDistributed(Wrapper):
    """Applies a layer to each time step by itself: one call on (batch * steps, ...), not a loop.

    Args:
        layer: Any layer or model, or a raw nn.Module. One that is stateful is called step by step.

    Shape: inputs (batch, steps, ...) -> (batch, steps, ...); mask (batch, steps, ...)

    Raises:
        ValueError: inputs of fewer than three axes, or something that is no layer.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `TimeDistributed`.
    """

    supports_masking = True
    resolves_training = True

    def __init__(self, layer: Any, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)
        self.accepts_integers = getattr(layer, "accepts_integers", False)  # type: ignore[misc]
        self._holds_output = generations.choose("rnn.masked_output") == "output"

    def build(self, input_shape: Any) -> None:
        if len(input_shape) < 3:
            raise ValueError(
                f"TimeDistributed '{self.name}' needs an input of at least three axes (batch, steps, ...), but got the shape {tuple(input_shape)}."
            )
        self.build_inside(self.layer, (input_shape[0], *input_shape[2:]))

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:  # type: ignore[override]
        if getattr(self.layer, "stateful", False):
            return self._step_by_step(inputs, mask, training)
        batch, steps = inputs.shape[:2]
        output = self._inside(inputs.flatten(0, 1), self._mask_inside(inputs, mask), training)
        if isinstance(output, Tensor):
            each = output.view(batch, steps, *output.shape[1:]) if output.is_contiguous() else output.unflatten(0, (batch, steps))
            hand_on_logits(output, each)
            return each
        return pytree.tree_map_only(Tensor, lambda part: part.unflatten(0, (batch, steps)), output)

    def _inside(self, inputs: Tensor, mask: Tensor | None, training: bool | None) -> Any:
        layer = self.layer
        if not isinstance(layer, Layer):
            return layer(inputs)
        if training is None and mask is None:
            return torch_call(layer, inputs, **layer.fill({}, None))
        kwargs: dict[str, Any] = {}
        if mask is not None and takes(layer, "mask"):
            kwargs["mask"] = mask
        if training is not None and takes(layer, "training"):
            kwargs["training"] = training
        return torch_call(layer, inputs, **layer.fill(kwargs, None))

    def _mask_inside(self, inputs: Tensor, mask: Any) -> Tensor | None:
        """The mask of the layer inside: (batch * steps, ...). One of the outer steps alone is none for a recurrent layer."""
        if mask is not None and mask.shape[:2] != inputs.shape[:2]:
            raise ValueError(
                f"TimeDistributed '{self.name}' needs a mask of shape (batch, steps, ...) for inputs of shape {tuple(inputs.shape)}, "
                f"but got a mask of shape {tuple(mask.shape)}."
            )
        if mask is None or (mask.dim() == 2 and isinstance(self.layer, (RNN, Bidirectional))):
            return None
        return mask.flatten(0, 1)

    def _step_by_step(self, inputs: Tensor, mask: Tensor | None, training: bool | None) -> Tensor:
        outputs: list[Tensor] = []
        for time in range(inputs.shape[1]):
            output = self._inside(inputs[:, time], None, training)
            if mask is not None and self._holds_output:
                before = outputs[-1] if outputs else torch.zeros_like(output)
                output = torch.where(mask[:, time].view(-1, *(1,) * (output.dim() - 1)), output, before)
            outputs.append(output)
        return torch.stack(outputs, 1)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        inside = None
        if isinstance(self.layer, Layer) and not getattr(self.layer, "stateful", False):
            inside = self.layer.compute_mask(inputs.flatten(0, 1), self._mask_inside(inputs, mask))
        if inside is not None:
            return inside.unflatten(0, inputs.shape[:2])
        if mask is None:
            return None
        return mask.flatten(2).any(2) if mask.dim() > 2 else mask


__all__ = ["Bidirectional", "TimeDistributed", "Wrapper"]
