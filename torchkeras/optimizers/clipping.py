"""Clipping of gradients by norm and by value, over lists and without reading anything back."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class Clipping:
    """What an optimizer bounds before it updates: norms first, then values.

    Args:
        clipnorm: Largest L2 norm: of all gradients together where `norm_of_all`, else of each by itself.
        clipvalue: Largest size of an entry.
        global_clipnorm: Largest L2 norm of all gradients together, in every release.
        norm_of_all: Which of the two meanings `clipnorm` has.

    Source: Keras 2.2.4 (`clipnorm` over all gradients, off at 0), tf.keras 2.4.0 (each gradient).
    """

    def __init__(
        self, clipnorm: float | None = None, clipvalue: float | None = None, global_clipnorm: float | None = None, norm_of_all: bool = False
    ) -> None:
        self.clipnorm = clipnorm
        self.clipvalue = clipvalue
        self.global_clipnorm = global_clipnorm
        self.norm_of_all = norm_of_all

    @property
    def active(self) -> bool:
        """Whether anything is bounded."""
        return not (self.clipnorm is None and self.clipvalue is None and self.global_clipnorm is None)

    def __call__(self, gradients: Sequence[list[Tensor]]) -> list[list[Tensor]]:
        """New gradients within the bounds, in the lists they came in."""
        lists = [list(grads) for grads in gradients]
        if self.clipnorm is not None:
            if not self.norm_of_all:
                lists = [clip_each(grads, self.clipnorm) for grads in lists]
            elif self.clipnorm > 0:
                lists = clip_together(lists, self.clipnorm)
        if self.global_clipnorm is not None:
            lists = clip_together(lists, self.global_clipnorm)
        if self.clipvalue is not None and (self.clipvalue > 0 or not self.norm_of_all):
            lists = [clip_values(grads, self.clipvalue) for grads in lists]
        return lists


def _values(grads: Sequence[Tensor]) -> list[Tensor]:
    """The entries of each gradient: of a sparse one those it has."""
    return [grad.coalesce().values() if grad.is_sparse else grad for grad in grads]


def _with_values(grads: Sequence[Tensor], values: Sequence[Tensor]) -> list[Tensor]:
    """Gradients like `grads` with other entries."""
    made = []
    for grad, value in zip(grads, values, strict=True):
        if grad.is_sparse:
            grad = grad.coalesce()
            value = torch.sparse_coo_tensor(grad.indices(), value, grad.shape, is_coalesced=True, check_invariants=False)
        made.append(value)
    return made


def _ratios(norms: Sequence[Tensor], bound: float) -> list[Tensor]:
    """What to divide by: norm / bound where the norm is above the bound, else exactly 1."""
    # A maximum rather than a branch: nothing is read back. A bound of 0 gives infinity, so that the gradients become 0.
    if bound == 0:
        return [torch.full_like(norm, float("inf")) for norm in norms]
    ratios = list(torch._foreach_clamp_min(list(norms), bound))
    torch._foreach_div_(ratios, bound)
    return ratios


def clip_each(grads: list[Tensor], bound: float) -> list[Tensor]:
    """Each gradient scaled to an L2 norm of at most `bound`."""
    values = _values(grads)
    ratios = _ratios(torch._foreach_norm(values), bound)
    return _with_values(grads, torch._foreach_div(values, ratios))


def clip_together(lists: list[list[Tensor]], bound: float) -> list[list[Tensor]]:
    """All gradients scaled by one factor, to a joint L2 norm of at most `bound`."""
    values = [_values(grads) for grads in lists]
    norms = [norm for grads in values for norm in torch._foreach_norm(grads)]
    device = norms[0].device
    joint = torch.linalg.vector_norm(torch.stack([norm.to(device, torch.promote_types(norm.dtype, torch.float32)) for norm in norms]))
    ratio = _ratios([joint], bound)[0]
    scaled = [torch._foreach_div(grads, ratio.to(grads[0].device, grads[0].dtype)) for grads in values]
    return [_with_values(grads, new) for grads, new in zip(lists, scaled, strict=True)]


def clip_values(grads: list[Tensor], bound: float) -> list[Tensor]:
    """Every entry within -bound and bound."""
    new = torch._foreach_clamp_min(_values(grads), -bound)
    torch._foreach_clamp_max_(new, bound)
    return _with_values(grads, new)
