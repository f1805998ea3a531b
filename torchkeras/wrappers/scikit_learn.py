"""Keras models as scikit-learn estimators, for pipelines, cross-validation and searches.

Needs scikit-learn: `pip install torchkeras-native[sklearn]`.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

from torchkeras import losses
from torchkeras.models import Model
from torchkeras.utils.np_utils import to_categorical


class BaseWrapper(BaseEstimator):
    """Base of the two wrappers.

    Args:
        build_fn: Makes a compiled model; `None`: the class's own `__call__` does.
        **sk_params: Arguments of `build_fn`, and of `fit`, `predict` and `evaluate` (`epochs`, `batch_size`, ...).

    Raises:
        ValueError: an argument that none of them takes.

    Source: Keras 2.2.4 `keras.wrappers.scikit_learn`.
    """

    def __init__(self, build_fn: Callable[..., Any] | None = None, **sk_params: Any) -> None:
        self.build_fn = build_fn
        self.sk_params = sk_params
        self.check_params(sk_params)

    def _builder(self) -> Callable[..., Any]:
        return self.build_fn if self.build_fn is not None else self.__call__  # type: ignore[attr-defined]

    def check_params(self, params: dict[str, Any]) -> None:
        """Refuse arguments that no function takes.

        Raises:
            ValueError: such an argument.
        """
        known = {"nb_epoch", *(name for function in (Model.fit, Model.predict, Model.evaluate) for name in inspect.signature(function).parameters)}
        if self.build_fn is None and not hasattr(self, "__call__"):  # noqa: B004
            return
        takes = inspect.signature(self._builder()).parameters
        if any(parameter.kind is parameter.VAR_KEYWORD for parameter in takes.values()):
            return
        for name in params:
            if name not in known and name not in takes:
                raise ValueError(f"{name!r} is an argument neither of build_fn nor of fit, predict or evaluate.")

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The arguments, as scikit-learn's searches and `clone` ask for them."""
        return {**copy.copy(self.sk_params), "build_fn": self.build_fn}

    def set_params(self, **params: Any) -> BaseWrapper:
        """Change arguments.

        Raises:
            ValueError: one that no function takes.
        """
        given = dict(params)
        self.build_fn = given.pop("build_fn", self.build_fn)
        self.check_params(given)
        self.sk_params.update(given)
        return self

    def filter_sk_params(self, fn: Callable[..., Any], override: dict[str, Any] | None = None) -> dict[str, Any]:
        """Those of the arguments that a function takes.

        Args:
            fn: The function.
            override: Arguments that go before them.
        """
        takes = inspect.signature(fn).parameters
        found = {name: value for name, value in self.sk_params.items() if name in takes}
        return {**found, **(override or {})}

    def fit(self, x: Any, y: Any, **kwargs: Any) -> Any:
        """Make the model and train it.

        Args:
            x: Samples.
            y: Targets.
            **kwargs: Of `Model.fit`, before those of the constructor.

        Returns:
            The estimator; the training's History is `history_`.
        """
        self.model = self._builder()(**self.filter_sk_params(self._builder()))
        if _is_categorical(self.model) and np.ndim(y) != 2:
            y = to_categorical(y)
        given = self.filter_sk_params(Model.fit, kwargs)
        if "nb_epoch" in self.sk_params:
            given.setdefault("epochs", self.sk_params["nb_epoch"])
        self.history_ = self.model.fit(np.asarray(x), np.asarray(y), **given)
        self.n_features_in_ = np.shape(x)[-1]
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model")


class KerasClassifier(ClassifierMixin, BaseWrapper):
    """A model that classifies; the arguments are those of BaseWrapper.

    Source: Keras 2.2.4 `KerasClassifier`.
    """

    def fit(self, x: Any, y: Any, sample_weight: Any = None, **kwargs: Any) -> Any:
        """Make the model and train it.

        Args:
            x: Samples.
            y: Class labels (n,) of any type, or one-hot rows (n, classes).
            sample_weight: Weight of each sample.
            **kwargs: Of `Model.fit`.

        Raises:
            ValueError: targets of another shape.
        """
        y = np.asarray(y)
        if y.ndim == 2 and y.shape[1] > 1:
            self.classes_ = np.arange(y.shape[1])
        elif y.ndim == 1 or (y.ndim == 2 and y.shape[1] == 1):
            self.classes_ = np.unique(y)
            y = np.searchsorted(self.classes_, y)
        else:
            raise ValueError(f"Targets of a classifier have the shape (n,) or (n, classes), but got {y.shape}.")
        self.n_classes_ = len(self.classes_)
        if sample_weight is not None:
            kwargs["sample_weight"] = sample_weight
        return super().fit(x, y, **kwargs)

    def predict(self, x: Any, **kwargs: Any) -> np.ndarray:
        """The likeliest class of each sample."""
        probabilities = self.model.predict(np.asarray(x), **self._quiet(kwargs))
        chosen = probabilities.argmax(axis=-1) if probabilities.shape[-1] > 1 else (probabilities > 0.5).astype("int32")[:, 0]
        return self.classes_[chosen]

    def predict_proba(self, x: Any, **kwargs: Any) -> np.ndarray:
        """Probability of each class: (n, classes), also where the model has one output."""
        probabilities = self.model.predict(np.asarray(x), **self._quiet(kwargs))
        return np.hstack([1 - probabilities, probabilities]) if probabilities.shape[1] == 1 else probabilities

    def _quiet(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in self.filter_sk_params(Model.predict, kwargs).items() if name not in ("x", "callbacks", "steps")}

    def score(self, x: Any, y: Any, sample_weight: Any = None, **kwargs: Any) -> float:
        """Share of samples that are classified right."""
        y = np.asarray(y)
        labels = self.classes_[y.argmax(axis=-1)] if y.ndim == 2 and y.shape[1] > 1 else y.reshape(-1)
        return float(np.average(self.predict(x, **kwargs) == labels, weights=sample_weight))


class KerasRegressor(RegressorMixin, BaseWrapper):
    """A model that predicts numbers; the arguments are those of BaseWrapper.

    Source: Keras 2.2.4 `KerasRegressor`.
    """

    def predict(self, x: Any, **kwargs: Any) -> np.ndarray:
        """The predicted numbers."""
        given = {name: value for name, value in self.filter_sk_params(Model.predict, kwargs).items() if name not in ("x", "callbacks", "steps")}
        return np.squeeze(self.model.predict(np.asarray(x), **given), -1)

    def score(self, x: Any, y: Any, sample_weight: Any = None, **kwargs: Any) -> float:
        """The opposite of the compiled loss on this data, as in Keras: larger is better."""
        given = {name: value for name, value in self.filter_sk_params(Model.evaluate, kwargs).items() if name not in ("x", "y", "callbacks", "steps")}
        given.setdefault("verbose", 0)
        loss = self.model.evaluate(np.asarray(x), np.asarray(y), sample_weight=sample_weight, **given)
        return -float(loss[0] if isinstance(loss, list) else loss)


def _is_categorical(model: Any) -> bool:
    loss = model.loss
    return (loss.__name__ if callable(loss) and hasattr(loss, "__name__") else loss) == losses.categorical_crossentropy.__name__
