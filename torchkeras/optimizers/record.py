"""What an optimizer is before it has parameters: hyper-parameters, and their configs."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar, cast

from typing_extensions import Self

from torchkeras import config as settings
from torchkeras.generations import BY_GENERATION, choose, keras_version
from torchkeras.optimizers.clipping import Clipping
from torchkeras.optimizers.hyper import Bound, Counter, Hyper, single
from torchkeras.optimizers.rates import CalledRate, LearningRateSchedule
from torchkeras.optimizers.schedules import deserialize as deserialize_schedule
from torchkeras.optimizers.schedules import serialize as serialize_schedule
from torchkeras.registry import nearest

Init = TypeVar("Init", bound=Callable[..., None])
COMMON = ("lr", "decay", "clipnorm", "clipvalue", "global_clipnorm")  # keywords that every optimizer takes


def keras_arguments(*keras2: str) -> Callable[[Init], Init]:
    """Decorator of `__init__`: both spellings of the rate, and the positional order of the chosen release.

    Args:
        *keras2: The positional order in Keras 1 and 2; the decorated signature has that of tf.keras.
    """

    def decorate(init: Init) -> Init:
        @functools.wraps(init)
        def wrapper(self: Any, *args: Any, **kwargs: Any) -> None:
            who = type(self).__name__
            if args and keras2 and keras_version() != "2.4.0":
                if len(args) > len(keras2):
                    raise TypeError(f"{who} takes at most {len(keras2)} positional arguments {keras2}, but got {len(args)}.")
                named = dict(zip(keras2, args, strict=False))
                twice = sorted(set(named) & set(kwargs))
                if twice:
                    raise TypeError(f"{who} got the arguments {twice} both by position and by name.")
                args, kwargs = (), {**named, **kwargs}
            if "lr" in kwargs:
                if args or "learning_rate" in kwargs:
                    raise TypeError(f"{who} got both lr and learning_rate, which are one argument: give one of them.")
                kwargs["learning_rate"] = kwargs.pop("lr")
            init(self, *args, **kwargs)

        return cast(Init, wrapper)

    return decorate


class Record:
    """Hyper-parameters of an optimizer; `Optimizer` has the arguments.

    They stand in `defaults` until there are param groups, then in these.
    """

    config_keys: ClassVar[tuple[str, ...]] = ()  # hyper-parameters in configs of tf.keras, besides the rate
    keras2_config_keys: ClassVar[tuple[str, ...]] = ()  # and in those of Keras 1 and 2
    keras2_extras: ClassVar[dict[str, Any]] = {}  # those that Keras 1 and 2 lack: added to configs where they have another value
    config_names: ClassVar[dict[str, str]] = {}  # hyper-parameters with another name in configs of tf.keras
    unrounded: frozenset[str] = frozenset({"epsilon"})  # hyper-parameters that Keras does not keep in float32

    lr = Hyper("lr")
    learning_rate = Hyper("lr")
    decay = Hyper("decay")
    clipnorm = Bound("clipnorm")
    clipvalue = Bound("clipvalue")
    global_clipnorm = Bound("global_clipnorm")

    param_groups: list[dict[str, Any]]

    def __init__(self, name: str | None, learning_rate: Any, hypers: Mapping[str, Any], **kwargs: Any) -> None:
        for key in kwargs:
            if key not in COMMON:
                known = {*inspect.signature(type(self).__init__).parameters, *COMMON} - {"self", "kwargs"}
                raise TypeError(f"{type(self).__name__} got an unexpected keyword argument {key!r}. {nearest(key, known)}")
        self.generation = keras_version()
        self.name = name or type(self).__name__
        self.has_places: bool = choose("optimizer.adam_always_vhat")
        self.clipping = Clipping(norm_of_all=choose("optimizer.clipnorm") == "global")
        for bound in ("clipnorm", "clipvalue", "global_clipnorm"):
            setattr(self, bound, kwargs.get(bound))
        self._rate_name: str = choose("optimizer.rate_name")
        self._schedule: LearningRateSchedule | None = None
        self._bound = False
        decay = at_least_zero(self, "decay", kwargs.get("decay", 0.0))
        self.defaults: dict[str, Any] = {"lr": 0.0, "decay": decay, **hypers, "iterations": 0}
        self.write_hyper("lr", learning_rate)

    def read_hyper(self, key: str) -> Any:
        """The value of a hyper-parameter, of the first param group once bound; the schedule where the rate follows one."""
        if key == "lr" and self._schedule is not None:
            return self._schedule
        return self.param_groups[0][key] if self._bound else self.defaults[key]

    def write_hyper(self, key: str, value: Any) -> None:
        """Set a hyper-parameter, in every param group once bound."""
        if key == "lr":
            schedule = value if isinstance(value, LearningRateSchedule) else CalledRate(value) if callable(value) else None
            value = at_least_zero(self, "learning_rate", value if schedule is None else schedule(int(self.iterations)))
            self._schedule = schedule
        else:
            value = type(self.defaults[key])(value)
        self._write(key, value)

    def _write(self, key: str, value: Any) -> None:
        self.defaults[key] = value
        if self._bound:
            for group in self.param_groups:
                group[key] = value

    @property
    def iterations(self) -> Counter:
        """The number of updates made so far; can be set."""
        return Counter(self.param_groups[0]["iterations"] if self._bound else self.defaults["iterations"], self)

    @iterations.setter
    def iterations(self, value: Any) -> None:
        self._write("iterations", int(value))

    def get_config(self) -> dict[str, Any]:
        """The hyper-parameters under the names that the release has."""
        tf_keras = self.generation == "2.4.0"
        config: dict[str, Any] = {"name": self.name} if tf_keras else {}
        config.update({key: getattr(self, key) for key in ("clipnorm", "clipvalue", "global_clipnorm") if getattr(self, key) is not None})
        extras = [key for key, absent in self.keras2_extras.items() if self.read_hyper(key) != absent]
        for key in ("lr", *(self.config_keys if tf_keras else (*self.keras2_config_keys, *extras))):
            value = self.read_hyper(key)
            if isinstance(value, CalledRate):
                value = float(value(0))
            if isinstance(value, LearningRateSchedule):
                value = serialize_schedule(value)
            elif isinstance(value, float) and key not in self.unrounded and settings.floatx() != "float64":
                value = single(value)
            config[self._rate_name if key == "lr" else self.config_names.get(key, key) if tf_keras else key] = value
        return config

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Self:
        """An optimizer from `get_config()` of any release.

        Args:
            config: The hyper-parameters.
            custom_objects: The caller's own schedules by name.
        """
        config = dict(config)
        if "lr" in config:
            config["learning_rate"] = config.pop("lr")
        if isinstance(config.get("learning_rate"), Mapping):
            config["learning_rate"] = deserialize_schedule(config["learning_rate"], custom_objects)
        return cls(**config)


def resolve_epsilon(value: Any) -> float:
    """`epsilon` as the release reads it: its default, and `None` (in tf.keras also 0) as the global `epsilon()`."""
    if value is BY_GENERATION:
        value = choose("optimizer.epsilon")
    if value is None or (not value and keras_version() == "2.4.0"):
        return settings.epsilon()
    return float(value)


def at_least_zero(owner: Record, name: str, value: Any) -> float:
    """`value` as a float.

    Raises:
        ValueError: it is negative or not a number.
    """
    value = float(value)
    if not value >= 0:
        raise ValueError(f"{type(owner).__name__} takes a {name} of at least 0, but got {value!r}.")
    return value
