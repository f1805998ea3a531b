"""`Input` and the layer that stands at the start of a graph."""

from __future__ import annotations

from typing import Any

import torch

from torchkeras import config, generations
from torchkeras.layers.base import Layer, layer_registry
from torchkeras.layers.naming import unique_name
from torchkeras.layers.nodes import Node
from torchkeras.layers.raw_modules import watch_modules
from torchkeras.layers.symbolic import KerasTensor
from torchkeras.shapes import as_shape


@layer_registry.add()
class InputLayer(Layer):
    """Start of a graph: holds the shape and type of one input.

    Args:
        input_shape: Shape without the batch axis.
        batch_size: Fixed batch size, or `None`.
        dtype: Name of the type; `None`: `floatx()`.
        input_tensor: A symbolic tensor to use instead of making one.
        sparse, ragged: Not to be had here.
        name: Unique name; `None`: `input_1`, ...

    Raises:
        ValueError: no shape, or a sparse or ragged input.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `InputLayer`.
    """

    config_omits = ("input_shape", "batch_size", "input_tensor", "sparse", "ragged")
    supports_masking = True

    def __init__(
        self,
        input_shape: Any = None,
        batch_size: int | None = None,
        dtype: Any = None,
        input_tensor: Any = None,
        sparse: bool = False,
        name: str | None = None,
        ragged: bool = False,
        **kwargs: Any,
    ) -> None:
        if sparse or ragged:
            raise ValueError("InputLayer makes dense inputs only: give dense arrays, or lists of unequal sequences to fit().")
        batch_shape = kwargs.pop("batch_input_shape", None)
        if batch_shape is None:
            batch_shape = kwargs.pop("batch_shape", None)
        if batch_shape is None and input_tensor is not None:
            batch_shape = tuple(input_tensor.shape)
        if batch_shape is None:
            if input_shape is None:
                raise ValueError("An input needs a shape: give shape=(...) without the batch axis, or batch_shape=(...).")
            batch_shape = (batch_size, *as_shape(input_shape))
        super().__init__(name=name or unique_name("input", first_index=1), dtype=dtype, batch_input_shape=batch_shape, **kwargs)
        self.built = True
        self.sparse, self.ragged = False, False
        self.input_dtype = dtype_of(dtype) if dtype is not None else config.float_dtype()
        made = input_tensor if isinstance(input_tensor, KerasTensor) else KerasTensor.placeholder(as_shape(batch_shape), self.input_dtype, self.name)
        self._trials = made.trials
        Node(self, (), {}, made)
        watch_modules([made])

    @property
    def input(self) -> Any:
        """The symbolic tensor itself, as Keras has it."""
        return self.output

    def get_input_at(self, node_index: int) -> Any:
        """The symbolic tensor itself, as Keras has it."""
        return self.get_output_at(node_index)

    @property
    def dtype(self) -> str:
        return str(self.input_dtype).removeprefix("torch.")

    def get_config(self) -> dict[str, Any]:
        found: dict[str, Any] = {"batch_input_shape": self._batch_input_shape, "dtype": self.dtype, "sparse": False}
        if generations.choose("config.ragged"):
            found["ragged"] = False
        return {**found, "name": self.name}


def dtype_of(dtype: Any) -> torch.dtype:
    """A torch dtype from its name, a NumPy type or itself.

    Raises:
        ValueError: no such type.
    """
    if isinstance(dtype, torch.dtype):
        return dtype
    found = getattr(torch, str(getattr(dtype, "__name__", dtype)), None)
    if not isinstance(found, torch.dtype):
        raise ValueError(f"{dtype!r} is no data type; names are such as 'float32', 'int32', 'bool', 'uint8'.")
    return found


def Input(
    shape: Any = None,
    batch_size: int | None = None,
    name: str | None = None,
    dtype: Any = None,
    sparse: bool = False,
    tensor: Any = None,
    ragged: bool = False,
    *,
    batch_shape: Any = None,
    **kwargs: Any,
) -> KerasTensor:
    """Symbolic tensor to start a functional model with.

    Args:
        shape: Shape without the batch axis; `None` dimensions are unknown.
        batch_size: Fixed batch size, or `None`.
        name: Name of the input layer.
        dtype: Name of the type; `None`: `floatx()`.
        sparse, ragged: Not to be had here.
        tensor: A symbolic tensor to use instead of making one.
        batch_shape: Shape with the batch axis, instead of `shape`.
        **kwargs: `input_shape`, as some programs write it.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `Input`.
    """
    if isinstance(batch_size, (tuple, list)):  # Keras 2.2.4: Input(shape, batch_shape, ...)
        batch_shape, batch_size = batch_size, None
    shape = kwargs.pop("input_shape", shape)
    if kwargs:
        raise TypeError(f"Input got an unexpected keyword argument {next(iter(kwargs))!r}.")
    if isinstance(shape, int):
        shape = (shape,)
    if batch_shape is not None:
        layer = InputLayer(dtype=dtype, input_tensor=tensor, sparse=sparse, ragged=ragged, name=name, batch_input_shape=tuple(batch_shape))
    else:
        layer = InputLayer(input_shape=shape, batch_size=batch_size, dtype=dtype, input_tensor=tensor, sparse=sparse, ragged=ragged, name=name)
    return layer.inbound_nodes[0].outputs[0]
