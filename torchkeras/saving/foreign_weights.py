"""Weights of one layer as another Keras wrote them, in the order and shapes that the layers have here.

Keras 1 splits the gates of recurrent layers and keeps kernels for channels first in Theano's shape; Keras on Theano has kernels that
convolve rather than correlate; `LSTM` and `CuDNNLSTM` have the same numbers in other shapes.

Source: Keras 1.2.2, `keras.engine.saving.preprocess_weights_for_loading` of Keras 2.2.4.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from torchkeras.layers.base import Layer
from torchkeras.saving.weight_groups import Origin

Array = np.ndarray[Any, Any]
Arrays = list[Array]

_GATES = {"LSTM": (0, 2, 1, 3), "ConvLSTM2D": (0, 2, 1, 3), "GRU": (0, 1, 2)}  # Keras 1's place of each of today's gates
_TRANSPOSED = {("Conv2DTranspose", "channels_last"): (0, 1, 3, 2), ("Conv2DTranspose", "channels_first"): (2, 3, 0, 1)}
_CONVOLUTIONS = ("Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose", "ConvLSTM2D")


def is_keras1(origin: Origin) -> bool:
    """Whether weights come from Keras 1, whose weights-only files do not say so."""
    return origin.keras_version.split(".")[0] == "1"


def to_keras2(layer: Any, arrays: Sequence[Array], origin: Origin) -> Arrays:
    """The arrays of a file for one layer, in the order and shapes of `layer.weights`.

    Args:
        layer: The layer or nested model that they are for.
        arrays: What the file has for it, in its order; gradients' moments of the same shapes work as well.
        origin: Which Keras wrote them.
    """
    kind = _kind(layer)
    if kind == "Bidirectional":
        forward, backward = _sides(layer, list(arrays), origin)
        return _joined([(layer.forward_layer, to_keras2(layer.forward_layer, forward, origin)),
                        (layer.backward_layer, to_keras2(layer.backward_layer, backward, origin))])  # fmt: skip
    if kind == "TimeDistributed":
        return to_keras2(layer.layer, arrays, origin)
    if getattr(layer, "is_graph_network", False):
        return _nested(layer, list(arrays), origin)
    found = list(arrays)
    if is_keras1(origin):
        found = _from_keras1(kind, layer, found)
    if origin.backend == "theano" and kind in _CONVOLUTIONS and found:
        kernels = 2 if kind == "ConvLSTM2D" else 1
        found[:kernels] = [_flipped(array) for array in found[:kernels]]
    return _between_cudnn(kind, layer, found)


def _kind(layer: Any) -> str:
    """The library's name of the layer's class, also where the user subclassed it."""
    return next(
        (base.__name__ for base in type(layer).__mro__ if base.__module__.startswith("torchkeras.") and ".keras1." not in base.__module__),
        type(layer).__name__,
    )


def count_in_file(layer: Any, origin: Origin, trainable: bool) -> int:
    """How many of a layer's trainable or other weights a file of that origin has."""
    kind = _kind(layer)
    if kind == "Bidirectional":
        return sum(count_in_file(side, origin, trainable) for side in (layer.forward_layer, layer.backward_layer))
    if kind == "TimeDistributed":
        return count_in_file(layer.layer, origin, trainable)
    if getattr(layer, "is_graph_network", False):
        return sum(count_in_file(inner, origin, trainable) for inner in layer.layers)
    if not isinstance(layer, Layer):
        return 0
    count = len(layer.trainable_weights if trainable else layer.non_trainable_weights)
    return count * len(_GATES[kind]) if _is_split(kind, layer, origin) else count


def _is_split(kind: str, layer: Any, origin: Origin) -> bool:
    return is_keras1(origin) and kind in _GATES and getattr(layer, "implementation", None) != 2


def _sides(layer: Any, arrays: Arrays, origin: Origin) -> tuple[Arrays, Arrays]:
    """The weights of the two layers of a `Bidirectional`: those that are trained stand first."""
    first, second = layer.forward_layer, layer.backward_layer
    cuts = np.cumsum([count_in_file(side, origin, trainable) for trainable in (True, False) for side in (first, second)])
    a, b, c, _ = cuts
    return arrays[:a] + arrays[b:c], arrays[a:b] + arrays[c:]


