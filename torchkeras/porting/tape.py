"""`tf.GradientTape` on torch's autograd."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from torch import Tensor

from torchkeras.layers.weights import KerasWeight


class GradientTape:
    """Records what is computed inside of a `with` block, for `gradient`.

    Args:
        persistent: Whether `gradient` may be called several times.
        watch_accessed_variables: Must stay True: torch records what weights take part in.

    Raises:
        ValueError: `watch_accessed_variables=False`.

    Source: TensorFlow 2.3 `tf.GradientTape`.
    """

    def __init__(self, persistent: bool = False, watch_accessed_variables: bool = True) -> None:
        if not watch_accessed_variables:
            raise ValueError("GradientTape always watches weights here. Detach what should have no gradient: tensor.detach().")
        self.persistent = persistent
        self._used = False
        self._recording: Any = contextlib.nullcontext()

    def __enter__(self) -> GradientTape:
        self._recording = torch.enable_grad()
        self._recording.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._recording.__exit__(*error)

    def watch(self, tensor: Any) -> None:
        """Ask for the gradient with respect to a tensor that is no weight, before it is used."""
        for one in tensor if isinstance(tensor, (list, tuple)) else [tensor]:
            one.requires_grad_(True)

    def gradient(self, target: Any, sources: Any) -> Any:
        """Gradient of the sum of `target`, in the form of `sources`; `None` where it does not depend on one.

        Args:
            target: A tensor, or a list of them.
            sources: Weights or watched tensors: one, or a list.

        Raises:
            RuntimeError: called twice on a tape that is not persistent.
        """
        if self._used and not self.persistent:
            raise RuntimeError("A GradientTape gives its gradient once. Make it with persistent=True for more.")
        self._used = True
        several = isinstance(sources, (list, tuple))
        flat = list(sources) if several else [sources]
        targets = [one.sum() for one in (target if isinstance(target, (list, tuple)) else [target])]
        stored: list[Tensor] = [source.parameter if isinstance(source, KerasWeight) else source for source in flat]
        gradients = torch.autograd.grad(targets, stored, retain_graph=self.persistent, allow_unused=True)
        shown = [_as_keras(source, gradient) for source, gradient in zip(flat, gradients, strict=True)]
        return shown if several else shown[0]


def _as_keras(source: Any, gradient: Tensor | None) -> Tensor | None:
    if gradient is None or not isinstance(source, KerasWeight):
        return gradient
    return source.spec.layout.to_keras(gradient, source.spec.shape)
