"""One batch of training, evaluation and prediction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor

from torchkeras.training.compiled import Compiled

if TYPE_CHECKING:
    from torchkeras.training.trainer import Trainer

Step = Callable[[Any, Any], Any]


def _as_list(structure: Any, names: list[str]) -> list[Any]:
    if isinstance(structure, Tensor):
        return [structure]
    if isinstance(structure, Mapping):
        return [structure.get(name) for name in names]
    if structure is None:
        return [None] * len(names)
    return list(structure)


def extra_losses(model: Trainer) -> Callable[[], Tensor | None]:
    """A function that sums what the loss has beside the compiled one: regularizers, activity regularizers, `add_loss`."""
    trained = model._trained
    assert trained is not None

    def total() -> Tensor | None:
        found = trained.penalty() if trained.regularizers else None
        for layer in layers:
            for part in (*layer._call_losses, *(loss() for loss in layer._callable_losses)):
                part = part if part.dim() == 0 else part.mean()
                found = part if found is None else found + part
        return found

    layers = list(model.sublayers())
    return total


def make_train_step(model: Trainer, compiled: Compiled) -> Step:
    """The function that trains on one batch: forward, loss, backward, update; it waits for nothing."""
    optimizer, names = model.optimizer, compiled.names
    trained = model._trained
    assert trained is not None
    extra = extra_losses(model)
    trains = bool(trained.parameters)
    if trains:
        optimizer.zero_grad(set_to_none=True)

    def step(engine: Any, batch: Any) -> dict[str, Any]:
        x, y, sample_weight = batch
        y_pred = model(x)
        true, pred, weight = _as_list(y, names), _as_list(y_pred, names), _as_list(sample_weight, names)
        loss = compiled.loss(true, pred, weight)
        more = extra()
        if more is not None:
            loss = loss + more
        if trains:
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        if trained.constraints:
            trained.apply_constraints()
        compiled.update(loss, true, pred, weight)
        return {"y_pred": y_pred, "y": y, "loss": loss}

    return step


def make_test_step(model: Trainer, compiled: Compiled) -> Step:
    """The function that evaluates one batch."""
    names = compiled.names
    extra = extra_losses(model)

    def step(engine: Any, batch: Any) -> dict[str, Any]:
        x, y, sample_weight = batch
        y_pred = model(x)
        true, pred, weight = _as_list(y, names), _as_list(y_pred, names), _as_list(sample_weight, names)
        loss = compiled.loss(true, pred, weight)
        more = extra()
        if more is not None:
            loss = loss + more
        compiled.update(loss, true, pred, weight)
        return {"y_pred": y_pred, "y": y, "loss": loss}

    return step


def make_predict_step(model: Trainer, outputs: list[Any]) -> Step:
    """The function that predicts one batch and keeps its outputs."""

    def step(engine: Any, batch: Any) -> Any:
        output = model(batch[0])
        outputs.append(output)
        return output

    return step
