"""Which threads live at the very end of a process: gloo's must not, since the interpreter's end may trip over them."""

from __future__ import annotations

import atexit
from pathlib import Path


def tell_at_exit(path: Path) -> None:
    """Write the names of the threads to a file, after all that is registered later has run."""
    atexit.register(lambda: path.write_text("\n".join((task / "comm").read_text().strip() for task in Path("/proc/self/task").glob("*"))))


def check_ended(folder: Path, processes: int) -> None:
    """Whether none of gloo's was left in any process, each of which wrote `threads-NUMBER`."""
    for rank in range(processes):
        names = (folder / f"threads-{rank}").read_text()
        assert "gloo" not in names, names