def _nested(model: Any, arrays: Arrays, origin: Origin) -> Arrays:
    """The weights of a nested model: those of all its layers that are trained, then the others."""
    cut = count_in_file(model, origin, trainable=True)
    trained, other = arrays[:cut], arrays[cut:]
    parts = []
    for layer in model.layers:
        ours, rest = (count_in_file(layer, origin, trainable) for trainable in (True, False))
        if ours + rest:
            parts.append((layer, to_keras2(layer, trained[:ours] + other[:rest], origin)))
        trained, other = trained[ours:], other[rest:]
    return _joined(parts)


def _joined(parts: Sequence[tuple[Any, Arrays]]) -> Arrays:
    """What is trained of all parts, then the rest."""
    cuts = [len(layer.trainable_weights) for layer, _ in parts]
    return [array for cut, (_, arrays) in zip(cuts, parts, strict=True) for array in arrays[:cut]] + [
        array for cut, (_, arrays) in zip(cuts, parts, strict=True) for array in arrays[cut:]
    ]


def _from_keras1(kind: str, layer: Any, arrays: Arrays) -> Arrays:
    if kind in _GATES and len(arrays) == 3 * len(_GATES[kind]):
        arrays = [np.concatenate([arrays[3 * gate + what] for gate in _GATES[kind]], axis=_gate_axis(layer, what)) for what in range(3)]
    data_format = getattr(layer, "data_format", None)
    if kind == "Conv1D" and arrays and arrays[0].ndim == 4:
        if arrays[0].shape[:2] != (layer.kernel_size[0], 1) or arrays[0].shape[3] != layer.filters:  # releases before 1.2
            arrays[0] = arrays[0].transpose(2, 3, 1, 0)
        arrays[0] = arrays[0][:, 0]
    elif (kind, data_format) in _TRANSPOSED and arrays:
        arrays[0] = arrays[0].transpose(_TRANSPOSED[kind, data_format])  # type: ignore[index]
    elif kind in ("Conv2D", "Conv3D", "SeparableConv2D", "ConvLSTM2D") and data_format == "channels_first":
        kernels = 1 if kind in ("Conv2D", "Conv3D") else 2
        arrays[:kernels] = [_from_theano(array) for array in arrays[:kernels]]
    return arrays


def _gate_axis(layer: Any, what: int) -> int:
    # Theano's kernels have the filters first
    return 0 if getattr(layer, "data_format", None) == "channels_first" and what < 2 else -1


def _from_theano(kernel: Array) -> Array:
    """(out, in, *window) -> (*window, in, out)."""
    return kernel.transpose(*range(2, kernel.ndim), 1, 0)


def _flipped(kernel: Array) -> Array:
    """A kernel for convolution as one for correlation, and the other way round."""
    return np.flip(kernel, tuple(range(kernel.ndim - 2))) if 3 <= kernel.ndim <= 5 else kernel


def _between_cudnn(kind: str, layer: Any, arrays: Arrays) -> Arrays:
    """From the form of cuDNN's layers to that of the others, or back, where the file has the one and the layer is the other."""
    family, gates = ("LSTM", 4) if kind.endswith("LSTM") else ("GRU", 3)
    if kind not in (family, f"CuDNN{family}") or len(arrays) != 3 or arrays[1].ndim != 2:
        return arrays
    units = arrays[1].shape[0]
    cudnn = arrays[2].shape == (2 * gates * units,)
    if cudnn == kind.startswith("CuDNN") or (family == "GRU" and not cudnn and arrays[2].ndim == 1):
        return arrays
    kernel = _each_gate(arrays[0], gates, lambda part: part.T.reshape(part.shape, order="F" if cudnn else "C"))
    recurrent = _each_gate(arrays[1], gates, lambda part: part.T)
    if family == "GRU":
        bias = arrays[2].reshape(2, -1) if cudnn else arrays[2].reshape(-1)
    else:
        bias = arrays[2].reshape(2, -1).sum(axis=0) if cudnn else np.tile(0.5 * arrays[2], 2)
    return [kernel, recurrent, bias]


def _each_gate(kernel: Array, gates: int, change: Any) -> Array:
    return np.hstack([change(part) for part in np.hsplit(kernel, gates)])
