"""A profile of some batches: a trace file beside the logs, and the table of the heaviest operators as text."""

from __future__ import annotations

import os
from typing import Any

import torch

_ROWS = 25


def batch_range(profile_batch: Any) -> tuple[int, int]:
    """First and last batch to profile, counted from 1 over all epochs; (0, 0) for none.

    Args:
        profile_batch: A number, a pair, or either as text ("5", "5,10").

    Raises:
        ValueError: nothing of these.
    """
    given = profile_batch
    try:
        if isinstance(given, str):
            given = [int(part) for part in given.split(",")]
            given = given[0] if len(given) == 1 else given
        first, last = (given, given) if isinstance(given, int) else given
        fine = isinstance(first, int) and isinstance(last, int) and 0 <= first <= last and (first > 0 or last == 0)
    except (TypeError, ValueError):
        fine = False
    if not fine:
        raise ValueError(
            "profile_batch must be a non-negative integer or a pair of positive integers, the first and the last batch to profile, "
            f"but got {profile_batch!r}."
        )
    return first, last


class Profile:
    """A running profile of torch.

    Args:
        first: Number of the first batch.
    """

    def __init__(self, first: int) -> None:
        from torch.profiler import ProfilerActivity, profile

        self.first = first
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if torch.cuda.is_available() else [])]
        self._profiler = profile(activities=activities, record_shapes=True)
        self._profiler.start()

    def stop(self, last: int, folder: str) -> tuple[str, str, str]:
        """End it; the tag, the table as Markdown, and the path of the trace.

        Args:
            last: Number of the last batch.
            folder: Where the trace goes, for chrome://tracing or ui.perfetto.dev.
        """
        self._profiler.stop()
        name = f"batch_{self.first}" if last == self.first else f"batches_{self.first}_to_{last}"
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, f"{name}.pt.trace.json")
        self._profiler.export_chrome_trace(path)
        return f"profile/{name}", _table(self._profiler.key_averages(), path), path

    def drop(self) -> None:
        """End it without a result."""
        self._profiler.stop()


def _table(averages: Any, path: str) -> str:
    """The operators with the most time of their own, as a table of Markdown."""
    on_device = torch.cuda.is_available()
    key = "self_device_time_total" if on_device else "self_cpu_time_total"
    rows = sorted(averages, key=lambda row: getattr(row, key), reverse=True)[:_ROWS]
    lines = [
        f"Trace: `{path}` (open it in ui.perfetto.dev or chrome://tracing)",
        "",
        "| operator | calls | own CPU time, us | CPU time, us |" + (" own CUDA time, us |" if on_device else ""),
        "| --- | ---: | ---: | ---: |" + (" ---: |" if on_device else ""),
    ]
    for row in rows:
        cells = [f"`{row.key}`".replace("|", "/"), str(row.count), f"{row.self_cpu_time_total:.0f}", f"{row.cpu_time_total:.0f}"]
        lines.append("| " + " | ".join(cells + ([f"{row.self_device_time_total:.0f}"] if on_device else [])) + " |")
    return "\n".join(lines)
