"""Forward pass and loss compiled by torch.compile, or as they are where that fails."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch


class Jitted:
    """A function compiled when it is first called; where torch.compile fails, the function itself, with one warning.

    Args:
        function: The function.
        who: Name of the model, for the warning.
    """

    def __init__(self, function: Callable[..., Any], who: str) -> None:
        self.function, self.who = function, who
        self._compiled: Callable[..., Any] | None = torch.compile(function)

    def __call__(self, *args: Any) -> Any:
        """What the function gives."""
        if self._compiled is None:
            return self.function(*args)
        try:
            return self._compiled(*args)
        except Exception as error:  # whatever the compiler stumbles over: the function itself tells whether it is the user's fault
            result = self.function(*args)
            self._compiled = None
            first = str(error).strip().splitlines()[0] if str(error).strip() else ""
            warnings.warn(
                f"torch.compile could not compile model '{self.who}', so it runs as it is ({type(error).__name__}: {first:.200}).",
                RuntimeWarning,
                stacklevel=2,
            )
            return result
