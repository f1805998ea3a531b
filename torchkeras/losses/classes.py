"""The loss classes of tf.keras: each a function of this package with a reduction."""

from __future__ import annotations

from torchkeras.losses.base import LossFunctionWrapper
from torchkeras.losses.crossentropy import binary_crossentropy, categorical_crossentropy, kl_divergence, sparse_categorical_crossentropy
from torchkeras.losses.losses_utils import Reduction
from torchkeras.losses.margin import categorical_hinge, hinge, squared_hinge
from torchkeras.losses.regression import (
    cosine_similarity,
    huber,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
)


class MeanSquaredError(LossFunctionWrapper):
    """`mean_squared_error` with a reduction."""

    def __init__(self, reduction: str = Reduction.AUTO, name: str | None = "mean_squared_error") -> None:
        super().__init__(mean_squared_error, reduction=reduction, name=name)


class MeanAbsoluteError(LossFunctionWrapper):
    """`mean_absolute_error` with a reduction."""

    def __init__(self, reduction: str = Reduction.AUTO, name: str | None = "mean_absolute_error") -> None:
        super().__init__(mean_absolute_error, reduction=reduction, name=name)


class MeanAbsolutePercentageError(LossFunctionWrapper):
    """`mean_absolute_percentage_error` with a reduction."""

    def __init__(self, reduction: str = Reduction.AUTO, name: str | None = "mean_absolute_percentage_error") -> None:
        super().__init__(mean_absolute_percentage_error, reduction=reduction, name=name)


class MeanSquaredLogarithmicError(LossFunctionWrapper):
    """`mean_squared_logarithmic_error` with a reduction."""

    def __init__(self, reduction: str = Reduction.AUTO, name: str | None = "mean_squared_logarithmic_error") -> None:
        super().__init__(mean_squared_logarithmic_error, reduction=reduction, name=name)


class BinaryCrossentropy(LossFunctionWrapper):
    """`binary_crossentropy` with a reduction.

    Args:
        from_logits: Whether predictions are scores before a sigmoid.
        label_smoothing: Share of each target moved to 1/2, 0 to 1.
        reduction: One of `Reduction`.
        name: Name in logs.
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0,
        reduction: str = Reduction.AUTO,
        name: str | None = "binary_crossentropy",
    ) -> None:
        super().__init__(binary_crossentropy, reduction=reduction, name=name, from_logits=from_logits, label_smoothing=label_smoothing)
        self.from_logits = from_logits


class CategoricalCrossentropy(LossFunctionWrapper):
    """`categorical_crossentropy` with a reduction.

    Args:
        from_logits: Whether predictions are scores before a softmax.
        label_smoothing: Share of each target spread over all classes, 0 to 1.
        reduction: One of `Reduction`.
        name: Name in logs.
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0,
        reduction: str = Reduction.AUTO,
        name: str | None = "categorical_crossentropy",
    ) -> None:
        super().__init__(categorical_crossentropy, reduction=reduction, name=name, from_logits=from_logits, label_smoothing=label_smoothing)


class SparseCategoricalCrossentropy(LossFunctionWrapper):
    """`sparse_categorical_crossentropy` with a reduction.

    Args:
        from_logits: Whether predictions are scores before a softmax.
        reduction: One of `Reduction`.
        name: Name in logs.
    """

    def __init__(self, from_logits: bool = False, reduction: str = Reduction.AUTO, name: str | None = "sparse_categorical_crossentropy") -> None:
        super().__init__(sparse_categorical_crossentropy, reduction=reduction, name=name, from_logits=from_logits)


class Hinge(LossFunctionWrapper):
    """`hinge` with a reduction."""

    def __init__(self, reduction: str = Reduction.AUTO, name: str | None = "hinge") -> None:
        super().__init__(hinge, reduction=reduction, name=name)


class SquaredHinge(LossFunctionWrapper):
    """`squared_hinge` with a reduction."""

    def __init__(self, reduction: str = Reduction.AUTO, name: str | None = "squared_hinge") -> None:
        super().__init__(squared_hinge, reduction=reduction, name=name)


class CategoricalHinge(LossFunctionWrapper):
    """`categorical_hinge` with a reduction."""

    def __init__(self, reduction: str = Reduction.AUTO, name: str | None = "categorical_hinge") -> None:
        super().__init__(categorical_hinge, reduction=reduction, name=name)


class Poisson(LossFunctionWrapper):
    """`poisson` with a reduction."""

    def __init__(self, reduction: str = Reduction.AUTO, name: str | None = "poisson") -> None:
        super().__init__(poisson, reduction=reduction, name=name)


class LogCosh(LossFunctionWrapper):
    """`log_cosh` with a reduction."""

    def __init__(self, reduction: str = Reduction.AUTO, name: str | None = "log_cosh") -> None:
        super().__init__(log_cosh, reduction=reduction, name=name)


class KLDivergence(LossFunctionWrapper):
    """`kl_divergence` with a reduction."""

    def __init__(self, reduction: str = Reduction.AUTO, name: str | None = "kl_divergence") -> None:
        super().__init__(kl_divergence, reduction=reduction, name=name)


class Huber(LossFunctionWrapper):
    """`huber` with a reduction.

    Args:
        delta: Where the quadratic part ends, in the unit of the target; above 0.
        reduction: One of `Reduction`.
        name: Name in logs.
    """

    def __init__(self, delta: float = 1.0, reduction: str = Reduction.AUTO, name: str | None = "huber_loss") -> None:
        super().__init__(huber, reduction=reduction, name=name, delta=delta)


class CosineSimilarity(LossFunctionWrapper):
    """`cosine_similarity` with a reduction.

    Args:
        axis: The axis of the vectors.
        reduction: One of `Reduction`.
        name: Name in logs.
    """

    def __init__(self, axis: int = -1, reduction: str = Reduction.AUTO, name: str | None = "cosine_similarity") -> None:
        super().__init__(cosine_similarity, reduction=reduction, name=name, axis=axis)
