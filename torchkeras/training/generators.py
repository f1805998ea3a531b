"""`fit_generator`, `evaluate_generator`, `predict_generator`: the older names of `fit`, `evaluate` and `predict` on what gives batches."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from torchkeras.graph.network import Network

F = TypeVar("F", bound=Callable[..., Any])

# what Keras 1 called arguments of the generator methods
_KERAS1 = {"nb_epoch": "epochs", "max_q_size": "max_queue_size", "nb_worker": "workers", "pickle_safe": "use_multiprocessing"}


def _keras1_names(**others: str) -> Callable[[F], F]:
    """Decorator: keyword arguments may have the names of Keras 1."""
    names: Mapping[str, str] = {**_KERAS1, **others}

    def decorate(method: F) -> F:
        @functools.wraps(method)
        def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
            for old, new in names.items():
                if old in kwargs:
                    if new in kwargs:
                        raise TypeError(f"{method.__name__} got {old} and {new}, which are one argument: give {new}.")
                    kwargs[new] = kwargs.pop(old)
            return method(self, *args, **kwargs)

        return cast(F, wrapper)

    return decorate


class GeneratorCalls(Network):
    """Training, evaluation and prediction on generators."""

    fit: Callable[..., Any]
    evaluate: Callable[..., Any]
    predict: Callable[..., Any]

    @_keras1_names()
    def fit_generator(
        self,
        generator: Any,
        steps_per_epoch: int | None = None,
        epochs: int = 1,
        verbose: int = 1,
        callbacks: Any = None,
        validation_data: Any = None,
        validation_steps: int | None = None,
        validation_freq: Any = 1,
        class_weight: Any = None,
        max_queue_size: int = 10,
        workers: int = 1,
        use_multiprocessing: bool = False,
        shuffle: bool = True,
        initial_epoch: int = 0,
    ) -> Any:
        """Train on what gives batches; `fit` does the same.

        Args:
            generator: A generator, Sequence, DataLoader, ... of (x, y) or (x, y, sample_weight).
            steps_per_epoch, epochs, verbose, callbacks, validation_data, validation_steps, validation_freq: As for `fit`.
            class_weight, max_queue_size, workers, use_multiprocessing, shuffle, initial_epoch: As for `fit`.

        Returns:
            The `History` of the run.
        """
        return self.fit(
            generator,
            steps_per_epoch=steps_per_epoch,
            epochs=epochs,
            verbose=verbose,
            callbacks=callbacks,
            validation_data=validation_data,
            validation_steps=validation_steps,
            validation_freq=validation_freq,
            class_weight=class_weight,
            max_queue_size=max_queue_size,
            workers=workers,
            use_multiprocessing=use_multiprocessing,
            shuffle=shuffle,
            initial_epoch=initial_epoch,
        )

    @_keras1_names()
    def evaluate_generator(
        self,
        generator: Any,
        steps: int | None = None,
        callbacks: Any = None,
        max_queue_size: int = 10,
        workers: int = 1,
        use_multiprocessing: bool = False,
        verbose: int = 0,
    ) -> Any:
        """Loss and metrics on what gives batches; `evaluate` does the same.

        Args:
            generator: A generator, Sequence, DataLoader, ... of (x, y) or (x, y, sample_weight).
            steps, callbacks, max_queue_size, workers, use_multiprocessing, verbose: As for `evaluate`.
        """
        return self.evaluate(
            generator,
            steps=steps,
            callbacks=callbacks,
            max_queue_size=max_queue_size,
            workers=workers,
            use_multiprocessing=use_multiprocessing,
            verbose=verbose,
        )

    @_keras1_names()
    def predict_generator(
        self,
        generator: Any,
        steps: int | None = None,
        callbacks: Any = None,
        max_queue_size: int = 10,
        workers: int = 1,
        use_multiprocessing: bool = False,
        verbose: int = 0,
    ) -> Any:
        """Outputs for what gives batches; `predict` does the same.

        Args:
            generator: A generator, Sequence, DataLoader, ... of x, (x, y) or (x, y, sample_weight).
            steps, callbacks, max_queue_size, workers, use_multiprocessing, verbose: As for `predict`.
        """
        return self.predict(
            generator,
            steps=steps,
            callbacks=callbacks,
            max_queue_size=max_queue_size,
            workers=workers,
            use_multiprocessing=use_multiprocessing,
            verbose=verbose,
        )
