"""What TensorFlow keeps in a session and a graph: here little, and most of it refused."""

from __future__ import annotations

import warnings
from typing import Any, NoReturn

from torchkeras import metrics
from torchkeras.backend.random import reset_streams
from torchkeras.backend.values import reset_averages
from torchkeras.layers import naming
from torchkeras.layers.phase import fix_phase

get_uid = naming.get_uid
reset_uids = naming.reset_uids


def clear_session() -> None:
    """Begin anew: automatic names of layers and metrics, the learning phase, streams of random numbers, moving averages.

    Models and tensors stay as they are: torch frees them as soon as nothing refers to them.
    """
    reset_uids()
    metrics.reset_uids()
    fix_phase(None)
    reset_streams()
    reset_averages()


def manual_variable_initialization(value: bool) -> None:
    """Say whether variables get their initial values by the user's hand. Here they have them from the start.

    Args:
        value: `True` gives a warning that there is nothing to do.
    """
    if value:
        warnings.warn("manual_variable_initialization(True) changes nothing: every variable has its value as soon as it is made.", stacklevel=2)


def get_session(*args: Any, **kwargs: Any) -> NoReturn:
    """Refused: torch has no sessions.

    Raises:
        RuntimeError: always; it says what to do instead.
    """
    raise RuntimeError(
        "get_session() has no meaning here: torch runs code as it comes, without sessions. Read values with K.get_value(x), run a part of a model "
        "with K.function(inputs, outputs), and leave out calls that initialize variables."
    )


def set_session(session: Any) -> None:
    """Take a session that holds TensorFlow's settings, and do nothing with it, with a warning that says what to use.

    Args:
        session: Whatever the program made.
    """
    warnings.warn(
        "set_session() changes nothing: torch runs code as it comes, without sessions. Memory on the GPU grows as needed by itself; "
        "choose devices with model.to(device) or CUDA_VISIBLE_DEVICES, and the number of threads with torch.set_num_threads(n).",
        stacklevel=2,
    )
