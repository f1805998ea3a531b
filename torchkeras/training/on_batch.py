"""`train_on_batch`, `test_on_batch`, `predict_on_batch`."""

from __future__ import annotations

from typing import Any

import torch

from torchkeras.metrics.processes import several
from torchkeras.training.batches import Batch, on_device
from torchkeras.training.compiled import Compiled
from torchkeras.training.compiling import Compiling
from torchkeras.training.distributed import share_weights_once, start
from torchkeras.training.logs import read_all
from torchkeras.training.loops import Outputs, read_values
from torchkeras.training.parts import part_of
from torchkeras.training.standardize import Door


class BatchCalls(Compiling):
    """Training, evaluation and prediction of one batch, for loops that users write themselves."""

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        reset_metrics: bool = True,
        return_dict: bool = False,
    ) -> Any:
        """Train on one batch.

        Args:
            x, y, sample_weight, class_weight: As for `fit`.
            reset_metrics: Whether the values are those of this batch alone, or means since the last reset.
            return_dict: Whether to give a dict by name.

        Returns:
            The loss, or the list [loss, metric, ...].
        """
        self._need_compile("train_on_batch")
        batch, compiled = self._one_batch(x, y, sample_weight, class_weight, "train_on_batch")
        if reset_metrics:
            self.reset_metrics()
        self.train()
        try:
            with torch.enable_grad(), self._trained.respected(self):  # type: ignore[union-attr]
                self._train_step()(None, batch)
        finally:
            self.train(False)
        return _values(compiled, return_dict)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, reset_metrics: bool = True, return_dict: bool = False) -> Any:
        """Evaluate one batch.

        Args:
            x, y, sample_weight: As for `fit`.
            reset_metrics: Whether the values are those of this batch alone, or means since the last reset.
            return_dict: Whether to give a dict by name.

        Returns:
            The loss, or the list [loss, metric, ...].
        """
        self._need_compile("test_on_batch")
        batch, compiled = self._one_batch(x, y, sample_weight, None, "test_on_batch")
        if reset_metrics:
            self.reset_metrics()
        self.train(False)
        with torch.no_grad(), self._trained.respected(self):  # type: ignore[union-attr]
            self._test_step()(None, batch)
        return _values(compiled, return_dict)

    def predict_on_batch(self, x: Any) -> Any:
        """Outputs for one batch, in inference mode, as NumPy arrays.

        Args:
            x: Inputs.
        """
        x, _, _ = Door(self, "predict_on_batch", targets=False).whole(x, None, None)
        self._build_for(x)
        self._place()
        was = self.training
        self.train(False)
        outputs = Outputs()
        try:
            with torch.inference_mode():
                self._predict_step(outputs.append)(None, (on_device(x, self.device), None, None))
        finally:
            self.train(was)
        return outputs.joined()

    def _one_batch(self, x: Any, y: Any, sample_weight: Any, class_weight: Any, who: str) -> tuple[Batch, Compiled]:
        together = start()
        batch = Door(self, who, class_weight).whole(x, y, sample_weight)
        compiled = self._ready(batch, who)
        device = self.device
        if together:
            share_weights_once(self)
            batch = part_of(batch)
        x, y, weight = (None if part is None else on_device(part, device) for part in batch)
        return (x, y, weight), compiled


def _values(compiled: Compiled, return_dict: bool) -> Any:
    values = compiled.batch_values()
    logs = read_values(compiled) if several() else dict(zip(values, read_all(values.values()), strict=True))
    if return_dict:
        return logs
    return list(logs.values()) if len(logs) > 1 else next(iter(logs.values()))
