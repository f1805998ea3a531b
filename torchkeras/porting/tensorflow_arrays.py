"""Functions of TensorFlow on tensors that are more than another name of a function of K."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from torchkeras import backend as K
from torchkeras.porting.tensorflow_types import dtype_name


def print_tensors(*values: Any, output_stream: Any = None, sep: str = " ", end: str = "\n", **kwargs: Any) -> None:
    """Print values, tensors as their numbers."""
    plain = [value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else value for value in values]
    print(*plain, sep=sep, end=end, file=output_stream if hasattr(output_stream, "write") else sys.stderr)


def range_(start: Any, limit: Any = None, delta: Any = 1, dtype: Any = None, name: str | None = None) -> Any:
    """Numbers from `start` up to `limit`."""
    start, limit = (0, start) if limit is None else (start, limit)
    whole = all(float(one) == int(one) and not isinstance(one, float) for one in (start, limit, delta))
    return K.arange(start, limit, delta, dtype=dtype_name(dtype) if dtype is not None else "int32" if whole else "float32")


def gather(params: Any, indices: Any, axis: int = 0, name: str | None = None) -> Any:
    """Slices of `params` at `indices`, along an axis."""
    tensor, places = torch.as_tensor(params), torch.as_tensor(indices).long()
    axis = axis % tensor.ndim
    return tensor.index_select(axis, places.reshape(-1)).reshape(*tensor.shape[:axis], *places.shape, *tensor.shape[axis + 1 :])


def split(value: Any, num_or_size_splits: Any, axis: int = 0, name: str | None = None) -> list[Any]:
    """Pieces along an axis: so many equal ones, or of these sizes."""
    if isinstance(num_or_size_splits, int):
        return list(torch.split(value, value.shape[axis] // num_or_size_splits, dim=axis))
    return list(torch.split(value, list(num_or_size_splits), dim=axis))


def unstack(value: Any, num: int | None = None, axis: int = 0, name: str | None = None) -> list[Any]:
    """The slices along an axis."""
    return list(torch.unbind(value, dim=axis))


def norm(tensor: Any, ord: Any = "euclidean", axis: Any = None, keepdims: bool = False, name: str | None = None) -> Any:
    """Length of vectors along an axis, or of everything."""
    return torch.linalg.vector_norm(tensor, 2 if ord == "euclidean" else ord, dim=axis, keepdim=keepdims)


def reduce_all(input_tensor: Any, axis: Any = None, keepdims: bool = False, name: str | None = None) -> Any:
    """Whether all are true."""
    return K.all(input_tensor, axis=axis, keepdims=keepdims)


def reduce_any(input_tensor: Any, axis: Any = None, keepdims: bool = False, name: str | None = None) -> Any:
    """Whether any is true."""
    return K.any(input_tensor, axis=axis, keepdims=keepdims)


def top_k(input: Any, k: int = 1, sorted: bool = True, name: str | None = None) -> Any:
    """The largest values of the last axis, and their places."""
    return torch.topk(torch.as_tensor(input), k, sorted=sorted)


def identity(input: Any, name: str | None = None) -> Any:
    """The tensor itself."""
    return torch.as_tensor(input)


def fill(dims: Sequence[int], value: Any, name: str | None = None) -> Any:
    """A tensor of one value."""
    return torch.as_tensor(value).expand(tuple(int(size) for size in dims)).clone()


def eye(num_rows: int, num_columns: int | None = None, dtype: Any = "float32", name: str | None = None) -> Any:
    """A matrix of zeros with ones on its diagonal."""
    return torch.eye(num_rows, num_columns or num_rows, dtype=getattr(torch, dtype_name(dtype)))


def linspace(start: Any, stop: Any, num: int, name: str | None = None) -> Any:
    """Evenly spaced numbers."""
    return torch.from_numpy(np.linspace(start, stop, num, dtype="float32"))


def shuffle(value: Any, seed: int | None = None, name: str | None = None) -> Any:
    """The rows in a random order."""
    tensor = torch.as_tensor(value)
    source = None if seed is None else torch.Generator().manual_seed(seed)
    return tensor[torch.randperm(len(tensor), generator=source)]


def stop_gradient(input: Any, name: str | None = None) -> Any:
    """The tensor, as a constant."""
    return K.stop_gradient(input)
