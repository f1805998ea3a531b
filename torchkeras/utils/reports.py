"""How well a classifier does, class by class: confusion matrix, precision, recall and F1, as text and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

_MOST_NUMBERS = 25  # classes whose cells have their numbers written in them


def labels_of(values: Any, threshold: float = 0.5) -> np.ndarray:
    """Class numbers from labels, one-hot rows, rows of scores, or probabilities of one class.

    Args:
        values: (batch,) or (batch, 1) labels (integers) or probabilities (floats between 0 and 1), or (batch, classes).
        threshold: From where a probability means class 1.

    Raises:
        ValueError: more axes.
    """
    array = values.detach().cpu().numpy() if hasattr(values, "detach") else np.asarray(values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 2:
        return array.argmax(axis=1)
    if array.ndim != 1:
        raise ValueError(f"Class labels have the shape (batch,) or (batch, classes), but got {array.shape}. Flatten the other axes first.")
    if array.dtype.kind == "f" and not (array == np.round(array)).all():
        return (array > threshold).astype(np.int64)
    return array.astype(np.int64)


def confusion_matrix(y_true: Any, y_pred: Any, classes: int | None = None) -> np.ndarray:
    """How often class i (row) was taken for class j (column).

    Args:
        y_true: Labels or one-hot rows.
        y_pred: Labels, rows of scores, or probabilities of class 1.
        classes: Number of classes; `None`: as many as there are in the labels and the scores.

    Raises:
        ValueError: unequal lengths, or a label that is no class.

    Shape: (batch,) or (batch, classes) each -> (classes, classes) of counts.
    """
    true, pred = labels_of(y_true), labels_of(y_pred)
    if len(true) != len(pred):
        raise ValueError(f"confusion_matrix got {len(true)} true labels and {len(pred)} predictions. Give as many of each.")
    widths = [int(np.shape(values)[1]) for values in (y_true, y_pred) if np.ndim(values) == 2 and np.shape(values)[1] > 1]
    if classes is None:
        classes = max([*widths, int(max(true.max(initial=-1), pred.max(initial=-1))) + 1])
    if len(true) and (min(true.min(), pred.min()) < 0 or max(true.max(), pred.max()) >= classes):
        found = sorted({int(true.min()), int(pred.min()), int(true.max()), int(pred.max())})
        raise ValueError(f"confusion_matrix takes labels from 0 to {classes - 1}, but got labels between {found[0]} and {found[-1]}.")
    return np.bincount(true * classes + pred, minlength=classes * classes).reshape(classes, classes)


def per_class_report(y_true: Any, y_pred: Any, names: Sequence[str] | None = None, *, markdown: bool = False) -> str:
    """Precision, recall, F1 and number of samples of each class, and their means, as a table.

    A class that was never predicted has precision 0, one that never occurs recall 0.

    Args:
        y_true: Labels or one-hot rows.
        y_pred: Labels, rows of scores, or probabilities of class 1.
        names: Names of the classes; `None`: their numbers.
        markdown: A table of Markdown instead of plain text.

    Raises:
        ValueError: another number of names than classes.
    """
    matrix = confusion_matrix(y_true, y_pred, classes=None if names is None else len(names))
    found = class_values(matrix)
    titles = [str(number) for number in range(len(matrix))] if names is None else list(names)
    rows = [[name, *(f"{value:.3f}" for value in values[:3]), str(int(values[3]))] for name, values in zip(titles, found, strict=True)]
    total = matrix.sum()
    weighted = (found[:, :3] * found[:, 3:]).sum(axis=0) / max(total, 1)
    rows.append(["mean", *(f"{value:.3f}" for value in found[:, :3].mean(axis=0)), str(total)])
    rows.append(["weighted mean", *(f"{value:.3f}" for value in weighted), str(total)])
    rows.append(["accuracy", "", "", f"{np.trace(matrix) / max(total, 1):.3f}", str(total)])
    head = ["class", "precision", "recall", "F1", "samples"]
    if markdown:
        lines = [head, ["---", *["---:"] * 4], *([cell.replace("|", "/") for cell in row] for row in rows)]
        return "\n".join("| " + " | ".join(row) + " |" for row in lines)
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(5)]
    return "\n".join(
        row[0].ljust(widths[0]) + "".join(f"  {cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True)) for row in [head, *rows]
    )


def class_values(matrix: np.ndarray) -> np.ndarray:
    """Precision, recall, F1 and number of samples of each class.

    Shape: (classes, classes) -> (classes, 4).
    """
    hits, predicted, true = np.diag(matrix).astype(float), matrix.sum(axis=0), matrix.sum(axis=1)
    return np.stack([hits / np.maximum(predicted, 1), hits / np.maximum(true, 1), 2 * hits / np.maximum(predicted + true, 1), true], axis=1)


def draw_confusion_matrix(matrix: Any, names: Sequence[str] | None = None, *, title: str | None = None) -> Any:
    """A confusion matrix as a figure of matplotlib: the share of each row as a colour, the counts as numbers.

    Args:
        matrix: What `confusion_matrix` gives.
        names: Names of the classes; `None`: their numbers.
        title: Above the picture.

    Raises:
        ValueError: another number of names than classes.
        ImportError: matplotlib is not installed.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    matrix = np.asarray(matrix)
    classes = len(matrix)
    titles = [str(number) for number in range(classes)] if names is None else list(names)
    if len(titles) != classes:
        raise ValueError(f"The confusion matrix has {classes} classes, but got {len(titles)} names.")
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = float(np.clip(0.55 * classes + 2, 4, 14))
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    picture = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(picture, ax=axes, fraction=0.046, label="share of the true class")
    longest = max(map(len, titles))
    axes.set_xticks(
        range(classes),
        titles,
        rotation=0 if longest <= 3 else 45,
        ha="center" if longest <= 3 else "right",
        rotation_mode="anchor" if longest > 3 else None,
    )
    axes.set_yticks(range(classes), titles)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    if title:
        axes.set_title(title)
    if classes <= _MOST_NUMBERS:
        size = float(np.clip(110 / classes, 6, 11))
        for row, column in np.ndindex(matrix.shape):
            if matrix[row, column]:
                color = "white" if share[row, column] > 0.5 else "black"
                axes.text(column, row, f"{matrix[row, column]:g}", ha="center", va="center", color=color, fontsize=size)
    return figure
