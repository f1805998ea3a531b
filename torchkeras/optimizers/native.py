"""torch's own optimizers, given before their parameters are known."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from typing_extensions import Self

from torchkeras.registry import nearest


class TorchOptimizer:
    """A torch optimizer that is made once its parameters are known: `TorchOptimizer(torch.optim.AdamW, lr=1e-3)`.

    Args:
        optimizer: A class of `torch.optim`, its name, or a function of the parameters that makes an optimizer.
        **kwargs: Its arguments, apart from the parameters.

    Raises:
        TypeError: nothing of these.
        ValueError: `torch.optim` has nothing of that name.

    Source: takes the part of `TFOptimizer` (Keras 2.2.4), which wraps the engine's own optimizers.
    """

    def __init__(self, optimizer: type[torch.optim.Optimizer] | str | Callable[..., torch.optim.Optimizer], **kwargs: Any) -> None:
        if isinstance(optimizer, str):
            optimizer = _named(optimizer)
        if not callable(optimizer):
            raise TypeError(f"TorchOptimizer takes a class of torch.optim or a function of the parameters, but got {optimizer!r}.")
        made: Any = optimizer
        if isinstance(made, functools.partial) and not made.args:
            made, kwargs = made.func, {**made.keywords, **kwargs}
        self.make: Callable[..., torch.optim.Optimizer] = made
        self.kwargs = kwargs

    def bind(self, parameters: Iterable[Any]) -> torch.optim.Optimizer:
        """Make the torch optimizer of these parameters; weights of layers stand for their parameters."""
        return self.make([_stored(item) for item in parameters], **self.kwargs)

    def __repr__(self) -> str:
        given = "".join(f", {key}={value!r}" for key, value in self.kwargs.items())
        return f"TorchOptimizer({getattr(self.make, '__name__', self.make)}{given})"

    def get_config(self) -> dict[str, Any]:
        """The class's name in `torch.optim` and its arguments.

        Raises:
            TypeError: the optimizer is not one of `torch.optim`.
        """
        name = getattr(self.make, "__name__", "")
        if getattr(torch.optim, name, None) is not self.make:
            raise TypeError(f"{self!r} cannot be written to a config: only the classes of torch.optim have a name to be found by.")
        return {"optimizer": name, **self.kwargs}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The optimizer of `get_config()`."""
        return cls(**config)


def _named(name: str) -> type[torch.optim.Optimizer]:
    known = {key: value for key, value in vars(torch.optim).items() if isinstance(value, type) and issubclass(value, torch.optim.Optimizer)}
    if name not in known:
        raise ValueError(f"torch.optim has no optimizer {name!r}. {nearest(name, known)}")
    return known[name]


def _stored(item: Any) -> Any:
    if isinstance(item, Mapping):
        params = item["params"]
        return {**item, "params": [_stored(param) for param in ([params] if isinstance(params, torch.Tensor) else params)]}
    if isinstance(item, tuple):
        return (item[0], _stored(item[1]))
    stored = getattr(item, "parameter", None)
    return stored if isinstance(stored, torch.Tensor) else item
