"""Layers that move values without changing them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from torchkeras import config
from torchkeras.layers.base import Layer, layer_registry
from torchkeras.layers.input_spec import InputSpec
from torchkeras.shapes import Shape, as_shape


@layer_registry.add()
class Flatten(Layer):
    """All axes but the batch in one.

    Args:
        data_format: "channels_first" puts the channels last before flattening, so that weights trained on channels-last data fit;
            `None`: the global setting.

    Shape: (batch, ...) -> (batch, product of the rest); (batch,) -> (batch, 1). A view where the input is contiguous.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `Flatten`.
    """

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        try:
            self.data_format = config.normalize_data_format(data_format)
        except ValueError as error:
            raise ValueError(f"Flatten '{self.name}': {error}") from None
        self.input_spec = InputSpec(min_ndim=1)

    def call(self, inputs: Tensor) -> Tensor:
        if inputs.dim() == 1:
            return inputs.unsqueeze(1)
        if self.data_format == "channels_first" and inputs.dim() > 2:
            inputs = inputs.movedim(1, -1)
        return inputs.flatten(1)


@layer_registry.add()
class Reshape(Layer):
    """The same values in another shape.

    Args:
        target_shape: Shape without the batch axis; one dimension may be -1: what is left for it.

    Shape: (batch, ...) -> (batch, *target_shape). A view where the input is contiguous.

    Raises:
        ValueError: two dimensions of -1, or an input with another number of values.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `Reshape`.
    """

    def __init__(self, target_shape: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.target_shape = tuple(int(dim) for dim in ((target_shape,) if isinstance(target_shape, int) else target_shape))
        if self.target_shape.count(-1) > 1 or any(dim < -1 for dim in self.target_shape):
            raise ValueError(f"Reshape '{self.name}' can find out one dimension, given as -1, but got target_shape={self.target_shape}.")

    def call(self, inputs: Tensor) -> Tensor:
        try:
            return inputs.reshape(inputs.shape[0], *self.target_shape)
        except RuntimeError:  # another number of values, or an empty batch, for which torch cannot find out -1
            return inputs.reshape(self._fitted(tuple(inputs.shape)))

    def compute_output_shape(self, input_shape: Any) -> Shape:
        # trials cannot tell: the number of values in an unknown dimension need not fit the target
        shape = as_shape(input_shape)
        if None in shape[1:]:
            return (shape[0], *(None if dim == -1 else dim for dim in self.target_shape))
        return self._fitted(shape)

    def _fitted(self, shape: Shape) -> Any:
        """The target shape with -1 found out."""
        size, known = math.prod(shape[1:]), math.prod(dim for dim in self.target_shape if dim != -1)  # type: ignore[arg-type]
        free = -1 in self.target_shape
        if size != known and not (free and known and size % known == 0):
            raise ValueError(
                f"Reshape '{self.name}' makes {self.target_shape} of each sample, which takes {'a multiple of ' if free else ''}{known} values, "
                f"but got an input of shape {shape} with {size} a sample. Change target_shape, or reshape the input."
            )
        return (shape[0], *(size // known if dim == -1 else dim for dim in self.target_shape))


@layer_registry.add()
class Permute(Layer):
    """The axes in another order.

    Args:
        dims: For each axis of the output, the axis of the input that it is; counted from 1, without the batch.

    Shape: (batch, ...) -> (batch, ... in the new order). A view.

    Raises:
        ValueError: `dims` is no permutation of 1, 2, ...

    Source: Keras 2.2.4 and tf.keras 2.4.0 `Permute`.
    """

    def __init__(self, dims: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dims = tuple(dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ValueError(f"Permute '{self.name}' needs dims that are 1, 2, ... in some order, each once, but got {self.dims}.")
        self.input_spec = InputSpec(ndim=len(self.dims) + 1)

    def call(self, inputs: Tensor) -> Tensor:
        return inputs.permute(0, *self.dims)


@layer_registry.add()
class RepeatVector(Layer):
    """Each sample's vector as every step of a sequence.

    Args:
        n: Number of steps, at least 1.

    Shape: (batch, features) -> (batch, n, features). A view.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `RepeatVector`.
    """

    def __init__(self, n: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if int(n) != n or n < 1:
            raise ValueError(f"RepeatVector '{self.name}' needs a whole number of steps, at least 1, but got n={n!r}.")
        self.n = int(n)
        self.input_spec = InputSpec(ndim=2)

    def call(self, inputs: Tensor) -> Tensor:
        return inputs.unsqueeze(1).expand(-1, self.n, -1)
