"""Starting programs under torchrun, away from whatever started the tests."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
_OF_A_RUN: Final = {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "LOCAL_RANK"}


def environment(**more: str) -> dict[str, str]:
    """The variables for a program that is to start by itself, with one thread."""
    return {name: value for name, value in os.environ.items() if name not in _OF_A_RUN} | {"OMP_NUM_THREADS": "1"} | more


def command(processes: int, module: str, *arguments: str, options: tuple[str, ...] = ()) -> list[str]:
    """What runs a module in so many processes of this machine; in one: without torchrun."""
    starter = [] if processes == 1 else ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}", *options]
    return [sys.executable, *starter, "-m", module, *arguments]
