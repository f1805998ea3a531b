"""`Metric`: adds up over batches in tensors, on the device of the data, and is read when somebody looks."""

from __future__ import annotations

import functools
import re
from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from torchkeras import config, initializers
from torchkeras.generations import choose
from torchkeras.metrics.processes import all_reduce_states, over_processes
from torchkeras.metrics.variable import MetricVariable, as_variable

if TYPE_CHECKING:
    import ignite.metrics

M = TypeVar("M", bound="Metric")

# Sums over an epoch are kept in this type: float32 stops counting at 2 ** 24.
EXACT = torch.float64

_name_counts: dict[str, int] = defaultdict(int)


def reset_uids() -> None:
    """Start the automatic names of metrics anew."""
    _name_counts.clear()


def automatic_name(cls: type) -> str:
    """`auc`, `auc_1`, ... as the chosen release counts."""
    prefix = re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", cls.__name__)).lower()
    number = _name_counts[prefix] + choose("name.first_index")
    _name_counts[prefix] += 1
    return prefix if number == 0 else f"{prefix}_{number}"


def divide_no_nan(total: Tensor, count: Tensor) -> Tensor:
    """`total / count`, and 0 where `count` is 0."""
    return torch.where(count == 0, torch.zeros_like(total), total / count)


def _guarded(update: Callable[..., Any]) -> Callable[..., Any]:
    """`update_state` without gradients, with the variables on the device of the first tensor given."""

    @functools.wraps(update)
    def guarded(self: Metric, *args: Any, **kwargs: Any) -> Any:
        for given in args or kwargs.values():
            if isinstance(given, Tensor):
                if given.device != self._device:
                    if given.is_meta:  # a layer that calls the metric runs for the sake of shapes: it is no batch
                        return None
                    self._follow(given.device)
                break
        if not torch.is_grad_enabled():
            return update(self, *args, **kwargs)
        with torch.no_grad():
            return update(self, *args, **kwargs)

    return guarded


def _detached(result: Callable[..., Any]) -> Callable[..., Any]:
    """`result` that never hands out a variable itself, which goes on changing."""

    @functools.wraps(result)
    def detached(self: Metric) -> Any:
        value = result(self)
        return value.clone() if any(value is variable for variable in self._buffers.values()) else value

    return detached


