"""What Keras programs set in TensorFlow before they begin: devices, memory, sessions. torch needs none of it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

import torch


class PhysicalDevice(NamedTuple):
    """A device, as TensorFlow lists it."""

    name: str
    device_type: str


class Settings:
    """A bag of settings that nothing reads: any attribute can be set, and read as another bag.

    Args:
        **settings: Whatever the program sets.
    """

    def __init__(self, **settings: Any) -> None:
        self.__dict__.update(settings)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        made = self.__dict__[name] = Settings()
        return made


class Session:
    """TensorFlow 1's session, as far as it only holds settings.

    Args:
        target, graph: Not used.
        config: Settings.
    """

    def __init__(self, target: str = "", graph: Any = None, config: Any = None) -> None:
        self.config = config

    def run(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refused: torch runs code as it comes.

        Raises:
            RuntimeError: always; it says what to do instead.
        """
        raise RuntimeError(
            "Session.run() has no meaning here: torch runs code as it comes. Read values by K.get_value(x) or K.function(inputs, outputs), "
            "and leave out calls that initialize variables."
        )

    def as_default(self) -> Session:
        """Itself, for a `with` block."""
        return self

    def close(self) -> None:
        """Nothing to do."""

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *error: Any) -> None:
        return None


def list_physical_devices(device_type: str | None = None) -> list[PhysicalDevice]:
    """The CPU and the GPUs that torch sees.

    Args:
        device_type: "CPU", "GPU", or `None` for both.
    """
    found = [PhysicalDevice("/physical_device:CPU:0", "CPU")]
    found += [PhysicalDevice(f"/physical_device:GPU:{number}", "GPU") for number in range(torch.cuda.device_count())]
    return [one for one in found if device_type in (None, one.device_type)]


def set_memory_growth(device: Any, enable: bool) -> None:
    """Nothing to do: torch takes memory of a GPU as it needs it."""


def is_gpu_available(cuda_only: bool = False, min_cuda_compute_capability: Any = None) -> bool:
    """Whether torch sees a GPU."""
    return torch.cuda.is_available()


def enable_eager_execution(config: Any = None, device_policy: Any = None, execution_mode: Any = None) -> None:
    """Nothing to do: torch runs code as it comes."""


def executing_eagerly() -> bool:
    """True: torch runs code as it comes."""
    return True


def function(func: Callable[..., Any] | None = None, **options: Any) -> Any:
    """The function as it is, also as a decorator with arguments: `torch.compile` is the way to compile one.

    Args:
        func: The function.
        **options: Of TensorFlow's compiler; nothing reads them.
    """
    if func is None:
        return functools.partial(function, **options)
    return func
