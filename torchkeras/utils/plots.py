"""Pictures of training: values over epochs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from torchkeras.registry import nearest
from torchkeras.utils.atomic import atomic_write

_COLUMNS = 3  # panels beside each other, at most


def plot_history(
    history: Mapping[str, Sequence[float]],
    epochs: Sequence[int] = (),
    path: Any = None,
    *,
    names: Sequence[str] | None = None,
    title: str | None = None,
) -> Any:
    """The values of a `History` over the epochs as a figure of matplotlib.

    Args:
        history: For each name the list of its values.
        epochs: The epochs, counted from 0; where they do not fit the values, these are numbered from 1.
        path: File to write the picture to; `None`: none is written.
        names: What to show, without `val_`; `None`: all.
        title: Above the picture.

    Raises:
        ValueError: there is nothing to show, or an unknown name.
        ImportError: matplotlib is not installed.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    known = list(dict.fromkeys(name.removeprefix("val_") for name in history))
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise ValueError(f"The history has no values called {unknown[0]!r}. {nearest(unknown[0], known)}")
    shown = [name for name in (names or known) if any(len(history.get(key, ())) for key in (name, f"val_{name}"))]
    if not shown:
        raise ValueError("The history has no values to show: no epoch has been run yet.")
    columns = min(_COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(4.6 * columns + 0.4, 3.4 * rows + (0.4 if title else 0)), layout="constrained")
    FigureCanvasAgg(figure)
    for number, name in enumerate(shown):
        axes = figure.add_subplot(rows, columns, number + 1)
        for key, label, color in ((name, "training", "tab:blue"), (f"val_{name}", "validation", "tab:orange")):
            values = np.asarray(history.get(key, ()), dtype=float)
            if len(values):
                places = np.asarray(epochs) + 1 if len(epochs) == len(values) else np.arange(1, len(values) + 1)
                axes.plot(places, values, label=label, color=color, marker="o" if len(values) < 15 else None, markersize=4)
        axes.set_title(name)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        if f"val_{name}" in history:
            axes.legend()
    if title:
        figure.suptitle(title)
    if path is not None:
        save_figure(figure, path)
    return figure


def save_figure(figure: Any, path: Any, dpi: int = 120) -> None:
    """Write a figure of matplotlib, whole or not at all.

    Args:
        figure: The figure.
        path: The file, whose ending says its kind, PNG where it has none; or an open file.
        dpi: Dots an inch.

    Raises:
        ValueError: an ending that matplotlib does not know.
    """
    if not isinstance(path, (str, os.PathLike)):
        figure.savefig(path, dpi=dpi)
        return
    name, ending = os.path.splitext(os.fspath(path))
    with atomic_write(path if ending else f"{name}.png") as file:
        figure.savefig(file, format=ending[1:].lower() or "png", dpi=dpi)
