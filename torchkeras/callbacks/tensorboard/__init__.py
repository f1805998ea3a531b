"""TensorBoard: what training writes for it."""

from torchkeras.callbacks.tensorboard.callback import TensorBoard

__all__ = ["TensorBoard"]
