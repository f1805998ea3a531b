"""Layers that prepare data as the first part of a model.

Source: `tf.keras.layers.experimental.preprocessing` (tf.keras 2.4.0).
"""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from torchkeras import absent, config
from torchkeras.layers.base import Layer, layer_registry
from torchkeras.layers.input_spec import InputSpec
from torchkeras.shapes import as_shape


@layer_registry.add()
class Rescaling(Layer):
    """`inputs * scale + offset`, in `floatx()`.

    Args:
        scale: Factor, such as 1 / 255 for images of bytes.
        offset: Added after that.

    Shape: any -> the same.

    Source: tf.keras 2.4.0 `Rescaling`.
    """

    supports_masking = True

    def __init__(self, scale: float, offset: float = 0.0, name: str | None = None, **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.scale = scale
        self.offset = offset

    def call(self, inputs: Tensor) -> Tensor:
        inputs = inputs if inputs.is_floating_point() else inputs.to(config.float_dtype())
        return inputs * self.scale + self.offset


class _ToSize(Layer):
    """Makes images of a fixed size."""

    def __init__(self, height: int, width: int, name: str | None, **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        if min(int(height), int(width)) < 1:
            raise ValueError(f"{type(self).__name__} '{self.name}' needs a height and a width of at least 1, but got {height!r} and {width!r}.")
        self.height = int(height)
        self.width = int(width)
        self.input_spec = InputSpec(ndim=4)


@layer_registry.add()
class Resizing(_ToSize):
    """Images in another size.

    Args:
        height: Height of the output.
        width: Width of the output.
        interpolation: "bilinear" or "nearest".

    Shape: (batch, rows, cols, channels) -> (batch, height, width, channels)

    Raises:
        ValueError: sizes below 1, or another interpolation ("bicubic", "area", "lanczos3", ... have no kernel in torch that gives the same numbers).

    Source: tf.keras 2.4.0 `Resizing`.
    """

    def __init__(self, height: int, width: int, interpolation: str = "bilinear", name: str | None = None, **kwargs: Any) -> None:
        super().__init__(height, width, name, **kwargs)
        if str(interpolation).lower() not in ("bilinear", "nearest"):
            raise ValueError(f"Resizing '{self.name}' knows interpolation='bilinear' and 'nearest', but got {interpolation!r}.")
        self.interpolation = interpolation

    def call(self, inputs: Tensor) -> Tensor:
        images = inputs.permute(0, 3, 1, 2)
        if str(self.interpolation).lower() == "nearest":  # "nearest" of torch takes the near corner, TensorFlow the centre
            return F.interpolate(images, (self.height, self.width), mode="nearest-exact").permute(0, 2, 3, 1)
        images = images if images.is_floating_point() else images.to(config.float_dtype())
        return F.interpolate(images, (self.height, self.width), mode="bilinear", align_corners=False).permute(0, 2, 3, 1)


@layer_registry.add()
class CenterCrop(_ToSize):
    """The middle of images.

    Args:
        height: Height of the output.
        width: Width of the output.

    Shape: (batch, rows, cols, channels) -> (batch, height, width, channels). A view.

    Raises:
        ValueError: sizes below 1, or larger than the images.

    Source: tf.keras 2.4.0 `CenterCrop`.
    """

    def __init__(self, height: int, width: int, name: str | None = None, **kwargs: Any) -> None:
        super().__init__(height, width, name, **kwargs)

    def call(self, inputs: Tensor) -> Tensor:
        rows, cols = inputs.shape[1:3]
        if self.height > rows or self.width > cols:
            raise ValueError(
                f"CenterCrop '{self.name}' cuts {self.height} x {self.width} out of images, but got images of {rows} x {cols}. Use Resizing first."
            )
        top, left = (rows - self.height) // 2, (cols - self.width) // 2
        return inputs[:, top : top + self.height, left : left + self.width]


@layer_registry.add()
class Normalization(Layer):
    """`(inputs - mean) / sqrt(variance)`, with the mean and variance of data seen by `adapt`.

    Args:
        axis: The axis, or axes, that have a mean and a variance for each entry; `None`: one of each for all values.
        dtype: Float type.

    Shape: any -> the same; (batch,) -> (batch, 1)

    Raises:
        ValueError: the batch axis, one that the input lacks, or one whose size is unknown.

    Source: tf.keras 2.4.0 `Normalization`.
    """

    def __init__(self, axis: int | Sequence[int] | None = -1, dtype: Any = None, **kwargs: Any) -> None:
        super().__init__(dtype=dtype, **kwargs)
        self.axis = () if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
        if 0 in self.axis:
            raise ValueError(f"Normalization '{self.name}' keeps no statistics of single samples: axis may not be 0, but got {axis!r}.")

    def build(self, input_shape: Any) -> None:
        shape = as_shape(input_shape)
        shape = (*shape, 1) if len(shape) == 1 else shape
        if not all(1 - len(shape) <= axis < len(shape) for axis in self.axis):
            raise ValueError(f"Normalization '{self.name}' has axis={self.axis}, but got an input of shape {shape}.")
        self.axis = tuple(sorted(self.axis, key=lambda axis: axis % len(shape)))
        kept = {axis % len(shape) for axis in self.axis}
        if any(shape[axis] is None for axis in kept):
            raise ValueError(f"Normalization '{self.name}' needs to know the sizes of the axes {self.axis}, but got an input of shape {shape}.")
        self._broad = tuple(shape[axis] if axis in kept else 1 for axis in range(len(shape)))
        sizes = tuple(shape[axis] for axis in sorted(kept))
        self.add_weight("mean", sizes, None, "zeros", trainable=False)
        self.add_weight("variance", sizes, None, "ones", trainable=False)
        self.add_weight("count", (), "int64", "zeros", trainable=False)

    def call(self, inputs: Tensor) -> Tensor:
        inputs = inputs.unsqueeze(1) if inputs.dim() == 1 else inputs
        inputs = inputs if inputs.is_floating_point() else inputs.to(config.float_dtype())
        return (inputs - self.mean.view(self._broad)) / self.variance.view(self._broad).sqrt()

    def adapt(self, data: Any, reset_state: bool = True) -> None:
        """Take mean and variance from data.

        Args:
            data: An array, a tensor, or an iterable of batches.
            reset_state: Forget what was seen before.
        """
        for batch in [data] if isinstance(data, (np.ndarray, Tensor)) else data:
            values = np.asarray(batch.detach().cpu() if isinstance(batch, Tensor) else batch, dtype=np.float64)
            values = values[:, None] if values.ndim == 1 else values
            if not self.built:
                self.build_now((None, *values.shape[1:]))
            over = tuple(axis for axis in range(values.ndim) if axis not in {kept % values.ndim for kept in self.axis})
            self._add(int(np.prod([values.shape[axis] for axis in over])), values.mean(over), values.var(over), reset_state)
            reset_state = False

    def _add(self, count: int, mean: np.ndarray, variance: np.ndarray, reset: bool) -> None:
        """Merge the statistics of one batch into those before (Chan et al., 1979)."""
        old_mean, old_variance, old_count = (weight.numpy().astype(np.float64) for weight in self.weights)
        old = 0 if reset else int(old_count)
        total = old + count
        new_mean = (mean * count + old_mean * old) / total
        spread = (count * (variance + (mean - new_mean) ** 2) + old * (old_variance + (old_mean - new_mean) ** 2)) / total
        self.set_weights([new_mean, spread, np.array(total)])

    def set_weights(self, weights: Any) -> None:
        """Write [mean, variance] or [mean, variance, count]."""
        super().set_weights([*weights, np.array(0)] if len(weights) == 2 else weights)

    def input_shape_from_state(self, state: Mapping[str, Tensor]) -> Any:
        if "mean" not in state:
            return None
        if any(axis < 0 for axis in self.axis):
            return (*(None,) * -min(self.axis), *state["mean"].shape) if len(self.axis) == 1 and self.axis[0] == -1 else None
        return tuple(dict(zip(self.axis, state["mean"].shape, strict=True)).get(axis) for axis in range(max(self.axis, default=0) + 1))


@layer_registry.add()
class CategoryEncoding(Layer):
    """Each sample's ids as one vector over all ids.

    Args:
        max_tokens: Number of ids; `None`: as `adapt` finds.
        output_mode: "binary" (1 for each id that occurs), "count" (how often) or "tf-idf" (how often, weighted by how rare it is).
        sparse: Not to be had here.

    Shape: (batch, ids) -> (batch, max_tokens); (batch,) is taken as (batch, 1)

    Raises:
        ValueError: another `output_mode`, `sparse=True`, `max_tokens` below 1, or `count_weights` in another mode than "count".
        RuntimeError: called before `adapt`, where that is needed.

    Source: tf.keras 2.4.0 `CategoryEncoding`.
    """

    accepts_integers = True

    def __init__(self, max_tokens: int | None = None, output_mode: str = "binary", sparse: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        who = f"CategoryEncoding '{self.name}'"
        if output_mode not in ("binary", "count", "tf-idf"):
            raise ValueError(f"{who} knows the output_mode 'binary', 'count' and 'tf-idf', but got {output_mode!r}.")
        if max_tokens is not None and max_tokens < 1:
            raise ValueError(f"{who} needs max_tokens of at least 1, but got {max_tokens!r}.")
        if sparse:
            raise ValueError(f"{who} gives dense tensors only: leave sparse=False.")
        self.max_tokens = max_tokens
        self.output_mode = output_mode
        self.sparse = sparse
        self._depth = max_tokens
        if output_mode == "tf-idf" and max_tokens is not None:
            self.add_weight("idf", (max_tokens,), None, "zeros", trainable=False)

    def call(self, inputs: Tensor, count_weights: Tensor | None = None) -> Tensor:
        if self._depth is None:
            raise RuntimeError(f"CategoryEncoding '{self.name}' has max_tokens=None: call adapt(data) before using it.")
        if count_weights is not None and self.output_mode != "count":
            raise ValueError(f"CategoryEncoding '{self.name}' takes count_weights in output_mode='count' only, not in {self.output_mode!r}.")
        ids = (inputs.unsqueeze(1) if inputs.dim() == 1 else inputs).long()
        ones = torch.ones(ids.shape, dtype=config.float_dtype(), device=ids.device) if count_weights is None else count_weights.view(ids.shape)
        empty = torch.zeros((ids.shape[0], self._depth), dtype=ones.dtype, device=ids.device)
        if self.output_mode == "binary":
            return empty.scatter(1, ids, ones)
        counts = empty.scatter_add(1, ids, ones)
        return counts * self.idf if self.output_mode == "tf-idf" else counts

    def adapt(self, data: Any, reset_state: bool = True) -> None:
        """Find the number of ids, and in "tf-idf" how rare they are: log(1 + samples / (1 + samples with the id)).

        Raises:
            ValueError: `reset_state=False`, or an id beyond `max_tokens`.
        """
        if not reset_state:
            raise ValueError(f"CategoryEncoding '{self.name}' takes all data at one adapt(): reset_state must be True.")
        samples = [{int(one) for one in np.atleast_1d(np.asarray(sample))} for sample in _samples(data)]
        largest = max((max(sample) for sample in samples if sample), default=-1)
        if self.max_tokens is not None and largest >= self.max_tokens:
            raise ValueError(f"CategoryEncoding '{self.name}' has max_tokens={self.max_tokens}, but adapt() got the id {largest}.")
        if self.max_tokens is None:
            self.set_num_elements(largest + 1)
        if self.output_mode == "tf-idf":
            seen = np.zeros(self._depth or 0)
            for sample in samples:
                seen[list(sample)] += 1
            self.set_tfidf_data(np.log(1 + len(samples) / (1 + seen)))

    def set_num_elements(self, num_elements: int) -> None:
        """Set the number of ids where `max_tokens` is `None`.

        Raises:
            RuntimeError: `max_tokens` is given.
            ValueError: no whole number above 0.
        """
        if self.max_tokens is not None:
            raise RuntimeError(f"CategoryEncoding '{self.name}' has max_tokens={self.max_tokens}, so the number of ids is fixed.")
        if not isinstance(num_elements, numbers.Integral) or int(num_elements) < 1:
            raise ValueError(f"CategoryEncoding '{self.name}' needs a whole number of ids above 0, but got {num_elements!r}.")
        self._depth = int(num_elements)

    def set_tfidf_data(self, tfidf_data: Any) -> None:
        """Set the weight of each id.

        Raises:
            RuntimeError: another mode than "tf-idf".
            ValueError: not one weight for each id.
        """
        if self.output_mode != "tf-idf":
            raise RuntimeError(f"CategoryEncoding '{self.name}' has weights in output_mode='tf-idf' only, not in {self.output_mode!r}.")
        values = np.asarray(tfidf_data)
        if self._depth is None:
            self.set_num_elements(len(values))
        if values.shape != (self._depth,):
            raise ValueError(
                f"CategoryEncoding '{self.name}' needs one weight for each of {self._depth} ids, but got an array of shape {values.shape}."
            )
        if not self._weight_specs:
            self.add_weight("idf", values.shape, None, "zeros", trainable=False)
        self.weights[0].assign(values)


@layer_registry.add()
class Discretization(Layer):
    """The number of the range that each value falls into.

    Args:
        bins: Boundaries, ascending: `[0.0, 1.0]` makes the ranges below 0, from 0 up to but without 1, and from 1 on.

    Shape: any -> the same, of int32.

    Raises:
        ValueError: boundaries that do not ascend.

    Source: tf.keras 2.4.0 `Discretization`.
    """

    def __init__(self, bins: Sequence[float], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.bins = [float(boundary) for boundary in bins]
        if self.bins != sorted(self.bins):
            raise ValueError(f"Discretization '{self.name}' needs bins in ascending order, but got {self.bins}.")
        self.register_buffer("_boundaries", torch.tensor(self.bins), persistent=False)

    def call(self, inputs: Tensor) -> Tensor:
        return torch.bucketize(inputs, self._boundaries, out_int32=True, right=True)


def _samples(data: Any) -> Iterable[Any]:
    """The samples of an array, a tensor or a list of either."""
    return data.detach().cpu().numpy() if isinstance(data, Tensor) else data


__all__ = ["CategoryEncoding", "CenterCrop", "Discretization", "Normalization", "Rescaling", "Resizing"]


def __getattr__(name: str) -> Any:
    return absent.lookup(__name__, name)
