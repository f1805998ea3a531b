"""Read event files back with tensorboard's own reader."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def events(folder: Path | str) -> Any:
    """The events of one run, all of them."""
    found = EventAccumulator(os.fspath(folder), size_guidance={"scalars": 0, "tensors": 0, "histograms": 0, "images": 0})
    found.Reload()
    return found


def scalars(folder: Path | str) -> dict[str, list[list[float]]]:
    """tag -> [[step, value], ...] of one run."""
    found = events(folder)
    return {tag: [[event.step, event.value] for event in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def text(folder: Path | str, tag: str) -> str:
    """The last text of a tag."""
    return events(folder).Tensors(f"{tag}/text_summary")[-1].tensor_proto.string_val[0].decode()
