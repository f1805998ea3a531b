"""The states of random generators: Python's, NumPy's, torch's on each device, and those that objects have for themselves."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from torchkeras.backend import random as streams

KINDS = (random.Random, np.random.RandomState, np.random.Generator, torch.Generator)


def get_state(generator: Any) -> Any:
    """The state of a generator of any kind."""
    if isinstance(generator, random.Random):
        return generator.getstate()
    if isinstance(generator, np.random.RandomState):
        return generator.get_state(legacy=False)
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    return generator.get_state()


def set_state(generator: Any, state: Any) -> None:
    """Put a generator into a state."""
    if isinstance(generator, random.Random):
        generator.setstate(state)
    elif isinstance(generator, np.random.RandomState):
        generator.set_state(state)
    elif isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state
    else:
        generator.set_state(state)


def global_states() -> dict[str, Any]:
    """The states of the generators that everything shares."""
    found = {"python": random.getstate(), "numpy": np.random.get_state(legacy=False), "torch": torch.get_rng_state()}
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        found.update({f"cuda:{number}": state for number, state in enumerate(torch.cuda.get_rng_state_all())})
    return found


def set_global_states(states: Mapping[str, Any]) -> None:
    """Put them back; a device that is not there any more is passed over."""
    for name, state in states.items():
        if name == "python":
            random.setstate(state)
        elif name == "numpy":
            np.random.set_state(state)
        elif name == "torch":
            torch.set_rng_state(state)
        elif name.startswith("cuda:") and torch.cuda.is_available() and int(name[5:]) < torch.cuda.device_count():
            torch.cuda.set_rng_state(state, int(name[5:]))


def own_generators(owner: Any) -> dict[str, Any]:
    """The generators that an object has as attributes, or in dicts and lists that are attributes, by name."""
    found: dict[str, Any] = {}
    for name, value in getattr(owner, "__dict__", {}).items():
        if isinstance(value, KINDS):
            found[name] = value
        elif isinstance(value, dict):
            found.update({f"{name}/{key}": part for key, part in value.items() if isinstance(part, KINDS)})
        elif type(value) in (list, tuple) and value and isinstance(value[0], KINDS):
            found.update({f"{name}/{number}": part for number, part in enumerate(value) if isinstance(part, KINDS)})
    return found


def own_states(owner: Any) -> dict[str, Any]:
    """The states of an object's own generators."""
    return {name: get_state(generator) for name, generator in own_generators(owner).items()}


def set_own_states(owner: Any, states: Mapping[str, Any]) -> None:
    """Put an object's own generators back; one of a layer that has not drawn yet is made."""
    known = own_generators(owner)
    for name, state in states.items():
        place, _, key = name.partition("/")
        if name not in known and place == "_generators" and isinstance(getattr(owner, place, None), dict):
            known[name] = owner._generators[key] = torch.Generator(torch.device(key))
        if name in known:
            set_state(known[name], state)


@contextmanager
def kept(*owners: Any) -> Iterator[None]:
    """Inside, random numbers may be drawn at will: afterwards the shared generators, and those of the owners, are as before."""
    before, own = global_states(), [(owner, own_states(owner)) for owner in owners]
    try:
        yield
    finally:
        set_global_states(before)
        for owner, states in own:
            set_own_states(owner, states)


def stream_states() -> list[Any]:
    """The states of the streams that seeds of the backend's functions have."""
    return [(seed, str(device), generator.get_state()) for (seed, device), generator in streams._streams.items()]


def set_stream_states(states: list[Any]) -> None:
    """Put the backend's streams back."""
    streams.reset_streams()
    for seed, device, state in states:
        place = torch.device(device)
        streams._streams[seed, place] = torch.Generator(place)
        streams._streams[seed, place].set_state(state)
