"""`fit_generator`, `evaluate_generator`, `predict_generator`: the older names of `fit`, `evaluate` and `predict` on what gives batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torchkeras.graph.network import Network


class GeneratorCalls(Network):
    """Training, evaluation and prediction on generators."""

    fit: Callable[..., Any]
    evaluate: Callable[..., Any]
    predict: Callable[..., Any]

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
