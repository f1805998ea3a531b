"""What training uses: memory, the GPU's load and temperature, and where the time of a step goes."""

from __future__ import annotations

import os
import time
from typing import Any

import torch

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

SAMPLED = 20  # steps of an epoch that are timed
_SKIPPED = 1  # the first step warms up


def memory_values(device: torch.device) -> dict[str, float]:
    """Memory in MiB, and of a GPU its load (percent) and temperature (degrees Celsius) where the driver answers."""
    found = {"process_memory_MiB": resident_mib()}
    if device.type == "cuda":
        mib = 1 << 20
        found["gpu_allocated_MiB"] = torch.cuda.memory_allocated(device) / mib
        found["gpu_reserved_MiB"] = torch.cuda.memory_reserved(device) / mib
        found["gpu_peak_allocated_MiB"] = torch.cuda.max_memory_allocated(device) / mib
        for name, ask in (("gpu_utilisation_percent", torch.cuda.utilization), ("gpu_temperature_C", torch.cuda.temperature)):
            try:
                found[name] = float(ask(device))
            except Exception:  # no nvidia-ml-py, or a driver that does not tell: each kind has its own error
                continue
    return found


def resident_mib() -> float:
    """Memory of this process, MiB; where the system does not tell the present one, its peak."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)
    except (OSError, ValueError, AttributeError):
        pass
    if resource is None:
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20) if os.uname().sysname == "Darwin" else peak / 1024


class StepTimes:
    """Times of some steps at the beginning of each epoch: waiting for data, forward and backward, optimizer.

    On CUDA the times are of the device, by events that are read at the end of the epoch, so that no step waits.

    Args:
        engine: The Ignite engine that trains.
        optimizer: The bound optimizer.
        device: Where training runs.
    """

    def __init__(self, engine: Any, optimizer: Any, device: torch.device) -> None:
        self._engine, self._optimizer = engine, optimizer
        self._cuda = device.type == "cuda"
        self._left = 0
        self._marks: list[tuple[str, Any]] = []
        self._step_hook: Any = None

    def start_epoch(self) -> None:
        """Time the coming steps."""
        from ignite.engine import Events

        self.remove()
        self._left = SAMPLED + _SKIPPED
        self._marks = []
        self._engine.add_event_handler(Events.GET_BATCH_STARTED, self._mark, "data")
        self._engine.add_event_handler(Events.ITERATION_STARTED, self._mark, "forward")
        self._engine.add_event_handler(Events.ITERATION_COMPLETED, self._step_done)
        if hasattr(self._optimizer, "register_step_pre_hook"):
            self._step_hook = self._optimizer.register_step_pre_hook(lambda *unused: self._mark("optimizer"))

    def _mark(self, what: str) -> None:
        if self._left:
            if self._cuda:
                event = torch.cuda.Event(enable_timing=True)
                event.record()
                self._marks.append((what, event))
            else:
                self._marks.append((what, time.perf_counter()))

    def _step_done(self) -> None:
        if self._left:
            self._mark("done")
            self._left -= 1
            if not self._left:
                self.remove()

    def values(self) -> dict[str, float]:
        """Mean milliseconds of a step, and of its parts."""
        if self._cuda and self._marks:
            self._marks[-1][1].synchronize()
        sums: dict[str, float] = {}
        steps = sum(what == "done" for what, _ in self._marks) - _SKIPPED
        skipped = 0
        for (what, begin), (_, end) in zip(self._marks, self._marks[1:], strict=False):
            if what == "done":
                skipped += 1
            elif skipped >= _SKIPPED:
                sums[what] = sums.get(what, 0.0) + (begin.elapsed_time(end) if self._cuda else (end - begin) * 1e3)
        if steps < 1:
            return {}
        names = {"data": "step_data_ms", "forward": "step_forward_backward_ms", "optimizer": "step_optimizer_ms"}
        found = {names[what]: total / steps for what, total in sums.items()}
        return {"step_ms": sum(found.values()), **found}

    def remove(self) -> None:
        """Time no more: the other steps of the epoch cost nothing."""
        self._left = 0
        if self._step_hook is not None:
            self._step_hook.remove()
            self._step_hook = None
        mine = (self._mark, self._step_done)
        for event, found in list(self._engine._event_handlers.items()):
            if any(entry[0] in mine for entry in found):  # in a new list, since the engine may be going through the old one
                self._engine._event_handlers[event] = [entry for entry in found if entry[0] not in mine]
