"""The optimizer: a small record until it is bound to parameters, then a full torch.optim.Optimizer."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, TypeVar, cast

import torch
from torch import Tensor
from torch.optim import optimizer as torch_optimizer
from typing_extensions import Self

from torchkeras import config as settings
from torchkeras.generations import BY_GENERATION, choose, keras_version
from torchkeras.optimizers.border import Border
from torchkeras.optimizers.buckets import Bucket
from torchkeras.optimizers.clipping import Clipping
from torchkeras.optimizers.hyper import Counter, Hyper, single
from torchkeras.optimizers.schedules import LearningRateSchedule
from torchkeras.optimizers.schedules import deserialize as deserialize_schedule
from torchkeras.optimizers.schedules import serialize as serialize_schedule
from torchkeras.registry import nearest

Init = TypeVar("Init", bound=Callable[..., None])
COMMON = ("lr", "decay", "clipnorm", "clipvalue", "global_clipnorm")  # keywords that every optimizer takes
MOST_BUCKET_SETS = 8  # sets of parameters with gradients that are remembered
PATTERN_HOOKS = ("_optimizer_step_pre_hooks", "_optimizer_step_post_hooks")


class NotBoundError(RuntimeError, AttributeError):
    """An optimizer was used as a torch optimizer before it had parameters."""


def keras_arguments(*keras2: str) -> Callable[[Init], Init]:
    """Decorator of `__init__`: both spellings of the rate, and the positional order of the chosen release.

    Args:
        *keras2: The positional order in Keras 1 and 2; the decorated signature has that of tf.keras.
    """

    def decorate(init: Init) -> Init:
        @functools.wraps(init)
        def wrapper(self: Any, *args: Any, **kwargs: Any) -> None:
            if args and keras_version() != "2.4.0":
                if len(args) > len(keras2):
                    raise TypeError(f"{type(self).__name__} takes at most {len(keras2)} positional arguments {keras2}, but got {len(args)}.")
                named = dict(zip(keras2, args, strict=False))
                twice = sorted(set(named) & set(kwargs))
                if twice:
                    raise TypeError(f"{type(self).__name__} got the arguments {twice} both by position and by name.")
                args, kwargs = (), {**named, **kwargs}
            if "lr" in kwargs:
                if args or "learning_rate" in kwargs:
                    raise TypeError(f"{type(self).__name__} got both lr and learning_rate; they are one argument: give one of them.")
                kwargs["learning_rate"] = kwargs.pop("lr")
            init(self, *args, **kwargs)

        return cast(Init, wrapper)

    return decorate


class Optimizer(torch.optim.Optimizer):
    """Base of the Keras optimizers.

    Constructed with hyper-parameters only; `bind(parameters)` makes it a `torch.optim.Optimizer` in full: `param_groups` hold the
    hyper-parameters under Keras' names (the rate under "lr"), `state` the moments, and `state_dict`, `lr_scheduler`, hooks, pickle and
    deepcopy work as on torch's own. The count of updates and every rate stay on the host, so a step never waits for the device.

    A subclass gives `slots`, `config_keys` and `update`.

    Args:
        name: Name in configs.
        learning_rate: Rate per update, or a `LearningRateSchedule`.
        hypers: The other hyper-parameters by name.
        **kwargs: `decay` (rate falls as 1 / (1 + decay * updates)), `clipnorm`, `clipvalue`, `global_clipnorm`: bounds at least 0.

    Raises:
        TypeError: an unknown keyword.
        ValueError: a negative bound or rate.

    Source: `keras.optimizers.Optimizer` (2.2.4), `OptimizerV2` (tf.keras 2.4.0).
    """

    slots: ClassVar[dict[str, str]] = {}  # Keras' name of a state -> its key in `state`
    config_keys: ClassVar[tuple[str, ...]] = ()  # of tf.keras, after name and learning_rate
    keras2_config_keys: ClassVar[tuple[str, ...]] = ()
    unrounded: ClassVar[frozenset[str]] = frozenset({"epsilon"})  # hyper-parameters that Keras does not keep as variables
    param_groups: list[dict[str, Any]]

    lr = Hyper("lr")
    learning_rate = Hyper("lr")
    decay = Hyper("decay")

    def __init__(self, name: str | None, learning_rate: Any, hypers: Mapping[str, Any], **kwargs: Any) -> None:
        self._generation = keras_version()
        self._rate_name: str = choose("optimizer.rate_name")
        self._name = name or type(self).__name__
        for key in kwargs:
            if key not in COMMON:
                taken = [*inspect.signature(type(self).__init__).parameters, *COMMON]
                raise TypeError(f"{type(self).__name__} got an unexpected keyword argument {key!r}. {nearest(key, taken)}")
        decay = _at_least_zero("decay", kwargs.get("decay", 0.0), self)
        self.clipping = Clipping(
            *(None if kwargs.get(key) is None else _at_least_zero(key, kwargs[key], self) for key in ("clipnorm", "clipvalue", "global_clipnorm")),
            norm_of_all=choose("optimizer.clipnorm") == "global",
        )
        self._schedule: LearningRateSchedule | None = None
        self.defaults: dict[str, Any] = {"lr": 0.0, "decay": decay, **hypers, "iterations": 0}
        self._bound = False
        self._border = Border()
        self._buckets: list[Bucket] | None = None
        self._idle: list[Tensor] = []
        self._known_sets: dict[tuple[int, ...], tuple[list[Bucket], list[Tensor]]] = {}
        self.write_hyper("lr", learning_rate)

    # ---- hyper-parameters

    def read_hyper(self, key: str) -> Any:
        """The value of a hyper-parameter, of the first param group once bound; the schedule where the rate follows one."""
        if key == "lr" and self._schedule is not None:
            return self._schedule
        return self.param_groups[0][key] if self._bound else self.defaults[key]

    def write_hyper(self, key: str, value: Any) -> None:
        """Set a hyper-parameter, in every param group once bound."""
        if key == "lr":
            self._schedule = value if isinstance(value, LearningRateSchedule) else None
            if self._schedule is not None:
                value = self._schedule(self.iterations)
            elif callable(value):
                value = value()
            value = _at_least_zero("learning_rate", value, self)
        elif isinstance(self.defaults[key], bool):
            value = bool(value)
        else:
            value = float(value)
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
        self.defaults["iterations"] = int(value)
        if self._bound:
            for group in self.param_groups:
                group["iterations"] = int(value)

    @property
    def clipnorm(self) -> float | None:
        """Bound on gradient norms: of all together (Keras 2.2.4) or of each (tf.keras)."""
        return self.clipping.clipnorm

    @clipnorm.setter
    def clipnorm(self, value: float | None) -> None:
        self.clipping.clipnorm = value

    @property
    def clipvalue(self) -> float | None:
        """Bound on the size of every gradient entry."""
        return self.clipping.clipvalue

    @clipvalue.setter
    def clipvalue(self, value: float | None) -> None:
        self.clipping.clipvalue = value

    @property
    def global_clipnorm(self) -> float | None:
        """Bound on the norm of all gradients together, in every release."""
        return self.clipping.global_clipnorm

    @global_clipnorm.setter
    def global_clipnorm(self, value: float | None) -> None:
        self.clipping.global_clipnorm = value

    # ---- binding

    @property
    def is_bound(self) -> bool:
        """Whether the optimizer has parameters."""
        return self._bound

    def bind(self, parameters: Iterable[Any]) -> Self:
        """Give the optimizer its parameters; from then on it is a full torch optimizer.

        Bound already, it takes parameters that it does not know yet as a new group, and keeps the state of those it knows.

        Args:
            parameters: Parameters, (name, parameter) pairs, param groups, or weights of a layer.

        Returns:
            The optimizer itself.

        Raises:
            ValueError: no parameters.
        """
        groups = self._border.adopt(parameters)
        if not self._bound:
            super().__init__(groups, self.defaults)
            self._bound = True
            return self
        known = {id(param) for group in self.param_groups for param in group["params"]}
        for group in groups:
            new = [item for item in group["params"] if id(item[1] if isinstance(item, tuple) else item) not in known]
            if new:
                self.add_param_group({**group, "params": new})
        return self

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a param group; it takes the present hyper-parameters and count of updates where it does not give its own."""
        param_group = dict(param_group)
        if "learning_rate" in param_group:
            param_group["lr"] = param_group.pop("learning_rate")
        if self._bound:
            for key, value in self.param_groups[0].items():
                if key in self.defaults:
                    param_group.setdefault(key, value)
        super().add_param_group(param_group)
        self._forget_buckets()

    def __getattr__(self, name: str) -> Any:
        if name in ("param_groups", "state"):
            raise NotBoundError(
                f"{type(self).__name__} has no {name} yet: it knows no parameters. Call optimizer.bind(model.parameters()), "
                "or give it to model.compile(...)."
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __repr__(self) -> str:
        if self._bound:
            return super().__repr__()
        shown = ", ".join(f"{key}={value!r}" for key, value in self.get_config().items() if key != "name")
        return f"{type(self).__name__}({shown})"

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key not in ("_buckets", "_idle", "_known_sets")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget_buckets()
        if self._bound:
            super().__setstate__({})
            self.defaults.pop("differentiable", None)

    # ---- the step

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make one update from the parameters' `.grad`; parameters without a gradient are left as they are.

        Args:
            closure: Computes the loss anew and returns it, as in torch.

        Returns:
            What the closure returned, or `None`.
        """
        if not self._bound:
            raise NotBoundError(f"{type(self).__name__}.step() needs parameters: call optimizer.bind(model.parameters()) first.")
        if (
            self._optimizer_step_pre_hooks
            or self._optimizer_step_post_hooks
            or torch_optimizer._global_optimizer_pre_hooks
            or torch_optimizer._global_optimizer_post_hooks
            or torch.autograd._profiler_enabled()
        ):
            return _observed_step(self, closure)
        return self._step(closure)

    step.hooked = True  # type: ignore[attr-defined]  # torch: do not wrap this method, it runs hooks and the profiler itself

    def _step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        recording = torch.is_grad_enabled()
        torch._C._set_grad_enabled(False)
        try:
            self._update_all()
        finally:
            torch._C._set_grad_enabled(recording)
        return loss

    def _update_all(self) -> None:
        gradients = self._gradients()
        buckets = cast(list[Bucket], self._buckets)
        if not buckets:
            return
        if self.clipping.active:
            gradients = self.clipping(gradients)
        groups = self.param_groups
        iteration: int = groups[0]["iterations"]
        if self._schedule is not None:
            rate = float(self._schedule(iteration))
            for group in groups:
                group["lr"] = rate
        for bucket, grads in zip(buckets, gradients, strict=True):
            if bucket.sparse:
                self.update_sparse(bucket, grads[0].coalesce(), iteration)
            else:
                self.update(bucket, grads, iteration)
        for group in groups:
            group["iterations"] = iteration + 1

    def _gradients(self) -> list[list[Tensor]]:
        """The gradients of each bucket; the buckets are gathered anew where the set of parameters with gradients has changed."""
        if self._buckets is not None and all(param.grad is None for param in self._idle):
            gradients = [bucket.gradients() for bucket in self._buckets]
            if None not in gradients:
                return cast(list[list[Tensor]], gradients)
        self._gather()
        return [cast(list[Tensor], bucket.gradients()) for bucket in cast(list[Bucket], self._buckets)]

    def _gather(self) -> None:
        """Sort the parameters that have gradients into buckets."""
        pattern = tuple(0 if param.grad is None else 2 if param.grad.is_sparse else 1 for group in self.param_groups for param in group["params"])
        found = self._known_sets.get(pattern)
        if found is None:
            if len(self._known_sets) >= MOST_BUCKET_SETS:
                self._known_sets.clear()
            found = self._known_sets[pattern] = self._sorted_into_buckets()
        self._buckets, self._idle = found

    def _sorted_into_buckets(self) -> tuple[list[Bucket], list[Tensor]]:
        buckets: list[Bucket] = []
        idle: list[Tensor] = []
        for group in self.param_groups:
            lists: dict[Any, list[Tensor]] = {}
            for param in group["params"]:
                if param.grad is None:
                    idle.append(param)
                else:
                    place = id(param) if param.grad.is_sparse else (param.device, param.dtype)
                    lists.setdefault(place, []).append(param)
            for params in lists.values():
                states = [self._state_of(param, group) for param in params]
                by_key = {key: [state[key] for state in states] for key in states[0]}
                buckets.append(Bucket(group, params, by_key, cast(Tensor, params[0].grad).is_sparse))
        return buckets, idle

    def _state_of(self, param: Tensor, group: Mapping[str, Any]) -> dict[str, Tensor]:
        state = self.state[param]
        for key in self.state_keys(group).values():
            if key not in state:
                state[key] = torch.full_like(param, self.first_value(key, group), memory_format=torch.preserve_format, requires_grad=False)
        return state

    def _forget_buckets(self) -> None:
        self._buckets, self._idle, self._known_sets = None, [], {}

    def rate(self, bucket: Bucket, iteration: int) -> float:
        """The rate of this update, after `decay`."""
        rate = bucket.number(bucket.group["lr"])
        decay = bucket.group["decay"]
        return rate / (1.0 + bucket.number(decay) * iteration) if decay else rate

    def state_keys(self, group: Mapping[str, Any]) -> dict[str, str]:
        """Keras' state names and their keys in `state`, as this group's hyper-parameters need them."""
        return self.slots

    def first_value(self, key: str, group: Mapping[str, Any]) -> float:
        """What a state starts with."""
        return 0.0

    def update(self, bucket: Bucket, grads: list[Tensor], iteration: int) -> None:
        """Update a bucket's parameters and states in place.

        Args:
            bucket: Parameters, states and hyper-parameters.
            grads: The clipped gradients, not to be changed.
            iteration: The number of updates made before this one.
        """
        raise NotImplementedError(f"{type(self).__name__} must define update(bucket, grads, iteration).")

    def update_sparse(self, bucket: Bucket, grad: Tensor, iteration: int) -> None:
        """The same for one parameter with a coalesced sparse gradient of rows; by default the dense rule."""
        self.update(bucket, [grad.to_dense()], iteration)

    def sparse_differs(self) -> bool:
        """Whether rows without a gradient fare differently under a sparse gradient than under a dense one with zeros."""
        return False

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients (`set_to_none`), or fill them with zeros."""
        if not set_to_none:
            super().zero_grad(set_to_none=False)
            return
        for group in self.param_groups:
            for param in group["params"]:
                param.grad = None

    # ---- configs

    def get_config(self) -> dict[str, Any]:
        """The hyper-parameters under the names that the release has."""
        keras2 = self._generation != "2.4.0"
        config: dict[str, Any] = {} if keras2 else {"name": self._name}
        for key in ("clipnorm", "clipvalue", "global_clipnorm"):
            if getattr(self.clipping, key) is not None:
                config[key] = getattr(self.clipping, key)
        rate = self.read_hyper("lr")
        config[self._rate_name] = serialize_schedule(rate) if isinstance(rate, LearningRateSchedule) else self._config_value("lr")
        for key in self.keras2_config_keys if keras2 else self.config_keys:
            config[key] = self._config_value(key)
        return config

    def _config_value(self, key: str) -> Any:
        value = self.read_hyper(key)
        if isinstance(value, bool) or key in self.unrounded or settings.floatx() == "float64":
            return value
        return single(value)

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Self:
        """An optimizer from `get_config()` of any release."""
        config = dict(config)
        if "lr" in config:
            config["learning_rate"] = config.pop("lr")
        if isinstance(config.get("learning_rate"), Mapping):
            config["learning_rate"] = deserialize_schedule(config["learning_rate"], custom_objects)
        return cls(**config)


_observed_step = torch.optim.Optimizer.profile_hook_step(Optimizer._step)


def resolve_epsilon(value: Any) -> float:
    """`epsilon` as the release reads it: its default, and `None` (in tf.keras also 0) as the global `epsilon()`."""
    if value is BY_GENERATION:
        value = choose("optimizer.epsilon")
    if value is None or (not value and keras_version() == "2.4.0"):
        return settings.epsilon()
    return float(value)


def _at_least_zero(name: str, value: Any, owner: Optimizer) -> float:
    value = float(value)
    if not value >= 0:
        raise ValueError(f"{type(owner).__name__} takes a {name} of at least 0, but got {value!r}.")
    return value
