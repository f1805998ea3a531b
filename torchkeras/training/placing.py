"""Where a model trains: CUDA where there is one, unless the user says otherwise."""

from __future__ import annotations

from typing import Any

import torch

from torchkeras import config
from torchkeras.training.added import Adding


class Placed(Adding):
    """A network that knows the device it is to train on."""

    _device: torch.device | None = None  # what compile was told
    _moved_by_user: bool = False

    def _place(self) -> None:
        """Move the model to the device that it is to train on."""
        wanted = self._device
        if wanted is None and torch.cuda.is_available() and not self._moved_by_user:
            wanted = torch.device("cuda", torch.cuda.current_device())
        first = next(self.parameters(), None)
        if wanted is not None and first is not None and first.device != wanted:
            super().to(wanted)
        # constants that losses and metrics make by K functions
        config._settings["device"] = None if self.device.type == "cpu" else self.device

    def to(self, *args: Any, **kwargs: Any) -> Any:
        """Move or cast the model, as in torch; training then stays on that device."""
        self._moved_by_user = self._moved_by_user or torch._C._nn._parse_to(*args, **kwargs)[0] is not None
        return super().to(*args, **kwargs)

    def cuda(self, device: Any = None) -> Any:
        """Move the model to a CUDA device; training then stays there."""
        self._moved_by_user = True
        return super().cuda(device)

    def cpu(self) -> Any:
        """Move the model to the CPU; training then stays there."""
        self._moved_by_user = True
        return super().cpu()

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        first = next(self.parameters(), None)
        if first is not None:
            return first.device
        return self._device or torch.device("cpu")
