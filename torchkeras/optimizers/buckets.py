"""Parameters gathered into lists once, so that a step is a few calls of list kernels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from torchkeras.optimizers.hyper import single

FUSED_DEVICES = ("cpu", "cuda", "xpu")
MOST_SETS = 8  # sets of parameters with gradients that are remembered; training two models in turn needs two


class Bucket:
    """Parameters of one group, device and type that have gradients, with their states as lists.

    Args:
        group: The param group, whose hyper-parameters hold.
        params: The parameters.
        states: For each state key the parameters' tensors, in the same order.
        sparse: Whether the gradients are sparse; such a bucket holds one parameter.
    """

    def __init__(self, group: dict[str, Any], params: list[Tensor], states: dict[str, list[Tensor]], sparse: bool) -> None:
        self.group = group
        self.params = params
        self.states = states
        self.sparse = sparse
        self.laid_out = [(param, param.stride()) for param in params]
        self.dtype = params[0].dtype
        self.device = params[0].device
        self.on_cuda = self.device.type == "cuda"
        # Keras keeps hyper-parameters in float32; a float64 model has them as they are.
        self.number: Callable[[float], float] = float if self.dtype == torch.float64 else single
        # Fused kernels walk memory in order: parameters have to fill theirs without gaps.
        self.fused = self.device.type in FUSED_DEVICES and all(torch.empty_like(param).stride() == param.stride() for param in params)
        self._step_lists: dict[float, list[Tensor]] = {}
        self._scratch: Tensor | None = None

    def gradients(self) -> list[Tensor] | None:
        """The gradients, in the parameters' memory order; `None` where the bucket no longer fits them."""
        if self.sparse:
            grad = self.params[0].grad
            return [grad] if grad is not None and grad.is_sparse else None
        grads = []
        for param, stride in self.laid_out:
            grad = param.grad
            if grad is None or grad.is_sparse:
                return None
            if grad.stride() != stride:
                grad = torch.empty_like(param).copy_(grad)
            grads.append(grad)
        return grads

    def steps(self, value: float) -> list[Tensor]:
        """The step counts that torch's fused kernels ask for, one constant for all.

        At infinity their own bias correction is 1, so that the rate, worked out on the host, can hold Keras'.
        """
        if value not in self._step_lists:
            self._step_lists[value] = [torch.full((), value, dtype=torch.float32, device=self.device)] * len(self.params)
        return self._step_lists[value]

    def spread(self, rows: Tensor, values: Tensor) -> Tensor:
        """A dense gradient with `values` added up at `rows`; give it back with `clear(rows)`."""
        if self._scratch is None:
            self._scratch = torch.zeros_like(self.params[0])
        return self._scratch.index_add_(0, rows, values)

    def clear(self, rows: Tensor) -> None:
        """Make the dense gradient zero again."""
        if self._scratch is not None:
            self._scratch.index_fill_(0, rows, 0.0)

    def summed(self, rows: Tensor, values: Tensor) -> Tensor:
        """For each entry of `rows` the sum of all values of that row.

        Repeated rows then have equal entries, and writing them back is safe. Coalescing would sort, and wait for the device.
        """
        summed = self.spread(rows, values).index_select(0, rows)
        self.clear(rows)
        return summed

    def move(self, rows: Tensor, changes: Tensor) -> None:
        """Add to rows of the parameter; repeated rows must have equal changes, which count once."""
        param = self.params[0]
        param.index_copy_(0, rows, param.index_select(0, rows).add_(changes))


class Buckets:
    """The buckets of an optimizer, gathered anew only when the set of parameters with gradients changes.

    Args:
        groups: The optimizer's param groups.
        state_of: Gives a parameter's states by key, made where missing.
    """

    def __init__(self, groups: list[dict[str, Any]], state_of: Callable[[Tensor, Mapping[str, Any]], dict[str, Tensor]]) -> None:
        self._groups = groups
        self._state_of = state_of
        self._known: dict[tuple[int, ...], tuple[list[Bucket], list[Tensor]]] = {}
        self.now: list[Bucket] = []
        self._idle: list[Tensor] = [param for group in groups for param in group["params"]]

    def gradients(self) -> list[list[Tensor]]:
        """The gradients of each bucket in `now`."""
        for param in self._idle:
            if param.grad is not None:
                return self._gathered()
        gradients = []
        for bucket in self.now:
            grads = bucket.gradients()
            if grads is None:
                return self._gathered()
            gradients.append(grads)
        return gradients

    def _gathered(self) -> list[list[Tensor]]:
        """The same, after sorting the parameters into the buckets that fit now."""
        pattern = tuple(_kind(param) for group in self._groups for param in group["params"])
        if pattern not in self._known:
            if len(self._known) >= MOST_SETS:
                self._known.clear()
            self._known[pattern] = self._sorted()
        self.now, self._idle = self._known[pattern]
        return [grads for bucket in self.now if (grads := bucket.gradients()) is not None]

    def _sorted(self) -> tuple[list[Bucket], list[Tensor]]:
        buckets: list[Bucket] = []
        idle: list[Tensor] = []
        for group in self._groups:
            places: dict[Any, list[Tensor]] = {}
            for param in group["params"]:
                kind = _kind(param)
                if kind:
                    places.setdefault(id(param) if kind == 2 else (param.device, param.dtype), []).append(param)
                else:
                    idle.append(param)
            for params in places.values():
                states = [self._state_of(param, group) for param in params]
                by_key = {key: [state[key] for state in states] for key in states[0]}
                buckets.append(Bucket(group, params, by_key, sparse=_kind(params[0]) == 2))
        return buckets, idle


def _kind(param: Tensor) -> int:
    """0 without a gradient, 1 with a dense one, 2 with a sparse one."""
    return 0 if param.grad is None else 2 if param.grad.is_sparse else 1
