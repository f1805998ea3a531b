"""Logs that wait for the device only when somebody looks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor


def read_all(values: Iterable[Any]) -> list[float]:
    """Numbers from tensors and numbers, with one wait for the device."""
    values = list(values)
    tensors = [value for value in values if isinstance(value, Tensor)]
    if tensors:
        read = iter(torch.stack([tensor.detach().to(tensors[0].device).double().mean() for tensor in tensors]).tolist())
        values = [next(read) if isinstance(value, Tensor) else value for value in values]
    return [float(value) for value in values]


class Logs(dict):
    """A dict of floats whose values are fetched at the first look.

    Args:
        fetch: Gives the names and values, which may be tensors.
        running: Gives the running means over the epoch, for the progress bar; `None`: as `fetch`.
        loss_sum: Gives a tensor that is finite as long as all losses of the epoch were, for who must not wait for the device.
        **fixed: Entries that are known already; they come first.
    """

    __slots__ = ("_fetch", "known", "loss_sum", "running")  # one is made at every step

    def __init__(
        self,
        fetch: Callable[[], dict[str, Any]],
        running: Callable[[], dict[str, Any]] | None = None,
        loss_sum: Callable[[], Tensor | None] | None = None,
        **fixed: Any,
    ) -> None:
        if fixed:
            self.update(fixed)
        self.known = fixed
        self.loss_sum = loss_sum
        self.running = running or fetch
        self._fetch: Callable[[], dict[str, Any]] | None = fetch

    def _look(self) -> None:
        if self._fetch is not None:
            fetched, self._fetch = self._fetch(), None
            own = dict.copy(self)
            for name, value in zip(fetched, read_all(fetched.values()), strict=True):
                dict.__setitem__(self, name, value)
            self.update(own)

    @property
    def looked(self) -> bool:
        """Whether the values have been fetched."""
        return self._fetch is None

    def raw(self) -> dict[str, Any]:
        """Names and values as they are now, tensors unread."""
        return dict.copy(self) if self._fetch is None else {**self.known, **self._fetch()}

    def __getitem__(self, key: Any) -> Any:
        self._look()
        return dict.__getitem__(self, key)

    def get(self, key: Any, default: Any = None) -> Any:
        self._look()
        return dict.get(self, key, default)

    def __contains__(self, key: object) -> bool:
        self._look()
        return dict.__contains__(self, key)

    def __iter__(self) -> Iterator[Any]:
        self._look()
        return dict.__iter__(self)

    def __len__(self) -> int:
        self._look()
        return dict.__len__(self)

    def keys(self) -> Any:
        self._look()
        return dict.keys(self)

    def values(self) -> Any:
        self._look()
        return dict.values(self)

    def items(self) -> Any:
        self._look()
        return dict.items(self)

    def copy(self) -> dict[Any, Any]:
        self._look()
        return dict(dict.items(self))

    def pop(self, *args: Any) -> Any:
        self._look()
        return dict.pop(self, *args)

    def __eq__(self, other: object) -> bool:
        self._look()
        return dict.__eq__(self, other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        self._look()
        return dict.__repr__(self)

    def __reduce__(self) -> Any:
        return dict, (self.copy(),)


class Outputs(Logs):
    """Logs of a predicted batch: `outputs`, as an array or arrays once somebody looks.

    Args:
        fetch: Gives the output tensor, or a list or dict of them.
        **fixed: Entries that are known already.
    """

    def __init__(self, fetch: Callable[[], Any], **fixed: Any) -> None:
        super().__init__(fetch, dict, None, **fixed)

    def _look(self) -> None:
        if self._fetch is not None:
            fetched, self._fetch = self._fetch(), None
            dict.__setitem__(self, "outputs", _arrays(fetched))


def _arrays(value: Any) -> Any:
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        return (value.float() if value.dtype is torch.bfloat16 else value).numpy()
    if isinstance(value, dict):
        return {name: _arrays(part) for name, part in value.items()}
    return [_arrays(part) for part in value] if isinstance(value, (list, tuple)) else value
