"""`BatchNormalization`."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from torchkeras import constraints, generations, initializers, regularizers
from torchkeras.layers import layouts
from torchkeras.layers.base import Layer, layer_registry
from torchkeras.layers.input_spec import InputSpec
from torchkeras.layers.moving_statistics import debiased_rate, variance_factor
from torchkeras.shapes import as_shape


@layer_registry.add()
class BatchNormalization(Layer):
    """Normalizes each channel: by the batch's mean and variance in training, by their moving averages in inference.

    Args:
        axis: The axis of the channels, or several axes that are normalized value by value.
        momentum: Share of the old moving average that is kept at an update, 0 to 1. (torch counts the share that is replaced.)
        epsilon: Added to the variance.
        center, scale: Whether a `beta` is added, whether the result is multiplied with a `gamma`.
        beta_initializer, gamma_initializer, moving_mean_initializer, moving_variance_initializer: How the weights start.
        beta_regularizer, gamma_regularizer: Penalties in the loss.
        beta_constraint, gamma_constraint: Applied after each update.
        renorm: Correct towards the moving averages in training as well (batch renormalization).
        renorm_clipping: Bounds of that correction: "rmin", "rmax", "dmax".
        renorm_momentum: Momentum of the averages that the correction uses.
        fused: `True` asks for the rules of TensorFlow's fused kernel (four axes only), `False` for the others; `None`: as TensorFlow chooses.
            It decides whether the moving variance is unbiased, not how fast the layer is.
        virtual_batch_size: Normalize parts of the batch of this size by themselves.
        adjustment: A function from the input's shape to (scale, offset), applied after normalizing in training.

    Shape:
        any -> the same
        gamma, beta, moving_mean, moving_variance (channels,), or for several axes (1, ..., sizes of the axes, ..., 1);
        in torch's words weight, bias, running_mean, running_var

    Raises:
        ValueError: an axis that the input lacks or whose size is unknown, or arguments that exclude each other.

    With `trainable=False` tf.keras runs it in inference mode; Keras 1 and 2 go on with the batch's statistics and leave the averages alone.

    Source: Ioffe & Szegedy (2015), Ioffe (2017); Keras 2.2.4 and tf.keras 2.4.0 `BatchNormalization`.
    """

    keras_weights = {
        "gamma": ("weight", layouts.as_is),
        "beta": ("bias", layouts.as_is),
        "moving_mean": ("running_mean", layouts.as_is),
        "moving_variance": ("running_var", layouts.as_is),
    }
    supports_masking = True
    _frozen_moves = False  # of pickles that were made before there was a choice
    resolves_training = True
    config_omits: ClassVar[tuple[str, ...]] = ("renorm", "renorm_clipping", "renorm_momentum", "fused", "virtual_batch_size", "adjustment")

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        # the modes of Keras 1 are a class of their own
        return super().__new__(layer_registry.find("KeptBatchNormalization") if cls is BatchNormalization and kwargs.get("mode") else cls)

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        renorm: bool = False,
        renorm_clipping: Mapping[str, Any] | None = None,
        renorm_momentum: float = 0.99,
        fused: bool | None = None,
        trainable: bool = True,
        virtual_batch_size: int | None = None,
        adjustment: Callable[..., Any] | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(trainable=trainable, name=name, **kwargs)
        self.axis = checked_axis(self, axis)
        self.momentum = momentum
        self.epsilon = epsilon
        self.center = center
        self.scale = scale
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.beta_constraint = constraints.get(beta_constraint)
        self.gamma_constraint = constraints.get(gamma_constraint)
        self.renorm = renorm
        self.renorm_clipping = dict(renorm_clipping or {})
        self.renorm_momentum = renorm_momentum
        self.fused = fused
        self.virtual_batch_size = virtual_batch_size
        self.adjustment = adjustment
        self._check_arguments()
        self.input_spec = InputSpec(min_ndim=2)
        self._debiased = generations.choose("batchnorm.moving_average") == "debiased"
        always_biased = generations.choose("batchnorm.moving_average") == "biased"
        self._frozen_is_inference = generations.choose("batchnorm.frozen_is_inference")
        self._frozen_moves = generations.choose("batchnorm.frozen_moves")
        self._lists_axes = generations.choose("batchnorm.axis_list")
        self._rank: int | None = None
        single = isinstance(self.axis, int) or len(self.axis) == 1
        self._axis: int | None = (self.axis if isinstance(self.axis, int) else self.axis[0]) if single else None
        self._by_kernel = single and not (renorm or virtual_batch_size or adjustment)
        self._fuses = self._is_fused(always_biased)
        self.register_parameter("weight", None)
        self.register_parameter("bias", None)

    def _is_fused(self, always_biased: bool) -> bool:
        """Whether TensorFlow's fused kernel runs where there are four axes."""
        fuses = self._axis in (-1, 3) if self._debiased else self.fused is not False and self._axis in (1, -3, 3, -1)
        return self._by_kernel and fuses and not always_biased

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "_fuses" not in state:  # an older pickle, which kept what it follows from
            self._fuses = self._is_fused(state.get("_always_biased", False))

    def _check_arguments(self) -> None:
        who = f"BatchNormalization '{self.name}'"
        unknown = set(self.renorm_clipping) - {"rmin", "rmax", "dmax"}
        if unknown:
            raise ValueError(f"{who}: renorm_clipping knows the keys 'rmin', 'rmax' and 'dmax', but got {sorted(unknown)}.")
        if self.virtual_batch_size is not None and (self.virtual_batch_size < 1 or self.adjustment is not None):
            raise ValueError(
                f"{who} needs a virtual_batch_size of at least 1 that divides the batch, and no adjustment beside it, "
                f"but got {self.virtual_batch_size!r} and adjustment={self.adjustment!r}."
            )
        if self.fused and (self.renorm or self.virtual_batch_size is not None or self.adjustment is not None or self.axis not in (1, -1, 3, -3)):
            raise ValueError(
                f"{who}: fused=True goes with axis 1 or 3 and without renorm, virtual_batch_size and adjustment, but got axis={self.axis}, "
                f"renorm={self.renorm}, virtual_batch_size={self.virtual_batch_size}, adjustment={self.adjustment!r}. Leave fused=None."
            )

    def build(self, input_shape: Any) -> None:
        shape = as_shape(input_shape)
        self._rank = rank = len(shape)
        if self.fused and rank != 4:
            raise ValueError(f"BatchNormalization '{self.name}': fused=True needs an input of four axes, but got {shape}. Leave fused=None.")
        axes = positive_axes(self, self.axis, shape)
        sizes = {axis: shape[axis] for axis in axes}
        own: tuple[int, ...]
        if self._axis is not None and self.virtual_batch_size is None:
            own = (shape[axes[0]],)  # type: ignore[assignment]
            self.input_spec = InputSpec(min_ndim=2, axes={self._axis: own[0]})
        else:
            own = tuple(sizes.get(axis) or 1 for axis in range(rank))
            own = own if self.virtual_batch_size is None else (own[0], 1, *own[1:])
            self.input_spec = InputSpec(ndim=rank, axes=sizes)
        if self.scale:
            self.add_weight("gamma", own, None, self.gamma_initializer, self.gamma_regularizer, constraint=self.gamma_constraint)
        if self.center:
            self.add_weight("beta", own, None, self.beta_initializer, self.beta_regularizer, constraint=self.beta_constraint)
        self.add_weight("moving_mean", own, None, self.moving_mean_initializer, trainable=False)
        self.add_weight("moving_variance", own, None, self.moving_variance_initializer, trainable=False)
        if self.renorm:
            self._add_renorm_weights(own)
        if self._debiased:
            device = self._build_device or torch.get_default_device()
            self.register_buffer("num_batches_tracked", torch.zeros((), dtype=torch.int64, device=device))

    def _add_renorm_weights(self, shape: tuple[int, ...]) -> None:
        def deviation(shape: Sequence[int], dtype: Any = None) -> Tensor:
            return torch.as_tensor(self.moving_variance_initializer(shape, dtype=dtype)).sqrt()

        self.add_weight("moving_stddev", shape, None, deviation, trainable=False)
        self.add_weight("renorm_mean", shape, None, self.moving_mean_initializer, trainable=False)
        self.add_weight("renorm_stddev", shape, None, deviation, trainable=False)

    # -- computing

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        training = self.training if training is None else bool(training)
        moves = training and (self._trainable or self._frozen_moves)
        if training and not moves and self._frozen_is_inference:
            training = False
        if not self._by_kernel:
            return self._by_formula(inputs, training, moves)
        rank = inputs.dim()
        axis = self._axis % rank  # type: ignore[operator]
        if axis == 1:
            return self._normalize(inputs, inputs, training, moves)
        if axis < rank - 1:
            return self._normalize(inputs.movedim(axis, 1), inputs, training, moves).movedim(1, axis)
        if rank == 4:  # the permuted view is torch's channels-last memory: its kernels copy nothing
            return self._normalize(inputs.permute(0, 3, 1, 2), inputs, training, moves).permute(0, 2, 3, 1)
        if rank == 5 and not (inputs.is_cpu and inputs.is_contiguous()):  # on the CPU its kernel for volumes is slower than that for vectors
            return self._normalize(inputs.permute(0, 4, 1, 2, 3), inputs, training, moves).permute(0, 2, 3, 4, 1)
        return self._normalize(inputs.flatten(0, -2), inputs, training, moves).view_as(inputs)

    def _normalize(self, x: Tensor, inputs: Tensor, training: bool, moves: bool) -> Tensor:
        """torch's kernel on data whose channels are axis 1."""
        buffers: Any = self._buffers  # by `self` each look-up fails once before it comes to nn.Module.__getattr__
        parameters = self._parameters
        mean, variance = buffers["running_mean"], buffers["running_var"]
        weight, bias = parameters.get("weight"), parameters.get("bias")
        if weight is None or bias is None:  # one that is not there may be parametrized
            weight, bias = self.weight, self.bias
        moved, rate, size = variance, 0.0, 0  # what the kernel moves, and how far
        if training:
            channels = x.size(1)
            size = x.numel() // channels
            if size == 1:  # torch's kernel refuses one value a channel; in Keras its variance is 0
                return self._by_formula(inputs, training, moves).view_as(x)
            if not moves:
                mean = moved = None
            elif self._debiased:
                # averages of zero that are wholly replaced: the batch's own statistics
                mean, moved = torch.zeros((2, channels), dtype=mean.dtype, device=x.device)
                rate = 1.0
            else:
                rate = 1 - self.momentum
                if not self._is_unbiased(inputs):
                    # the kernel moves the variance towards the unbiased one: n / (n - 1) times what Keras moves it to.
                    # (a sum with a factor takes half as long as a product with a number)
                    moved = torch.add(variance, variance, alpha=1 / (size - 1))
        normalized = torch.batch_norm(x, weight, bias, mean, moved, training, rate, self.epsilon, x.is_cuda and torch.backends.cudnn.enabled)
        if moves and self._debiased:
            factor = variance_factor(size, epsilon=self.epsilon, debiased=True, unbiased=self._is_unbiased(inputs))
            self._move(mean, moved * (factor * (size - 1) / size))
        elif moves and moved is not variance:
            torch.sub(moved, moved, alpha=1 / size, out=variance)
        return normalized

    def _is_unbiased(self, inputs: Tensor) -> bool:
        """Whether the moving variance is an unbiased one: where TensorFlow's fused kernel runs, for four axes."""
        if inputs.dim() != 4 or not self._fuses:
            return False
        return self._debiased or inputs.dtype is not torch.float64

    @torch.no_grad()
    def _move(self, mean: Tensor, variance: Tensor) -> None:
        """Move the averages towards a batch's statistics."""
        rate: Any = 1 - self.momentum
        if self._debiased:
            rate = debiased_rate(self.momentum, self.num_batches_tracked.add_(1)).to(mean.dtype)
        self.running_mean.lerp_(mean, rate)
        self.running_var.lerp_(variance, rate)

    def _by_formula(self, inputs: Tensor, training: bool, moves: bool) -> Tensor:
        """What torch has no kernel for: several axes, renormalization, parts of the batch, adjustments."""
        x = inputs.float() if inputs.dtype in (torch.float16, torch.bfloat16) else inputs
        if self.virtual_batch_size is not None:
            x = x.reshape(self.virtual_batch_size, -1, *x.shape[1:])
        given = (self._axis,) if self._axis is not None else tuple(self.axis)  # type: ignore[arg-type]
        kept = {axis % inputs.dim() + (0 if self.virtual_batch_size is None else 1) for axis in given}
        over = [axis for axis in range(x.dim()) if axis not in kept and (axis != 1 or self.virtual_batch_size is None)]
        broad = [size if axis in kept else 1 for axis, size in enumerate(x.shape)]
        scale, offset = (None if one is None else one.to(x.dtype).reshape(broad) for one in (self.weight, self.bias))
        if training:
            variance, mean = torch.var_mean(x, over, correction=0, keepdim=True)
            if self.adjustment is not None:
                then_scale, then_offset = self.adjustment(tuple(x.shape))
                scale, offset = _composed(then_scale, then_offset, scale, offset)
            scale, offset = self._corrected_and_moved(x, mean, variance, scale, offset, moves)
        else:
            mean, variance = (one.to(x.dtype).reshape(broad) for one in (self.running_mean, self.running_var))
        y = (x - mean) * torch.rsqrt(variance + self.epsilon)
        y = y if scale is None else y * scale
        y = y if offset is None else y + offset
        return y.reshape(inputs.shape).to(inputs.dtype)

    def _corrected_and_moved(
        self, x: Tensor, mean: Tensor, variance: Tensor, scale: Tensor | None, offset: Tensor | None, moves: bool
    ) -> tuple[Tensor | None, Tensor | None]:
        """Move the averages; with `renorm`, correct scale and offset towards the ones before."""
        with torch.no_grad():
            shape, dtype = self.running_mean.shape, self.running_mean.dtype
            parts = self.virtual_batch_size is not None
            new_mean = (mean.mean(1, keepdim=True) if parts else mean).reshape(shape).to(dtype)
            new_variance = (variance.mean(1, keepdim=True) if parts else variance).reshape(shape).to(dtype)
            if not self.renorm:
                if moves:
                    size = x.numel() // mean.numel()
                    self._move(
                        new_mean, new_variance * variance_factor(size, epsilon=self.epsilon, debiased=self._debiased, unbiased=self._is_unbiased(x))
                    )
                return scale, offset
            deviation = (new_variance + self.epsilon).sqrt()
            usual = self.renorm_stddev.clamp_min(math.sqrt(self.epsilon))
            r, d = deviation / usual, (new_mean - self.renorm_mean) / usual
            rmin, rmax, dmax = (self.renorm_clipping.get(key) for key in ("rmin", "rmax", "dmax"))
            r = r if rmin is None and rmax is None else r.clamp(rmin, rmax)
            d = d if dmax is None else d.clamp(-dmax, dmax)
            if moves:
                self.renorm_mean.lerp_(new_mean, 1 - self.renorm_momentum)
                self.renorm_stddev.lerp_(deviation, 1 - self.renorm_momentum)
                self.running_mean.lerp_(new_mean, 1 - self.momentum)
                self.moving_stddev.lerp_(deviation, 1 - self.momentum)
                self.running_var.copy_((self.moving_stddev.square() - self.epsilon).relu())
            r, d = (one.to(x.dtype) if parts else one.to(x.dtype).reshape(mean.shape) for one in (r, d))
        return _composed(r, d, scale, offset)

    # -- the border

    def get_config(self) -> dict[str, Any]:
        found = super().get_config()
        if self._lists_axes and self._rank is not None:
            found["axis"] = positive_axes(self, self.axis, (None,) * self._rank, sized=False)
        if self.renorm:
            found.update(renorm=True, renorm_clipping=self.renorm_clipping, renorm_momentum=self.renorm_momentum)
        if self.virtual_batch_size is not None:
            found["virtual_batch_size"] = self.virtual_batch_size
        if self.adjustment is not None:
            warnings.warn(f"The adjustment function of BatchNormalization '{self.name}' has no place in a config: set it again.", stacklevel=2)
        return found

    def input_shape_from_state(self, state: Mapping[str, Tensor]) -> Any:
        mean = state.get("running_mean")
        if mean is None:
            return None
        if self._axis is None or mean.dim() > 1:
            sizes = tuple(mean.shape) if self.virtual_batch_size is None else (mean.shape[0], *mean.shape[2:])
            return (None, *sizes[1:])
        before = self._axis if self._axis >= 0 else 1
        return (*(None,) * before, mean.shape[0], *(None,) * (-1 - self._axis if self._axis < 0 else 0))

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:  # type: ignore[override]
        was_built = self.built
        super()._load_from_state_dict(state_dict, prefix, *args)
        if not was_built and self._axis is not None:
            self._rank = None  # one vector of channels does not tell it
        # torch counts the updates of every layer, here only those count whose averages are debiased
        for keys in args[2:4]:
            if prefix + "num_batches_tracked" in keys:
                keys.remove(prefix + "num_batches_tracked")


