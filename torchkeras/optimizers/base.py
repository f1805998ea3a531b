"""The optimizer: a small record until it is bound to parameters, then a full torch.optim.Optimizer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import optimizer as torch_optimizer
from typing_extensions import Self

from torchkeras.optimizers.applying import GradientCalls
from torchkeras.optimizers.border import Border
from torchkeras.optimizers.buckets import Bucket, Buckets
from torchkeras.optimizers.record import Record
from torchkeras.optimizers.state_list import StateList

NOT_PICKLED = ("_buckets", "_opt_called", "step", "zero_grad")  # the last three are put on the object by torch's schedulers


OF_GRAPHS = ("get_updates", "_resource_apply_dense", "_resource_apply_sparse")  # what optimizers for Keras 2 and tf.keras write


class NotBoundError(RuntimeError, AttributeError):
    """An optimizer was used as a torch optimizer before it had parameters."""


class Optimizer(Record, StateList, GradientCalls, torch.optim.Optimizer):
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

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        written = [name for name in OF_GRAPHS if getattr(cls, name, None) is not getattr(Optimizer, name, None)]
        if written:
            raise TypeError(
                f"{cls.__name__} writes {written[0]}, which makes operations of TensorFlow's graph, and PyTorch runs at once. Override "
                "update(self, bucket, grads, iteration), or subclass torch.optim.Optimizer with a step(): compile() takes its class as well."
            )
        return super().__new__(cls)

    def __init__(self, name: str | None = None, learning_rate: Any = 0.01, hypers: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(name, learning_rate, hypers or {}, **kwargs)
        self.border = Border()
        self._buckets: Buckets | None = None

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
        named = "param_names" in self.param_groups[0]  # torch wants all groups with names, or none
        for group in groups:
            pairs = [item if isinstance(item, tuple) else (None, item) for item in group["params"]]
            pairs = [(name or f"unnamed.{len(known) + number}", param) for number, (name, param) in enumerate(pairs) if id(param) not in known]
            if pairs:
                self.add_param_group({**group, "params": pairs if named else [param for _, param in pairs]})
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
                f"{type(self).__name__} has no parameters yet, so it has no param_groups and state, and cannot step, save or take hooks. "
                "Call optimizer.bind(model.parameters()), or give it to model.compile(...)."
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
        if buckets.now[0].on_cuda and torch.cuda.is_current_stream_capturing():
            raise RuntimeError(
                f"{type(self).__name__}.step() is being captured in a CUDA graph, which would repeat the rate of update {iteration} for ever: "
                "rates and the count of updates stand on the host. Capture forward and backward, and call step() outside."
            )
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


_observed_step = torch.optim.Optimizer.profile_hook_step(Optimizer._step)
