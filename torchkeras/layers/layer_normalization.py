"""`LayerNormalization`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from torchkeras import constraints, initializers, regularizers
from torchkeras.layers import layouts
from torchkeras.layers.base import Layer, layer_registry
from torchkeras.layers.batch_normalization import checked_axis, positive_axes
from torchkeras.layers.input_spec import InputSpec
from torchkeras.shapes import as_shape


@layer_registry.add()
class LayerNormalization(Layer):
    """Normalizes each sample by its own mean and variance over some axes.

    Args:
        axis: The axis, or the axes, over which mean and variance are taken.
        epsilon: Added to the variance.
        center, scale: Whether a `beta` is added, whether the result is multiplied with a `gamma`.
        beta_initializer, gamma_initializer: How the weights start.
        beta_regularizer, gamma_regularizer: Penalties in the loss.
        beta_constraint, gamma_constraint: Applied after each update.

    Shape:
        any -> the same
        gamma, beta (sizes of the axes); in torch's words weight, bias

    Raises:
        ValueError: an axis that the input lacks or whose size is unknown.

    Source: Ba et al. (2016); tf.keras 2.4.0 `LayerNormalization`.
    """

    keras_weights = {"gamma": ("weight", layouts.as_is), "beta": ("bias", layouts.as_is)}
    supports_masking = True

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        trainable: bool = True,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(trainable=trainable, name=name, **kwargs)
        self.axis = checked_axis(self, axis)
        self.epsilon = epsilon
        self.center = center
        self.scale = scale
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.beta_constraint = constraints.get(beta_constraint)
        self.gamma_constraint = constraints.get(gamma_constraint)
        self._rank: int | None = None
        self._sizes: tuple[int, ...] = ()
        self.register_parameter("weight", None)
        self.register_parameter("bias", None)

    def build(self, input_shape: Any) -> None:
        shape = as_shape(input_shape)
        axes = positive_axes(self, self.axis, shape)
        self._rank = len(shape)
        self._sizes = tuple(shape[axis] for axis in axes)  # type: ignore[misc]
        self.input_spec = InputSpec(axes=dict(zip([self.axis] if isinstance(self.axis, int) else self.axis, self._sizes, strict=True)))
        if self.scale:
            self.add_weight("gamma", self._sizes, None, self.gamma_initializer, self.gamma_regularizer, constraint=self.gamma_constraint)
        if self.center:
            self.add_weight("beta", self._sizes, None, self.beta_initializer, self.beta_regularizer, constraint=self.beta_constraint)

    def call(self, inputs: Tensor) -> Tensor:
        if self.axis == -1:
            return F.layer_norm(inputs, self._sizes, self.weight, self.bias, self.epsilon)
        rank = inputs.dim()
        axes = sorted({axis % rank for axis in ([self.axis] if isinstance(self.axis, int) else self.axis)})
        sizes = [inputs.shape[axis] for axis in axes]
        # Keras reads the values of weights whose axes stand in another order as if they were in this one
        weight, bias = (None if one is None else one.reshape(sizes) for one in (self.weight, self.bias))
        last = list(range(rank - len(axes), rank))
        moved = inputs if axes == last else inputs.movedim(axes, last)
        normalized = F.layer_norm(moved, sizes, weight, bias, self.epsilon)
        return normalized if axes == last else normalized.movedim(last, axes)

    def get_config(self) -> dict[str, Any]:
        found = super().get_config()
        if self._rank is not None:
            found["axis"] = positive_axes(self, self.axis, (None,) * self._rank, sized=False)
        return found

    def input_shape_from_state(self, state: Mapping[str, Tensor]) -> Any:
        found = next((state[key] for key in ("weight", "bias") if key in state), None)
        if found is None:
            return None
        axes = [self.axis] if isinstance(self.axis, int) else self.axis
        rank = max([2, *(axis + 1 if axis >= 0 else 1 - axis for axis in axes)])
        sizes = {axis % rank: size for axis, size in zip(axes, found.shape, strict=True)}
        return tuple(sizes.get(axis) for axis in range(rank))

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:  # type: ignore[override]
        was_built = self.built
        super()._load_from_state_dict(state_dict, prefix, *args)
        if not was_built:
            self._rank = None  # the weights do not tell it
