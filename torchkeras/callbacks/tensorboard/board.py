"""`Board`: the log directory of a run, with short ways to add pictures, text and the like."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from torchkeras.callbacks.tensorboard.hparams import session_end, session_start
from torchkeras.callbacks.tensorboard.writing import Runs
from torchkeras.utils.reports import confusion_matrix, draw_confusion_matrix, per_class_report


class Board(Runs):
    """The runs of a log directory: `board["train"]` is the `SummaryWriter` of a run.

    Args:
        log_dir: The folder.
        one: Whether all runs are one, in the folder itself, as in Keras 1 and 2.
    """

    def __init__(self, log_dir: str, one: bool) -> None:
        super().__init__(log_dir, one)
        self._session = False

    def start_session(self, hparams: Mapping[str, Any], metrics: Iterable[str]) -> None:
        """Describe the run on the HParams page.

        Args:
            hparams: Hyper-parameters by name.
            metrics: Names in the logs.
        """
        if self.one:
            places = [("", name) for name in metrics]
        else:
            places = [("validation", f"epoch_{name[4:]}") if name.startswith("val_") else ("train", f"epoch_{name}") for name in metrics]
        for summary in session_start(hparams, places):
            self.add("", summary, None)
        self._session = True

    def close(self, well: bool = True) -> None:
        """Close the files; a described run has ended, well or not."""
        if self._session:
            self.add("", session_end(well), None)
            self._session = False
        super().close()

    # -- for hooks

    def text(self, tag: str, text: str, step: int = 0, run: str = "train") -> None:
        """Add Markdown to the Text page."""
        self[run].add_text(tag, text, step)

    def image(self, tag: str, images: Any, step: int, run: str = "validation", channels_last: bool = True) -> None:
        """Add a picture, or several as a grid, to the Images page.

        Args:
            tag: Name.
            images: (height, width), (height, width, channels) or (batch, height, width, channels): bytes 0-255 or floats 0-1, with 1 or 3 channels.
            step: The epoch.
            run: "train" or "validation".
            channels_last: False: channels stand before height and width.
        """
        array = images.detach().cpu().numpy() if hasattr(images, "detach") else np.asarray(images)
        forms = {2: "HW", 3: "HWC" if channels_last else "CHW", 4: "NHWC" if channels_last else "NCHW"}
        if array.ndim not in forms:
            raise ValueError(f"board.image takes a picture of 2 or 3 axes or a batch with 4, but got an array of shape {array.shape}.")
        add = self[run].add_images if array.ndim == 4 else self[run].add_image
        add(tag, array, step, dataformats=forms[array.ndim])

    def figure(self, tag: str, figure: Any, step: int, run: str = "validation") -> None:
        """Add a figure of matplotlib to the Images page, and close it."""
        self[run].add_figure(tag, figure, step)

    def confusion_matrix(self, tag: str, y_true: Any, y_pred: Any, step: int, names: Sequence[str] | None = None, run: str = "validation") -> None:
        """Add a confusion matrix to the Images page, and the report of each class to the Text page.

        Args:
            tag: Name.
            y_true: Labels: numbers or one-hot rows.
            y_pred: Predictions: labels, or rows of scores.
            step: The epoch.
            names: Names of the classes.
            run: "train" or "validation".
        """
        self.figure(tag, draw_confusion_matrix(confusion_matrix(y_true, y_pred, classes=None if names is None else len(names)), names), step, run)
        self.text(f"{tag}/report", per_class_report(y_true, y_pred, names, markdown=True), step, run)
