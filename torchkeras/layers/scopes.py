"""Words of tf.keras' layers for graphs of TensorFlow, in their plain meaning."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Any, TypeVar

import torch

from torchkeras import config
from torchkeras.layers.input_spec import InputSpec
from torchkeras.shapes import as_shape

Method = TypeVar("Method", bound=Callable[..., Any])


class Scopes:
    """Names for what a layer makes, and shapes with their types."""

    name: str

    @property
    def name_scope(self) -> contextlib.AbstractContextManager[str]:
        """For `with layer.name_scope:`, which gives the layer's name and a slash. Operations have no names here, so that nothing else changes."""
        return contextlib.nullcontext(f"{self.name}/")

    @classmethod
    def with_name_scope(cls, method: Method) -> Method:
        """Decorator for a method, which runs within `name_scope`."""

        @functools.wraps(method)
        def within(self: Any, *args: Any, **kwargs: Any) -> Any:
            with self.name_scope:
                return method(self, *args, **kwargs)

        return within  # type: ignore[return-value]

    def compute_output_signature(self, input_signature: Any) -> Any:
        """Shape and type of the output, as an `InputSpec` or a list of them.

        Args:
            input_signature: What has a `shape` and a `dtype` (an `InputSpec`, a symbolic or a real tensor), or a list of such.

        Raises:
            TypeError: something without a shape and a type.

        Source: tf.keras 2.4.0 `Layer.compute_output_signature`, whose TensorSpec is InputSpec here.
        """
        several = isinstance(input_signature, (list, tuple))
        given = list(input_signature) if several else [input_signature]
        for one in given:
            if getattr(one, "shape", None) is None or not hasattr(one, "dtype"):
                raise TypeError(
                    f"compute_output_signature of layer '{self.name}' takes what has a shape and a dtype, but got {one!r:.80}. "
                    "Give InputSpec(shape=..., dtype=...), or ask compute_output_shape() for a shape alone."
                )
        shapes = [as_shape(one.shape) for one in given]
        found = self.compute_output_shape(shapes if several else shapes[0])  # type: ignore[attr-defined]
        dtype = str(self.dtype or given[0].dtype or config.floatx()).removeprefix("torch.")  # type: ignore[attr-defined]
        if isinstance(found, list) and found and isinstance(found[0], (list, tuple, torch.Size)):
            return [InputSpec(shape=one, dtype=dtype) for one in found]
        return InputSpec(shape=found, dtype=dtype)
