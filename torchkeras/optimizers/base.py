"""The optimizer: a small record until it is bound to parameters, then a full torch.optim.Optimizer."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, TypeVar, cast

import numpy as np
import torch
from torch import Tensor
from torch.optim import optimizer as torch_optimizer
from typing_extensions import Self

from torchkeras import config as settings
from torchkeras.generations import BY_GENERATION, choose, keras_version
from torchkeras.optimizers import state_list
from torchkeras.optimizers.applying import GradientCalls
from torchkeras.optimizers.border import Border
from torchkeras.optimizers.buckets import Bucket, Buckets
from torchkeras.optimizers.clipping import Clipping
from torchkeras.optimizers.hyper import Bound, Counter, Hyper, single
from torchkeras.optimizers.rates import CalledRate, LearningRateSchedule
from torchkeras.optimizers.schedules import deserialize as deserialize_schedule
from torchkeras.optimizers.schedules import serialize as serialize_schedule
from torchkeras.registry import nearest

Init = TypeVar("Init", bound=Callable[..., None])
COMMON = ("lr", "decay", "clipnorm", "clipvalue", "global_clipnorm")  # keywords that every optimizer takes
NOT_PICKLED = ("_buckets", "_opt_called", "step", "zero_grad")  # the last three are put on the object by torch's schedulers


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


class Optimizer(GradientCalls, torch.optim.Optimizer):
    """Base of the Keras optimizers.

    Constructed with hyper-parameters only; `bind(parameters)` makes it a `torch.optim.Optimizer` in full: `param_groups` hold the
    hyper-parameters under Keras' names (the rate under "lr"), `state` the moments, and `state_dict`, `lr_scheduler`, hooks, pickle and
    deepcopy work as on torch's own. The count of updates and every rate stay on the host, so a step never waits for the device.

    A subclass gives `slots`, `config_keys` and `update(bucket, grads, iteration)`.

    Args:
        name: Name in configs.
        learning_rate: Rate per update, a `LearningRateSchedule`, or a function without arguments that gives the rate.
        hypers: The other hyper-parameters by name.
        **kwargs: `decay` (the rate falls as 1 / (1 + decay * updates)), `clipnorm`, `clipvalue`, `global_clipnorm`: each at least 0.

    Raises:
        TypeError: an unknown keyword.
        ValueError: a negative bound or rate.

    Source: `keras.optimizers.Optimizer` (2.2.4), `OptimizerV2` (tf.keras 2.4.0).
    """

    slots: ClassVar[dict[str, str]] = {}  # Keras' name of a state -> its key in `state`, in the order of Keras' lists
    placed: ClassVar[frozenset[str]] = frozenset()  # slots that have a place in lists even where they are not needed
    listed_by_parameter: ClassVar[bool] = False  # lists go parameter by parameter rather than slot by slot
    numbers: ClassVar[tuple[str, ...]] = ("iterations",)  # entries of the param groups at the head of lists in tf.keras
    keras2_numbers: ClassVar[tuple[str, ...]] = ("iterations",)  # and in Keras 1 and 2
    config_keys: ClassVar[tuple[str, ...]] = ()  # hyper-parameters in configs of tf.keras, besides the rate
    keras2_config_keys: ClassVar[tuple[str, ...]] = ()  # and in those of Keras 1 and 2
    keras2_extras: ClassVar[dict[str, Any]] = {}  # those that Keras 1 and 2 lack: added to configs where they have another value
    config_names: ClassVar[dict[str, str]] = {}  # hyper-parameters with another name in configs of tf.keras
    unrounded: frozenset[str] = frozenset({"epsilon"})  # hyper-parameters that Keras does not keep in float32
    param_groups: list[dict[str, Any]]

    lr = Hyper("lr")
    learning_rate = Hyper("lr")
    decay = Hyper("decay")
    clipnorm = Bound("clipnorm")
    clipvalue = Bound("clipvalue")
    global_clipnorm = Bound("global_clipnorm")

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
        self.border = Border()
        self._rate_name: str = choose("optimizer.rate_name")
        self._schedule: LearningRateSchedule | None = None
        self._bound = False
        self._buckets: Buckets | None = None
        self.defaults: dict[str, Any] = {"lr": 0.0, "decay": 0.0, **hypers, "iterations": 0}
        self.write_hyper("decay", at_least_zero(self, "decay", kwargs.get("decay", 0.0)))
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

    # ---- binding

    @property
    def is_bound(self) -> bool:
        """Whether the optimizer has parameters."""
        return self._bound

    def bind(self, parameters: Iterable[Any]) -> Self:
        """Give the optimizer its parameters; from then on it is a full torch optimizer.

        Bound already, it takes parameters that it does not know yet as a new group, and keeps the state of those it knows: so one
        optimizer can serve two models, with one count of updates, as in Keras.

        Args:
            parameters: Parameters, (name, parameter) pairs, param groups, or weights of layers.

        Returns:
            The optimizer itself.

        Raises:
            TypeError: a single tensor.
            ValueError: no parameters.
        """
        groups = self.border.adopt(parameters)
        if not self._bound:
            torch.optim.Optimizer.__init__(self, groups, self.defaults)
            self._bound = True
            return self
        known = {id(param) for group in self.param_groups for param in group["params"]}
        for group in groups:
            new = [item for item in group["params"] if id(item[1] if isinstance(item, tuple) else item) not in known]
            if new:
                self.add_param_group({**group, "params": new})
        return self

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a param group; where it does not give its own, it takes the present hyper-parameters and count of updates."""
        param_group = dict(param_group)
        if "learning_rate" in param_group:
            param_group["lr"] = param_group.pop("learning_rate")
        if self._bound:
            for key in self.defaults:
                param_group.setdefault(key, self.param_groups[0][key])
        super().add_param_group(param_group)
        self._buckets = None

    def __getattr__(self, name: str) -> Any:
        if name in ("param_groups", "state") or name.startswith("_optimizer_"):
            raise NotBoundError(
                f"{type(self).__name__} has no {name} yet, since it has no parameters. Call optimizer.bind(model.parameters()), "
                "or give it to model.compile(...)."
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __repr__(self) -> str:
        if self._bound:
            return super().__repr__()
        shown = ", ".join(f"{key}={value!r}" for key, value in self.get_config().items() if key != "name")
        return f"{type(self).__name__}({shown})"

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key not in NOT_PICKLED and not key.startswith("_optimizer_")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._buckets = None
        if self._bound:
            super().__setstate__({})
            self.defaults.pop("differentiable", None)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load what `state_dict()` gave.

        Raises:
            ValueError: it comes from another kind of optimizer.
        """
        for group in state_dict["param_groups"]:
            missing = sorted(set(self.defaults) - set(group))
            if missing:
                raise ValueError(
                    f"{type(self).__name__}.load_state_dict got a param group without {missing}: it was saved from another kind of optimizer."
                )
        super().load_state_dict(state_dict)

    # ---- the step

    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """Make one update from the parameters' `.grad`; parameters without a gradient are left as they are.

        Args:
            closure: Computes the loss anew and returns it, as in torch.

        Returns:
            What the closure returned, or `None`.

        Raises:
            RuntimeError: the optimizer has no parameters.
        """
        if (
            self._optimizer_step_pre_hooks
            or self._optimizer_step_post_hooks
            or torch_optimizer._global_optimizer_pre_hooks
            or torch_optimizer._global_optimizer_post_hooks
            or torch._C._autograd._profiler_enabled()
        ):
            return _observed_step(self, closure)
        return self._step(closure)

    step.hooked = True  # type: ignore[attr-defined]  # tells torch not to wrap it: it looks after hooks and the profiler itself

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
        buckets = self._buckets
        if buckets is None:
            buckets = self._buckets = Buckets(self.param_groups, self._state_of)
        gradients = buckets.gradients()
        if not gradients:
            return
        if self.clipping.active:
            gradients = self.clipping(gradients)
        groups = self.param_groups
        iteration = groups[0]["iterations"]
        if self._schedule is not None:
            rate = float(self._schedule(iteration))
            for group in groups:
                group["lr"] = rate
        for bucket, grads in zip(buckets.now, gradients, strict=True):
            if not bucket.sparse:
                self.update(bucket, grads, iteration)
            elif grads[0].sparse_dim() == 1:
                self.update_rows(bucket, grads[0]._indices()[0], grads[0]._values(), iteration)
            else:
                self.update(bucket, [grads[0].to_dense()], iteration)
        for group in groups:
            self.end_step(group, iteration)

    def rate(self, bucket: Bucket, iteration: int) -> float:
        """The rate of this update, after `decay`."""
        rate = bucket.number(bucket.group["lr"])
        decay = bucket.group["decay"]
        return rate / (1.0 + bucket.number(decay) * iteration) if decay else rate

    def update(self, bucket: Bucket, grads: list[Tensor], iteration: int) -> None:
        """Update a bucket's parameters and states in place.

        Args:
            bucket: Parameters, states and hyper-parameters.
            grads: The clipped gradients, which have to stay as they are.
            iteration: The number of updates made before this one.
        """
        raise NotImplementedError(f"{type(self).__name__} must define update(bucket, grads, iteration).")

    def update_rows(self, bucket: Bucket, rows: Tensor, values: Tensor, iteration: int) -> None:
        """The same for one parameter with a sparse gradient; by default the rule of dense gradients.

        Args:
            bucket: The parameter, its states and hyper-parameters.
            rows: Which rows have gradients; may repeat.
            values: The gradients of those rows.
            iteration: The number of updates made before this one.
        """
        self.update(bucket, [bucket.spread(rows, values)], iteration)
        bucket.clear(rows)

    def end_step(self, group: dict[str, Any], iteration: int) -> None:
        """Write what a param group keeps besides tensors."""
        group["iterations"] = iteration + 1

    def sparse_differs(self) -> bool:
        """Whether a sparse gradient (an Embedding's in tf.keras) moves parameters otherwise than the same gradient made dense.

        It does where rows that are not seen are left out, and where entries of repeated rows are clipped before they are added up.
        """
        return self.clipping.active and not self.clipping.norm_of_all

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients (`set_to_none`), or fill them with zeros."""
        if not set_to_none:
            super().zero_grad(set_to_none=False)
            return
        for group in self.param_groups:
            for param in group["params"]:
                param.grad = None

    # ---- states

    def state_keys(self, group: Mapping[str, Any]) -> dict[str, str]:
        """The slots that a group's hyper-parameters need, and their keys in `state`."""
        return self.slots

    def first_value(self, key: str) -> float:
        """What a state starts with."""
        return 0.0

    def state_tensor(self, param: Tensor, key: str) -> Tensor:
        """A state of a parameter, made where it is missing."""
        state = self.state[param]
        if key not in state:
            state[key] = torch.full_like(param, self.first_value(key), memory_format=torch.preserve_format, requires_grad=False)
        return state[key]

    def _state_of(self, param: Tensor, group: Mapping[str, Any]) -> dict[str, Tensor]:
        return {key: self.state_tensor(param, key) for key in self.state_keys(group).values()}

    def states(self, bucket: Bucket, key: str) -> list[Tensor]:
        """A bucket's states, made where a hyper-parameter has been changed so that they are needed now."""
        if key not in bucket.states:
            bucket.states[key] = [self.state_tensor(param, key) for param in bucket.params]
        return bucket.states[key]

    @property
    def weights(self) -> list[Tensor]:
        """The count of updates and the states, in Keras' order and layout."""
        return [state_list.read(self, entry) for entry in state_list.own_entries(self)]

    def variables(self) -> list[Tensor]:
        """The same as `weights`."""
        return self.weights

    @property
    def weight_names(self) -> list[str]:
        """The names of `weights` in files of the release."""
        return state_list.weight_names(self)

    def get_weights(self) -> list[np.ndarray]:
        """Copies of `weights` as arrays."""
        return state_list.get_weights(self)

    def set_weights(self, weights: list[Any]) -> None:
        """Write a list that `get_weights` gave, here or in genuine Keras of any release.

        Raises:
            ValueError: the number or the shapes do not fit; nothing is written then.
        """
        state_list.set_weights(self, weights)

    def get_slot_names(self) -> list[str]:
        """Keras' names of the states that a parameter has."""
        return list(self.state_keys(self.param_groups[0] if self._bound else self.defaults))

    def get_slot(self, var: Any, slot_name: str) -> Tensor:
        """A state of a parameter, in Keras' layout if it was given as a weight of a layer.

        Raises:
            ValueError: there is no such state.
        """
        keys = self.state_keys(self.param_groups[0])
        if slot_name not in keys:
            raise ValueError(f"{type(self).__name__} keeps no state {slot_name!r}. {nearest(slot_name, keys)}")
        param = self.border.parameter(var)
        return self.border.to_keras(param, self.state_tensor(param, keys[slot_name]))

    # ---- configs

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


_observed_step = torch.optim.Optimizer.profile_hook_step(Optimizer._step)


def resolve_epsilon(value: Any) -> float:
    """`epsilon` as the release reads it: its default, and `None` (in tf.keras also 0) as the global `epsilon()`."""
    if value is BY_GENERATION:
        value = choose("optimizer.epsilon")
    if value is None or (not value and keras_version() == "2.4.0"):
        return settings.epsilon()
    return float(value)


def at_least_zero(owner: Optimizer, name: str, value: Any) -> float:
    """`value` as a float.

    Raises:
        ValueError: it is negative or not a number.
    """
    value = float(value)
    if not value >= 0:
        raise ValueError(f"{type(owner).__name__} takes a {name} of at least 0, but got {value!r}.")
    return value
