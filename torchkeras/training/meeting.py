"""Where the processes of one run find each other: a part of torchrun's store that no earlier life of the run has written to.

torchrun keeps one store over its restarts, and torch (2.13) uses the same keys in it each time: a restarted process could read the address
of one that was killed, call it in vain, or wait for it for ever.
"""

from __future__ import annotations

import time
import uuid
from typing import Any, Final

import torch

PAUSE: Final = 0.005  # seconds between two looks at the store


def meet(store: Any, rank: int, world_size: int) -> Any:
    """The store for the process group of this life, the same in all its processes.

    The first process names the life; each of the others asks for that name under a word of its own, which nobody has written to before, and
    says that it has come. What a dead process has asked is answered too, and waited for by nobody.

    Args:
        store: What all processes share, with what earlier lives left in it.
        rank: Number of this process, from 0.
        world_size: How many there are.

    Raises:
        torch.distributed.DistStoreError: the others did not come within the store's timeout.
    """
    within: Any = torch.distributed.PrefixStore  # type: ignore[attr-defined]  # torch's stubs forget it
    store = within("torchkeras", store)
    own = uuid.uuid4().hex
    if rank:
        store.set(f"ask/{rank}", own)
        life = store.get(f"life/{own}").decode()
        store.set(f"come/{life}/{rank}", "")
    else:
        life = own
        for other in range(1, world_size):
            _answer(store, other, life)
    return within(life, store)


def _answer(store: Any, other: int, life: str) -> None:
    """Tell another process the name of the life, until it says that it has come."""
    deadline = time.monotonic() + store.timeout.total_seconds()
    answered = None
    while not store.check([f"come/{life}/{other}"]):
        asked = store.get(f"ask/{other}").decode()
        if asked != answered:
            store.set(f"life/{asked}", life)
            answered = asked
        if time.monotonic() > deadline:
            raise torch.distributed.DistStoreError(f"Process {other} did not come within {store.timeout.total_seconds():g} s.")
        time.sleep(PAUSE)