class Metric(nn.Module):
    """A number that is computed over many batches.

    Subclasses make variables with `add_weight` in `__init__`, add to them in `update_state` and compute from them in
    `result`. Calling a metric updates it and gives the result so far. The variables are buffers that stay out of
    `state_dict` (`get_weights` has them) and keep their type when a model is cast; they follow the data to its device.

    Args:
        name: Name in logs; made from the class by default.
        dtype: Float type of results, by default `floatx()`.

    Raises:
        ValueError: an unknown type.
        TypeError: another keyword argument.

    Source: tf.keras 2.4 `metrics.Metric`.
    """

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        super().__init__()
        self.name = name or automatic_name(type(self))
        self.dtype: str = str(dtype or config.floatx()).removeprefix("torch.")
        if self.dtype not in config.FLOAT_TYPES:
            raise ValueError(f"Metric '{self.name}' needs a dtype out of {sorted(config.FLOAT_TYPES)}, but got {dtype!r}.")
        self._device = torch.device("cpu")
        self._variable_names: list[str] = []

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = vars(cls)
        if "update_state" in own:
            cls.update_state = _guarded(own["update_state"])  # type: ignore[method-assign]
        if "result" in own:
            cls.result = _detached(own["result"])  # type: ignore[method-assign]
        # a subclass may write either name of these; both then do the same
        for written, other in (("reset_states", "reset_state"), ("reset_state", "reset_states")):
            if written in own and other not in own:
                setattr(cls, other, own[written])

    # variables

    def add_weight(
        self,
        name: str,
        shape: tuple[int, ...] = (),
        aggregation: Any = None,
        synchronization: Any = None,
        initializer: Any = None,
        dtype: Any = None,
    ) -> MetricVariable:
        """A new variable; `self.<attribute> = self.add_weight(...)` keeps it.

        Args:
            name: Its name.
            shape: Its shape.
            aggregation: How processes are put together; only a sum is, `None` or what is named so.
            synchronization: Has no meaning here beyond `None` or a TensorFlow constant: variables are put together when read.
            initializer: Gives the first values, zeros by default; `reset_state` writes zeros.
            dtype: Its type, by default that of the metric.

        Raises:
            ValueError: another aggregation than a sum.
        """
        if aggregation is not None and "sum" not in str(aggregation).lower():
            raise ValueError(f"Metric '{self.name}' can only sum its variables over processes, but add_weight got aggregation={aggregation!r}.")
        kind = config.FLOAT_TYPES[self.dtype] if dtype is None else _as_dtype(dtype)
        with torch.inference_mode(False):  # a metric that an evaluation makes outlives it
            variable = as_variable(torch.zeros(tuple(shape), dtype=_for_device(kind, self._device), device=self._device))
        if initializer not in (None, "zeros"):
            variable.copy_(torch.as_tensor(initializers.get(initializer)(tuple(shape))))
        self.register_buffer(f"_variable_{name}", variable, persistent=False)
        self._variable_names.append(f"_variable_{name}")
        return cast(MetricVariable, variable)

    def __setattr__(self, name: str, value: Any) -> None:
        names = self.__dict__.get("_variable_names")
        if names and isinstance(value, Tensor):
            for known in names:
                if self._buffers[known] is value:
                    self._rename(known, name)
            if name in names:  # `self.total = self.total + values`: a variable all the same
                value = value if value is self._buffers[name] else as_variable(value.detach())
        super().__setattr__(name, value)

    def _rename(self, old: str, new: str) -> None:
        """Keep the variable `old` under the name of the attribute that holds it."""
        if old != new:
            self._buffers[new] = self._buffers.pop(old)
            self._variable_names[self._variable_names.index(old)] = new
            self._non_persistent_buffers_set.add(new)

    @property
    def variables(self) -> list[MetricVariable]:
        """The variables, in the order they were made."""
        return [self._variable(name) for name in self._variable_names]

    def _variable(self, name: str) -> MetricVariable:
        return cast(MetricVariable, self._buffers[name])

    @property
    def weights(self) -> list[MetricVariable]:
        """The variables."""
        return self.variables

    @property
    def trainable_weights(self) -> list[MetricVariable]:
        """No variable of a metric is trained."""
        return []

    non_trainable_weights = weights

    def get_weights(self) -> list[np.ndarray]:
        """The variables' values."""
        return [variable.detach().cpu().numpy().copy() for variable in self.variables]

    def set_weights(self, weights: list[Any]) -> None:
        """Write the variables' values.

        Raises:
            ValueError: another number of values than of variables.
        """
        variables = self.variables
        if len(weights) != len(variables):
            raise ValueError(f"Metric '{self.name}' has {len(variables)} variables, but got {len(weights)} values.")
        for variable, value in zip(variables, weights, strict=True):
            variable.copy_(torch.as_tensor(value))

    # what a subclass writes

    def update_state(self, *args: Any, **kwargs: Any) -> Any:
        """Add a batch."""
        raise NotImplementedError(f"{type(self).__name__} needs a method update_state(self, y_true, y_pred, sample_weight=None).")

    def result(self) -> Any:
        """The value so far; a tensor."""
        raise NotImplementedError(f"{type(self).__name__} needs a method result(self) that returns the value so far.")

    def reset_states(self) -> None:
        """Forget every batch."""
        for variable in self.variables:
            variable.zero_()

    def reset_state(self) -> None:
        """Forget every batch."""
        self.reset_states()

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Add a batch and give the value so far."""
        self.update_state(*args, **kwargs)
        value = self.result()
        if isinstance(value, Tensor):
            value._metric_obj = self  # type: ignore[attr-defined]  # a layer that reports the value reports this metric
        return value

    def get_config(self) -> dict[str, Any]:
        """The arguments of `__init__`."""
        return {"name": self.name, "dtype": self.dtype}

    @classmethod
    def from_config(cls: type[M], config: dict[str, Any]) -> M:
        """A metric from `get_config()`."""
        return cls(**config)

    # devices and processes

    def _follow(self, device: torch.device) -> None:
        """Move the variables to a device."""
        with torch.inference_mode(False):
            for key, buffer in self._buffers.items():
                if buffer is not None:
                    moved = buffer.to(device=device, dtype=_for_device(buffer.dtype, device))
                    self._buffers[key] = as_variable(moved) if key in self._variable_names else moved
        self._device = device

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Metric:
        # a probe tells where the variables go, so that casting a model leaves their types alone
        for child in self.children() if recurse else ():
            child._apply(fn)
        device = fn(torch.empty(0, device=self._device)).device
        if device != self._device:
            self._follow(device)
        return self

    def all_reduce_state(self) -> None:
        """Sum the variables over all processes of torch.distributed, in place; every process must call it."""
        all_reduce_states([self])

    def global_result(self) -> Any:
        """The value over all processes, each of which must ask; this process's state stays its own."""
        with over_processes([self]):
            return self.result()

    def as_ignite(self, output_transform: Callable[[Any], Any] = lambda output: output, device: Any = None) -> ignite.metrics.Metric:
        """This metric as one of PyTorch-Ignite, to attach to any engine.

        Args:
            output_transform: Makes what `update_state` takes of the engine's output: (y_pred, y), or (y_pred, y, sample_weight),
                as Ignite orders them, or the values of a `Mean` or `Sum`.
            device: Where it adds up; by default where the data is.
        """
        import ignite.metrics

        keras_metric = self

        class IgniteMetric(ignite.metrics.Metric):
            """A metric of this library behind Ignite's interface."""

            def reset(self) -> None:
                keras_metric.reset_states()

            def update(self, output: Any) -> None:
                if isinstance(output, (tuple, list)):
                    y_pred, y_true, *weight = output
                    keras_metric.update_state(y_true, y_pred, *weight)
                else:
                    keras_metric.update_state(output)

            def compute(self) -> Any:
                value = keras_metric.global_result()
                return value.item() if isinstance(value, Tensor) and value.dim() == 0 else value

        if device is not None:
            self.to(device)
        return IgniteMetric(output_transform=output_transform, device=device or "cpu")


def _as_dtype(dtype: Any) -> torch.dtype:
    """A torch type from it or its name."""
    return dtype if isinstance(dtype, torch.dtype) else getattr(torch, str(dtype))


def _for_device(dtype: torch.dtype, device: torch.device) -> torch.dtype:
    """`dtype`, or float32 where the device has no float64."""
    return torch.float32 if dtype == torch.float64 and device.type == "mps" else dtype
