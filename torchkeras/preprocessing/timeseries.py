"""Windows over a time series, batch by batch.

Source: Keras-Preprocessing 1.1.2 `TimeseriesGenerator`.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchkeras.utils.sequence import Sequence


class TimeseriesGenerator(Sequence):
    """Batches of windows over `data`, each with the target at the step behind the window.

    Args:
        data: Steps on the first axis: an array, a list, an HDF5 data set.
        targets: As many steps as `data`.
        length: Steps of a window, before sampling.
        sampling_rate: Every how many steps of a window one is taken.
        stride: Steps from one window to the next.
        start_index: First step of `data` that is used.
        end_index: Last step of `targets` that is used; `None`: the last there is.
        shuffle: Windows drawn at random (numpy's global generator) instead of in order.
        reverse: Newest step of each window first.
        batch_size: Windows in a batch, save perhaps in the last.

    Shape:
        batch: (batch, ceil(length / sampling_rate), ...) and (batch, ...)

    Raises:
        ValueError: `data` and `targets` differ in length, no window fits, or a number is below 1.

    Source: Keras-Preprocessing 1.1.2 `TimeseriesGenerator`.
    """

    def __init__(
        self,
        data: Any,
        targets: Any,
        length: int,
        sampling_rate: int = 1,
        stride: int = 1,
        start_index: int = 0,
        end_index: int | None = None,
        shuffle: bool = False,
        reverse: bool = False,
        batch_size: int = 128,
    ) -> None:
        if len(data) != len(targets):
            raise ValueError(f"TimeseriesGenerator needs data and targets of one length, but got {len(data)} and {len(targets)} steps.")
        for name, number in (("length", length), ("sampling_rate", sampling_rate), ("stride", stride), ("batch_size", batch_size)):
            if number < 1:
                raise ValueError(f"TimeseriesGenerator takes a {name} of at least 1, but got {number!r}.")
        last = len(data) - 1 if end_index is None else end_index
        if start_index < 0 or start_index + length > last or last >= len(data):
            raise ValueError(
                f"TimeseriesGenerator finds no window: start_index + length = {start_index + length} must be at most end_index = {last}, "
                f"which must be below the {len(data)} steps there are; start_index is {start_index}."
            )
        self.data = data
        self.targets = targets
        self.length = length
        self.sampling_rate = sampling_rate
        self.stride = stride
        self.start_index = start_index + length  # the first target
        self.end_index = last
        self.shuffle = shuffle
        self.reverse = reverse
        self.batch_size = batch_size

    def __len__(self) -> int:
        step = self.batch_size * self.stride
        return (self.end_index - self.start_index + step) // step

    def __getitem__(self, index: int) -> tuple[NDArray[Any], NDArray[Any]]:
        if not 0 <= index < len(self):
            raise IndexError(f"TimeseriesGenerator has the batches 0 to {len(self) - 1}, but was asked for {index}.")
        if self.shuffle:
            rows = np.random.randint(self.start_index, self.end_index + 1, size=self.batch_size)
        else:
            first = self.start_index + self.batch_size * self.stride * index
            rows = np.arange(first, min(first + self.batch_size * self.stride, self.end_index + 1), self.stride)
        windows = self._windows(rows)
        targets = self.targets[rows] if isinstance(self.targets, np.ndarray) else np.array([self.targets[row] for row in rows])
        return (windows[:, ::-1] if self.reverse else windows), targets

    def _windows(self, rows: NDArray[Any]) -> NDArray[Any]:
        if isinstance(self.data, np.ndarray):
            steps = np.arange(-self.length, 0, self.sampling_rate)
            return self.data[rows[:, None] + steps]  # (batch, steps, ...)
        return np.array([self.data[row - self.length : row : self.sampling_rate] for row in rows])

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, with `data` and `targets` as JSON text.

        Raises:
            TypeError: data or targets that JSON cannot hold.
        """
        return {
            "data": _as_json(self.data, "data"),
            "targets": _as_json(self.targets, "targets"),
            "length": self.length,
            "sampling_rate": self.sampling_rate,
            "stride": self.stride,
            # Keras writes the first target here, and so moves on by `length` at every round trip
            "start_index": self.start_index - self.length,
            "end_index": self.end_index,
            "shuffle": self.shuffle,
            "reverse": self.reverse,
            "batch_size": self.batch_size,
        }

    def to_json(self, **kwargs: Any) -> str:
        """The generator with its data as JSON text.

        Args:
            **kwargs: Passed on to `json.dumps`.
        """
        return json.dumps({"class_name": type(self).__name__, "config": self.get_config()}, **kwargs)


def _as_json(values: Any, name: str) -> str:
    try:
        return json.dumps(values.tolist() if hasattr(values, "tolist") else values)
    except TypeError as error:
        raise TypeError(f"TimeseriesGenerator cannot write {name} as JSON: {error}. Give it as an array or as nested lists of numbers.") from error


def timeseries_generator_from_json(json_string: str) -> TimeseriesGenerator:
    """The generator that `to_json` wrote; its data comes back as nested lists.

    Raises:
        ValueError: a text of another form.

    Source: Keras-Preprocessing 1.1.2 `timeseries_generator_from_json`.
    """
    full = json.loads(json_string)
    if not isinstance(full, dict) or not isinstance(full.get("config"), dict):
        raise ValueError("timeseries_generator_from_json needs the text of TimeseriesGenerator.to_json(): an object with 'config'.")
    config = dict(full["config"])
    for name in ("data", "targets"):
        config[name] = json.loads(config[name])
    return TimeseriesGenerator(**config)
