"""`CSVLogger`: a row of a CSV file for each epoch."""

from __future__ import annotations

import csv
import io
import os
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

from torchkeras.callbacks.base import Callback, is_chief
from torchkeras.utils.atomic import LineAppender


class CSVLogger(Callback):
    """Writes each epoch's logs as a row of a CSV file: `epoch`, then the names in alphabetical order.

    Rows are whole: one is written at once and forced to disk, and what a killed run left unfinished is cut off. A value that an epoch lacks is
    `NA`. A disk that is full is one warning; training goes on. Under torchrun the first process alone writes. A run that goes on from a
    backup goes on in its file, too: rows that were written after the backup are cut off, and will be written again.

    Args:
        filename: The file.
        separator: Between the columns, one character.
        append: Go on after the rows that are there, whose columns are kept; False starts anew.

    Raises:
        OSError: when training begins, a file that cannot be written.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `CSVLogger`.
    """

    def __init__(self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False) -> None:
        super().__init__()
        if not isinstance(separator, str) or len(separator) != 1:
            raise ValueError(f"CSVLogger takes a separator of one character, but got {separator!r}.")
        self.filename = os.fspath(filename)
        self.sep = separator
        self.append = append
        self.keys: list[str] | None = None
        self._file: LineAppender | None = None
        self._failed = False
        self._size: int | None = None  # that the file is to have when a run goes on

    def state_dict(self) -> dict[str, Any]:
        """The columns, and how long the file is."""
        return {"keys": self.keys, "size": None if self._file is None else self._file.size}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on in a file: now, or once training begins."""
        self.keys = state["keys"]
        if self._file is None:
            self._size = state["size"]
        elif state["size"] is not None:
            self._file.cut(state["size"])

    def on_train_begin(self, logs: Any = None) -> None:
        self.close()
        self._failed = False
        size, self._size = self._size, None
        if is_chief():
            self._file = LineAppender(self.filename, append=self.append or size is not None)
            if size is not None:
                self._file.cut(size)
            self.keys = None if self._file.empty else self._columns()

    def _columns(self) -> list[str] | None:
        """The names in the header of the file that is there; `None` where its first line is no header."""
        with open(self.filename, newline="", encoding="utf-8") as file:
            header = next(csv.reader(file, delimiter=self.sep), [])
        return header[1:] if header[:1] == ["epoch"] else None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self._file is None:
            return
        logs = logs or {}
        if self.keys is None:
            self.keys = sorted(logs)
            if self._file.empty:
                self._write(["epoch", *self.keys])
        elif not set(logs) & set(self.keys) and logs:
            warnings.warn(
                f"CSVLogger appends to {self.filename!r}, whose columns {self.keys} have none of the logs' names {sorted(logs)}.", stacklevel=2
            )
        self._write([epoch, *(_cell(logs[name]) if name in logs else "NA" for name in self.keys)])

    def _write(self, row: list[Any]) -> None:
        line = io.StringIO()
        csv.writer(line, delimiter=self.sep).writerow(row)
        try:
            self._file.write(line.getvalue())  # type: ignore[union-attr]
        except OSError as error:
            if not self._failed:
                warnings.warn(f"CSVLogger could not write to {self.filename!r}: {error}. Training goes on without these rows.", stacklevel=3)
            self._failed = True

    def on_train_end(self, logs: Any = None) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _cell(value: Any) -> Any:
    """A value as Keras writes it: lists and arrays as a text in brackets."""
    if isinstance(value, str) or not isinstance(value, Iterable) or getattr(value, "ndim", 1) == 0:
        return value.item() if getattr(value, "ndim", None) == 0 else value
    return '"[{}]"'.format(", ".join(map(str, value)))
