"""Weights and gradients as histograms, norms and pictures."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

_LONGEST = 512  # pixels of a picture's longer side
_TILES = 64  # kernels that are shown


def weights_of(model: Any) -> Iterator[tuple[str, Tensor, Any]]:
    """Of each weight: its name for a tag, its values in Keras' layout, and the parameter that holds it (`None` where there is none).

    Args:
        model: A Keras model, or any nn.Module.
    """
    named = False
    for layer in getattr(model, "layers", ()):
        for weight in getattr(layer, "weights", ()):
            named = True
            yield weight.name.replace(":", "_"), _values(weight), _parameter(weight)
    if not named:
        for name, parameter in model.named_parameters():
            yield name.replace(".", "/"), parameter.detach(), parameter


def _values(weight: Any) -> Tensor:
    value = weight.value() if callable(getattr(weight, "value", None)) else weight
    return (value if isinstance(value, Tensor) else torch.as_tensor(np.asarray(value))).detach()


def _parameter(weight: Any) -> Any:
    found = getattr(weight, "parameter", None)
    return found if isinstance(found, Tensor) else weight if isinstance(weight, torch.nn.Parameter) else None


def histogram(writer: Any, tag: str, values: Tensor, step: int) -> bool:
    """Write the histogram of the finite values of a tensor; whether there are any."""
    values = values.detach().float().flatten().cpu()
    finite = values[values.isfinite()]
    if not len(finite):
        return False
    writer.add_histogram(tag, finite.numpy(), step)
    return True


class Gradients:
    """The gradients of one update, caught just before the optimizer uses them.

    Args:
        optimizer: A bound torch optimizer.
        model: Whose weights.
    """

    def __init__(self, optimizer: Any, model: Any) -> None:
        self.found: dict[str, Tensor] = {}
        self._model = model
        self._handle = optimizer.register_step_pre_hook(self._catch)

    def _catch(self, *unused: Any) -> None:
        if not self.found:
            for name, _, parameter in weights_of(self._model):
                if parameter is not None and parameter.grad is not None:
                    grad = parameter.grad
                    self.found[name] = (grad.coalesce().values() if grad.is_sparse else grad).detach().clone()

    def remove(self) -> None:
        """Listen no more."""
        self._handle.remove()

    def write(self, writer: Any, step: int) -> None:
        """Write histograms `<weight>_grad`, and the norms of each and of all gradients."""
        if not self.found:
            return
        missing = [name for name, grad in self.found.items() if not histogram(writer, f"{name}_grad", grad, step)]
        if missing:
            warnings.warn(f"TensorBoard found no finite gradient of {', '.join(missing)} in the first batch of epoch {step + 1}.", stacklevel=2)
        norms = torch.stack([grad.float().norm() for grad in self.found.values()])
        for name, norm in zip(self.found, norms.tolist(), strict=True):
            writer.add_scalar(f"grads_norm/{name}", norm, step)
        writer.add_scalar("grads_norm/all", norms.norm().item(), step)


def write_weights(writer: Any, model: Any, step: int, images: bool) -> None:
    """Write a histogram and the norm of each weight, and where asked for a picture of it, in the tag `<weight>/image`."""
    found = list(weights_of(model))
    for name, values, _ in found:
        histogram(writer, name, values, step)
        if images:
            picture = as_picture(values.float().cpu().numpy())
            if picture is not None:
                writer.add_image(f"{name}/image", picture, step, dataformats="HWC")
    if found:
        norms = torch.stack([values.float().norm() for _, values, _ in found]).tolist()
        for (name, _, _), norm in zip(found, norms, strict=True):
            writer.add_scalar(f"weights_norm/{name}", norm, step)


def as_picture(weight: np.ndarray) -> np.ndarray | None:
    """A weight as a picture (height, width, 1 or 3), grey from its lowest to its highest value; `None` for those with too many axes.

    A vector is a row of squares, a matrix lies on its longer side, and the kernels of a convolution stand side by side: those on one or three
    channels as they are, others averaged over their input channels.

    Args:
        weight: In Keras' layout; axes of length 1 do not count.
    """
    values = np.squeeze(weight)
    if values.ndim <= 1:
        values = values.reshape(1, -1)
    if values.ndim == 2:
        picture = (values.T if values.shape[0] > values.shape[1] else values)[:, :, None]
    elif values.ndim == 3:  # (height, width, kernels)
        picture = _grid([values[:, :, number][:, :, None] for number in range(min(values.shape[2], _TILES))])
    elif values.ndim == 4:  # (height, width, channels, kernels)
        tiles = [values[:, :, :, number] for number in range(min(values.shape[3], _TILES))]
        picture = _grid(tiles if values.shape[2] == 3 else [tile.mean(axis=2, keepdims=True) for tile in tiles])
    else:
        return None
    return _enlarged(_scaled(picture))


def _grid(tiles: list[np.ndarray]) -> np.ndarray:
    """Pictures side by side in a square, with gaps (NaN) between them."""
    height, width, channels = tiles[0].shape
    columns = int(np.ceil(np.sqrt(len(tiles))))
    rows = -(-len(tiles) // columns)
    grid = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1, channels), np.nan, dtype=np.float32)
    for number, tile in enumerate(tiles):
        top, left = number // columns * (height + 1), number % columns * (width + 1)
        grid[top : top + height, left : left + width] = tile
    return grid


def _scaled(picture: np.ndarray) -> np.ndarray:
    """Values as bytes, from the lowest to the highest; gaps and values that are no numbers are white."""
    finite = np.isfinite(picture)
    if not finite.any():
        return np.full(picture.shape, 255, dtype=np.uint8)
    low, high = picture[finite].min(), picture[finite].max()
    scaled = np.zeros_like(picture) if high == low else (picture - low) / (high - low) * 255
    return np.where(finite, np.nan_to_num(scaled), 255).astype(np.uint8)


def _enlarged(picture: np.ndarray) -> np.ndarray:
    """Small pictures with squares for pixels, large ones with every n-th pixel."""
    longest = max(picture.shape[:2])
    factor = max(1, min(16, 256 // longest))
    step = -(-longest // _LONGEST)
    return picture[::step, ::step].repeat(factor, axis=0).repeat(factor, axis=1)
