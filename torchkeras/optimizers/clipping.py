"""Clipping of gradients by norm and by value, over lists and without reading anything back."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Joint = Callable[[list[Tensor]], list[Tensor]]


class Clipping:
    """What an optimizer bounds before it updates: norms first, then values.

    Of a sparse gradient the entries count as they came, a repeated row more than once, as tf.keras has it;
    where `norm_of_all`, they are added up first, as in Keras 2.2.4.

    Args:
        clipnorm: Largest L2 norm: of all gradients together where `norm_of_all`, else of each by itself.
        clipvalue: Largest size of an entry.
        global_clipnorm: Largest L2 norm of all gradients together, in every release.
        norm_of_all: Which of the two meanings `clipnorm` has.

    Attributes:
        joint: Makes norms of whole gradients from those of the shards that each process has; `None` where gradients are whole.

    Source: Keras 2.2.4 (`clipnorm` over all gradients; 0 switches both off), tf.keras 2.4.0 (each gradient).
    """

    joint: Joint | None = None

    def __init__(
        self, clipnorm: float | None = None, clipvalue: float | None = None, global_clipnorm: float | None = None, *, norm_of_all: bool = False
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
        """New gradients within the bounds, in the lists they came in; those given are left as they are."""
        if self.norm_of_all:
            gradients = [[grad.coalesce() if grad.is_sparse else grad for grad in grads] for grads in gradients]
        values = [[grad._values() if grad.is_sparse else grad for grad in grads] for grads in gradients]
        if self.clipnorm is not None and not self.norm_of_all:
            values = [clip_each(grads, self.clipnorm, self.joint) for grads in values]
        elif self.clipnorm:
            values = clip_together(values, self.clipnorm, self.joint)
        if self.global_clipnorm is not None:
            values = clip_together(values, self.global_clipnorm, self.joint)
        if self.clipvalue is not None and (self.clipvalue > 0 or not self.norm_of_all):
            values = [clip_values(grads, self.clipvalue) for grads in values]
        return [[_like(grad, new) for grad, new in zip(*pair, strict=True)] for pair in zip(gradients, values, strict=True)]


def _like(grad: Tensor, values: Tensor) -> Tensor:
    """A gradient of the same form as `grad` with other entries."""
    if not grad.is_sparse:
        return values
    return torch.sparse_coo_tensor(grad._indices(), values, grad.shape, check_invariants=False)


def _ratios(norms: Sequence[Tensor], bound: float) -> list[Tensor]:
    """What to divide by: norm / bound where the norm is above the bound, else exactly 1."""
    # A maximum rather than a branch: nothing is read back. A bound of 0 gives infinity, so that the gradients become 0.
    if bound == 0:
        return [torch.full_like(norm, float("inf")) for norm in norms]
    ratios = list(torch._foreach_clamp_min(list(norms), bound))
    torch._foreach_div_(ratios, bound)
    return ratios


def clip_each(grads: list[Tensor], bound: float, joint: Joint | None = None) -> list[Tensor]:
    """Each gradient scaled to an L2 norm of at most `bound`."""
    norms = list(torch._foreach_norm(grads))
    return list(torch._foreach_div(grads, _ratios(norms if joint is None else joint(norms), bound)))


def clip_together(lists: Sequence[list[Tensor]], bound: float, joint: Joint | None = None) -> list[list[Tensor]]:
    """All gradients scaled by one factor, to a joint L2 norm of at most `bound`."""
    norms = [norm for grads in lists for norm in torch._foreach_norm(grads)]
    device = norms[0].device
    whole = torch.linalg.vector_norm(torch.stack([norm.to(device, torch.promote_types(norm.dtype, torch.float32)) for norm in norms]))
    (ratio,) = _ratios([whole] if joint is None else joint([whole]), bound)
    return [list(torch._foreach_div(grads, ratio.to(grads[0].device, grads[0].dtype))) for grads in lists]


def clip_values(grads: list[Tensor], bound: float) -> list[Tensor]:
    """Every entry within -bound and bound."""
    new = list(torch._foreach_clamp_min(grads, -bound))
    torch._foreach_clamp_max_(new, bound)
    return new


def clip_norm(g: Tensor, c: float, n: Tensor | float) -> Tensor:
    """Scale a gradient of norm `n` to the norm `c` where `n` is larger; `c` of 0 or less leaves it.

    Source: `keras.optimizers.clip_norm` (Keras 2.2.4).
    """
    if c <= 0:
        return g
    norm = torch.as_tensor(n, dtype=g.dtype, device=g.device)
    return torch.where(norm >= c, g * (c / norm), g)