def _composed(scale: Tensor, offset: Tensor, then_scale: Tensor | None, then_offset: Tensor | None) -> tuple[Tensor, Tensor]:
    """One scale and offset for two after each other."""
    if then_scale is not None:
        scale, offset = scale * then_scale, offset * then_scale
    return scale, offset if then_offset is None else offset + then_offset


def checked_axis(layer: Layer, axis: Any) -> int | list[int]:
    """`axis` as an int, or a list of them.

    Raises:
        TypeError: neither.
    """
    if isinstance(axis, int):
        return axis
    if isinstance(axis, (list, tuple)) and axis and all(isinstance(one, int) for one in axis):
        return list(axis)
    raise TypeError(f"{type(layer).__name__} '{layer.name}' needs an axis that is an int or a list of ints, but got {axis!r}.")


def positive_axes(layer: Layer, axis: int | list[int], shape: Sequence[int | None], *, sized: bool = True) -> list[int]:
    """The axes counted from the front.

    Raises:
        ValueError: one that the shape lacks, one twice, or (where `sized`) one whose size is unknown.
    """
    who = f"{type(layer).__name__} '{layer.name}'"
    given, rank = [axis] if isinstance(axis, int) else axis, len(shape)
    if any(not -rank <= one < rank for one in given):
        raise ValueError(f"{who} has axis={axis}, but got an input of shape {tuple(shape)} with the axes 0 to {rank - 1}.")
    axes = [one % rank for one in given]
    if len(set(axes)) != len(axes):
        raise ValueError(f"{who} has an axis twice in axis={axis}, for an input of shape {tuple(shape)}.")
    if sized and any(shape[one] is None for one in axes):
        raise ValueError(f"{who} needs to know the size of axis {axis}, but got an input of shape {tuple(shape)}.")
    return axes
