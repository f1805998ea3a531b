"""Losses of PyTorch, called with (input, target), as losses called with (y_true, y_pred)."""

from __future__ import annotations

import copy
import functools
import inspect
import json
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from torchkeras.losses.base import Loss
from torchkeras.losses.losses_utils import Reduction

_TORCH_LOSSES = {name: thing for name, thing in vars(nn).items() if name.endswith("Loss") and inspect.isclass(thing)}
_TAKES_SCORES_OR_IDS = {"CrossEntropyLoss", "cross_entropy"}
_TAKES_IDS = {"NLLLoss", "NLLLoss2d", "nll_loss", "MultiMarginLoss", "multi_margin_loss"}
_TAKES_LABEL_SETS = {"MultiLabelMarginLoss", "multilabel_margin_loss"}
_REDUCTIONS = {"mean": Reduction.SUM_OVER_BATCH_SIZE, "batchmean": Reduction.SUM_OVER_BATCH_SIZE, "sum": Reduction.SUM, "none": Reduction.NONE}


def is_torch_loss(thing: Any) -> bool:
    """Whether `thing` is a module, or a function of `torch.nn.functional` that takes (input, target)."""
    if isinstance(thing, nn.Module) or (inspect.isclass(thing) and issubclass(thing, nn.Module)):
        return True
    function = thing.func if isinstance(thing, functools.partial) else thing
    return getattr(function, "__module__", None) == "torch.nn.functional" and _first_names(function) == ["input", "target"]


def _first_names(function: Callable[..., Any]) -> list[str]:
    try:
        return list(inspect.signature(function).parameters)[:2]
    except (TypeError, ValueError):
        return []


def from_torch(module: Any, class_axis: int | None = None, name: str | None = None) -> TorchLoss:
    """A PyTorch loss as a Keras one.

    Args:
        module: An `nn.Module` loss, its class, or a function of `torch.nn.functional`; its `reduction` is kept. A module whose
            `forward` names its arguments `y_true, y_pred` is called in that order.
        class_axis: Where the predictions have their classes, for losses over classes and more than two axes: 1 as in
            torch or -1 as in Keras. `None` tells it from the shape of the class ids where only one fits.
        name: Name in logs; by default that of the class or function.

    Raises:
        TypeError: `module` is neither.
        ValueError: it takes more than an input and a target.
    """
    if inspect.isclass(module) and issubclass(module, nn.Module):
        module = module()
    if not is_torch_loss(module):
        raise TypeError(f"from_torch takes an nn.Module loss or a function of torch.nn.functional that takes (input, target), but got {module!r}.")
    needed = _needed_names(module.forward if isinstance(module, nn.Module) else module)
    if len(needed) > 2:
        who = type(module).__name__ if isinstance(module, nn.Module) else module
        raise ValueError(f"{who} takes ({', '.join(needed)}), which is more than (input, target). Wrap it in a function of (y_true, y_pred).")
    return TorchLoss(module, class_axis=class_axis, name=name)


