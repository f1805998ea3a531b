"""Find a learning rate: train with rates that rise, and see where the loss falls fastest."""

from __future__ import annotations

import logging
import math
import warnings
from dataclasses import dataclass
from typing import Any

import torch

from torchkeras.utils.plots import save_figure


@dataclass
class LearningRateSearch:
    """What `find_lr` found.

    Attributes:
        learning_rates: The rates that were tried, in their order.
        losses: The smoothed loss at each.
        suggestion: The rate at which the loss fell fastest; `None` where the curve has no falling part.
        diverged: Whether the search ended because the loss rose.
    """

    learning_rates: list[float]
    losses: list[float]
    suggestion: float | None
    diverged: bool

    def plot(self, path: Any = None) -> Any:
        """The loss over the rates as a figure of matplotlib, written to `path` where one is given.

        Raises:
            ImportError: matplotlib is not installed.
        """
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7, 4.5), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        axes.plot(self.learning_rates, self.losses, color="tab:blue")
        axes.set_xscale("log")
        axes.set_xlabel("learning rate")
        axes.set_ylabel("loss (smoothed)")
        finite = [loss for loss in self.losses if math.isfinite(loss)]
        if finite:
            low, start = min(finite), self.losses[0]
            room = max(start - low, 1e-12)
            axes.set_ylim(low - 0.1 * room, max(start + 0.5 * room, low + 0.2 * room))  # how high it flew in the end says little
        if self.suggestion is not None:
            loss = self.losses[self.learning_rates.index(self.suggestion)]
            axes.axvline(self.suggestion, color="tab:red", linewidth=1, linestyle="--")
            axes.plot([self.suggestion], [loss], "o", color="tab:red", label=f"falls fastest at {self.suggestion:.2e}")
            axes.legend()
        axes.grid(alpha=0.3)
        if path is not None:
            save_figure(figure, path)
        return figure


def find_lr(
    model: Any,
    x: Any,
    y: Any = None,
    *,
    start_lr: float = 1e-6,
    end_lr: float = 10.0,
    num_iter: int = 100,
    step_mode: str = "exp",
    smooth_f: float = 0.05,
    diverge_th: float = 5.0,
    **fit: Any,
) -> LearningRateSearch:
    """Train for some steps with rates from `start_lr` to `end_lr`, by Ignite's FastaiLRFinder; model and optimizer are then as before.

    Args:
        model: A compiled model.
        x, y: Data, as for `fit`.
        start_lr, end_lr: The lowest and the highest rate.
        num_iter: Steps in all.
        step_mode: "exp" for rates in equal ratios, "linear" for rates in equal distances.
        smooth_f: Share of the new loss in the smoothed one, 0-1; 0: not smoothed.
        diverge_th: End the search once the loss is so many times the best one.
        **fit: Further arguments of `fit`, such as `batch_size` and `sample_weight`.

    Raises:
        ValueError: rates that do not rise, or an optimizer whose rate follows a schedule.
        TypeError: an argument that the search itself decides.

    Source: Smith (2017), "Cyclical learning rates for training neural networks".
    """
    from ignite.engine import Events
    from ignite.handlers import FastaiLRFinder

    for name in ("epochs", "nb_epoch", "initial_epoch", "validation_data", "validation_split"):
        if name in fit:
            raise TypeError(f"find_lr decides on {name} itself: leave it out.")
    if not 0 < start_lr < end_lr:
        raise ValueError(f"find_lr needs 0 < start_lr < end_lr, but got start_lr={start_lr!r} and end_lr={end_lr!r}.")
    if callable(getattr(model.optimizer, "lr", None)):
        raise ValueError(f"find_lr cannot set the learning rate: it follows the schedule {model.optimizer.lr!r}. Compile with a number first.")
    history, stopped = getattr(model, "history", None), model.stop_training
    fit = {"verbose": 0, **fit}
    model.fit(x, y, epochs=0, **fit)  # builds the model
    model._trained.bind(model)
    finder = FastaiLRFinder()
    finder.logger.setLevel(logging.WARNING)
    optimizer = model.optimizer
    step = optimizer.__dict__.get("step")
    to_save = {"model": _Kept(model), "optimizer": optimizer}
    try:
        with (
            warnings.catch_warnings(),
            finder.attach(
                model.trainer,
                to_save=to_save,
                output_transform=lambda output: output["loss"].sum() if isinstance(output, dict) else output,
                num_iter=num_iter,
                start_lr=float(start_lr),
                end_lr=float(end_lr),
                step_mode=step_mode,
                smooth_f=smooth_f,
                diverge_th=diverge_th,
            ) as engine,
        ):
            warnings.filterwarnings("ignore", "Run completed without loss diverging")
            warnings.filterwarnings("ignore", "Your input ran out of data")
            count = engine.add_event_handler(Events.ITERATION_COMPLETED, lambda: _end(model, engine, num_iter))
            try:
                model.fit(x, y, epochs=num_iter, **fit)
            finally:
                count.remove()
    finally:
        _unwrap(optimizer, step)
        model.history, model.stop_training = history, stopped
    found = finder.get_results()
    try:
        suggestion = float(finder.lr_suggestion())
    except RuntimeError:  # no falling part
        suggestion = None
    return LearningRateSearch([float(rate) for rate in found["lr"]], [float(loss) for loss in found["loss"]], suggestion, finder._diverge_flag)


def _end(model: Any, engine: Any, num_iter: int) -> None:
    """Stop after so many steps, whatever the number of steps in an epoch."""
    if engine.state.iteration >= num_iter:
        model.stop_training = True
        engine.terminate()


def _unwrap(optimizer: Any, step: Any) -> None:
    """Take off what torch's schedulers leave on an optimizer."""
    if step is None:
        optimizer.__dict__.pop("step", None)
    else:
        optimizer.__dict__["step"] = step
    for group in optimizer.param_groups:
        group.pop("initial_lr", None)


class _Kept:
    """A model whose state is kept as copies on its device."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.model = model

    def state_dict(self) -> dict[str, Any]:
        return {name: value.detach().clone() if isinstance(value, torch.Tensor) else value for name, value in self.model.state_dict().items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state)