def _needed_names(function: Callable[..., Any]) -> list[str]:
    """Names of the arguments that must be given, in order."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    return [one.name for one in parameters if one.default is one.empty and one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]


class TorchLoss(Loss):
    """A PyTorch loss as a Keras one; made by `from_torch`.

    Per-sample values are those of the loss with `reduction="none"`, averaged (or summed) over the last axis where it
    gives one value an element. Their reduction gives what the PyTorch loss gives.

    Args:
        module: The module or function.
        class_axis: See `from_torch`.
        name: Name in logs.
    """

    def __init__(self, module: Any, class_axis: int | None = None, name: str | None = None) -> None:
        function = module.func if isinstance(module, functools.partial) else module
        self.kind: str = type(module).__name__ if isinstance(module, nn.Module) else function.__name__
        self.torch_reduction = self._own_reduction(module)
        super().__init__(_REDUCTIONS.get(self.torch_reduction or "mean", Reduction.SUM_OVER_BATCH_SIZE), name or self.kind)
        self.module = module
        self.class_axis = class_axis
        self._unreduced = self._without_reduction(module)
        self._keras_order = isinstance(module, nn.Module) and _first_names(module.forward) == ["y_true", "y_pred"]

    @staticmethod
    def _own_reduction(module: Any) -> str | None:
        if isinstance(module, nn.Module):
            return getattr(module, "reduction", None)
        if isinstance(module, functools.partial):
            return module.keywords.get("reduction", "mean")
        return "mean"

    def _without_reduction(self, module: Any) -> Callable[..., Tensor] | None:
        if self.torch_reduction is None:
            return None
        if not isinstance(module, nn.Module):
            return functools.partial(module, reduction="none")
        unreduced = copy.copy(module)  # shares weights and buffers
        unreduced.reduction = "none"  # type: ignore[assignment]
        return unreduced

    def reduced(self, y_true: Any, y_pred: Tensor) -> Tensor:
        """What the PyTorch loss itself gives."""
        return self._apply(self.module, *self.converted(y_true, y_pred))

    def call(self, y_true: Any, y_pred: Tensor) -> Tensor:
        """Per-sample values; a loss that has no `reduction` gives what it gives."""
        target, scores = self.converted(y_true, y_pred)
        if self._unreduced is None:
            return self._apply(self.module, target, scores)
        values = self._apply(self._unreduced, target, scores) * self._correction(target, scores)
        if values.shape != scores.shape or values.dim() < 2:
            return values
        if self.torch_reduction == "batchmean":
            return values.flatten(1).sum(1)
        return values.sum(-1) if self.torch_reduction == "sum" else values.mean(-1)

    def _apply(self, module: Callable[..., Tensor], target: Tensor, scores: Tensor) -> Tensor:
        return module(target, scores) if self._keras_order else module(scores, target)

    def _correction(self, target: Tensor, scores: Tensor) -> Tensor | float:
        """Factor to the values of a loss whose mean divides by class weights or skips ids."""
        if self.torch_reduction != "mean" or self.kind not in _TAKES_SCORES_OR_IDS | {"NLLLoss", "nll_loss"} or target.is_floating_point():
            return 1.0
        weight, ignored_id = self._setting("weight", None), self._setting("ignore_index", -100)
        ignored = target == ignored_id
        counted = torch.ones_like(target, dtype=scores.dtype) if weight is None else weight[target.masked_fill(ignored, 0)]
        return target.numel() / counted.masked_fill(ignored, 0).sum()

    def _setting(self, name: str, default: Any) -> Any:
        if isinstance(self.module, functools.partial):
            return self.module.keywords.get(name, default)
        return getattr(self.module, name, default)

    def converted(self, y_true: Any, y_pred: Tensor) -> tuple[Tensor, Tensor]:
        """Target and predictions in the types and shapes that the PyTorch loss takes."""
        target = y_true if isinstance(y_true, Tensor) else torch.as_tensor(y_true, device=y_pred.device)
        if self.kind in _TAKES_SCORES_OR_IDS | _TAKES_IDS and y_pred.dim() > 1:
            return self._classes(target, y_pred)
        if self.kind in _TAKES_LABEL_SETS:
            return target.long(), y_pred
        if target.shape != y_pred.shape and target.numel() == y_pred.numel():
            target = target.reshape(y_pred.shape)
        return target.to(y_pred.dtype), y_pred

    def _classes(self, target: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Ids of type long, or probabilities; classes on axis 1, where torch has them."""
        dense = target.shape == scores.shape and target.dim() > 1 and scores.shape[-1] > 1
        axis = self._axis_of_classes(target, scores, dense)
        if not dense:
            target = target.reshape(scores.shape[:axis] + scores.shape[axis + 1 :]).long()
        elif self.kind in _TAKES_IDS:
            target = target.argmax(axis)
        else:
            target = target.to(scores.dtype).movedim(axis, 1)
        return target, scores if axis == 1 else scores.movedim(axis, 1)

    def _axis_of_classes(self, target: Tensor, scores: Tensor, dense: bool) -> int:
        if scores.dim() == 2:
            return 1
        if self.class_axis is not None:
            return self.class_axis % scores.dim()
        without = {1: scores.shape[:1] + scores.shape[2:], scores.dim() - 1: scores.shape[:-1]}
        shape = target.shape[:-1] if target.dim() == scores.dim() and target.shape[-1] == 1 else target.shape
        fitting = [axis for axis, left in without.items() if left == shape]
        if dense or len(fitting) != 1:
            raise ValueError(
                f"{self.name} cannot tell which axis of predictions {tuple(scores.shape)} has the classes, given targets {tuple(target.shape)}. "
                f"Say it with losses.from_torch({self.kind}, class_axis=1) as in torch, or class_axis=-1 as in Keras."
            )
        return fitting[0]

    def get_config(self) -> dict[str, Any]:
        """Class and arguments of a `torch.nn` loss.

        Raises:
            ValueError: the loss is a function, or not of `torch.nn`, or has arguments that JSON cannot hold.
        """
        arguments = {}
        try:
            for argument in inspect.signature(_TORCH_LOSSES[self.kind]).parameters:
                if hasattr(self.module, argument):
                    value = getattr(self.module, argument)
                    arguments[argument] = {"tensor": value.tolist()} if isinstance(value, Tensor) else value
            json.dumps(arguments)
        except (KeyError, TypeError) as error:
            raise ValueError(f"The PyTorch loss {self.kind} cannot be written to a config. Compile the loaded model with it again.") from error
        return {"loss": self.kind, "arguments": arguments, "class_axis": self.class_axis, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> TorchLoss:
        """A loss from `get_config()`.

        Raises:
            ValueError: the config names no loss of `torch.nn`.
        """
        if config["loss"] not in _TORCH_LOSSES:
            raise ValueError(f"A config names the PyTorch loss {config['loss']!r}, but torch.nn has only {sorted(_TORCH_LOSSES)}.")
        arguments = {name: torch.tensor(value["tensor"]) if isinstance(value, dict) else value for name, value in config.get("arguments", {}).items()}
        return cls(_TORCH_LOSSES[config["loss"]](**arguments), class_axis=config.get("class_axis"), name=config.get("name"))
