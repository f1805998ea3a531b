"""`fit`, `evaluate` and `predict`."""

from __future__ import annotations

from typing import Any

from torchkeras import generations
from torchkeras.training.arrays import InMemory, keep_data
from torchkeras.training.batches import Batches
from torchkeras.training.dispatch import Workers, is_stream, make_batches, split
from torchkeras.training.distributed import share_weights, start
from torchkeras.training.generators import GeneratorCalls
from torchkeras.training.hooks import CallbackList, fit_params, split_callbacks
from torchkeras.training.loops import FitRun, Plan, run_predict, run_test
from torchkeras.training.on_batch import BatchCalls
from torchkeras.training.own_steps import OwnSteps
from torchkeras.training.ragged import with_rows
from torchkeras.training.resuming.calls import StateCalls
from torchkeras.training.resuming.run import Resuming
from torchkeras.training.standardize import Door


class Trainer(GeneratorCalls, BatchCalls, OwnSteps, StateCalls):
    """A network with Keras' training methods, run by Ignite engines."""

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: int = 1,
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool | str = True,
        class_weight: Any = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: Any = 1,
        max_queue_size: int = 10,
        workers: int = 1,
        use_multiprocessing: bool = False,
        *,
        hang_timeout: float | None = None,
        data_device: str = "auto",
    ) -> Any:
        """Train for a number of epochs.

        Ctrl-C ends it after the present batch by KeyboardInterrupt; `model.history` then has the epochs so far.

        Args:
            x: Inputs: an array or tensor, a list of them, a dict by input name, a pandas object, an HDF5 data set; or what gives
                batches (x, y) or (x, y, sample_weight): a DataLoader, a torch Dataset, a Keras Sequence, a generator.
            y: Targets, in the form of the outputs.
            batch_size: Samples in a step; `None`: 32.
            epochs: The epoch to stop after, counted from 0 (so the number of epochs where `initial_epoch` is 0).
            verbose: 0 silent, 1 progress bar, 2 one line an epoch.
            callbacks: Keras callbacks and Ignite handlers.
            validation_split: Fraction 0-1 of the data, its last part, to validate on.
            validation_data: (x, y) or (x, y, sample_weight) to validate on, or what gives batches.
            shuffle: A new order each epoch, "batch" for whole batches, or False. A Sequence shuffles its batches; generators and loaders
                have their own order.
            class_weight: Weight of each class id; for several outputs by output name.
            sample_weight: Weight of each sample or time step; for several outputs a list or dict, which may leave outputs out.
            initial_epoch: Epoch to start from.
            steps_per_epoch: Batches in an epoch; `None`: all there are.
            validation_steps: Batches to validate on; `None`: all there are.
            validation_batch_size: Samples in a step of validation; `None`: as in training.
            validation_freq: Validate every so many epochs, or after those listed (counted from 1).
            max_queue_size: Batches of a Sequence or generator that are made ahead.
            workers: Who makes the batches of a Sequence: so many threads; 0: the loop itself. A generator that takes long for its batches is
                read by one thread, up to the end of the epoch and not beyond; 0: by the loop, as is one that draws from torch's generator or
                uses a model.
            use_multiprocessing: Workers are processes instead of threads.
            hang_timeout: Seconds after which a worker that gives no batch is reported; `None`: for ever.
            data_device: Where arrays and tensors given as x, y and sample_weight lie during training: "auto": on the model's device where they
                take at most a quarter of its free memory, else each batch is copied by pinned memory; "device": there in any case; "cpu": they
                stay. Data that comes batch by batch is always copied batch by batch.

        Returns:
            The `History` of the run.

        Raises:
            RuntimeError: not compiled.
            TypeError: data that are no numbers.
            ValueError: data that do not fit the model or each other.
        """
        self._need_compile("fit")
        start()
        team = Workers(workers, max_queue_size, use_multiprocessing, hang_timeout)
        door = Door(self, "fit", class_weight)
        validation_weight = None
        x, y = with_rows(self, x, y)
        if validation_split and validation_data is None:
            (x, y, sample_weight), validation_data = split(x, y, sample_weight, validation_split)
            validation_weight = class_weight if generations.choose("class_weight.validation_split") else None
        _check_epochs(epochs, initial_epoch, validation_freq)
        resuming = Resuming.of(self, callbacks) if epochs > initial_epoch else None
        batches = make_batches(self, door, (x, y, sample_weight), batch_size, shuffle=shuffle, steps=steps_per_epoch, workers=team)
        keep_data(batches, data_device)
        validation = None
        try:
            if resuming is not None:
                resuming.watch("batches", batches)
            if validation_data is not None:
                size = validation_batch_size or (None if is_stream(validation_data) else batch_size)
                door = Door(self, "validation_data", validation_weight)
                validation = self._validation(door, validation_data, size, validation_steps, team)
                if resuming is not None:
                    resuming.watch("validation", validation)
            plan = (validation_steps, validation_freq, resuming)
            return self._fit(batches, validation, epochs, verbose, callbacks, initial_epoch, steps_per_epoch, *plan)
        except BaseException:
            _close(0.5, batches, validation)
            raise
        finally:
            _close(None, batches, validation)

    def _validation(self, door: Door, data: Any, batch_size: int | None, steps: int | None, team: Workers) -> Batches:
        if not is_stream(data):
            if not isinstance(data, (list, tuple)) or len(data) not in (2, 3):
                raise ValueError(
                    "validation_data must be (x_val, y_val) or (x_val, y_val, val_sample_weights), or give batches of them, "
                    f"but got {type(data).__name__}{f' of {len(data)}' if isinstance(data, (list, tuple)) else ''}."
                )
            data = (*data, None)[:3]
        else:
            data = (data, None, None)
        return make_batches(self, door, data, batch_size, steps=steps, workers=team, argument="validation_steps")

    def _fit(
        self,
        batches: Batches,
        validation: Batches | None,
        epochs: int,
        verbose: int,
        callbacks: Any,
        initial_epoch: int,
        steps_per_epoch: int | None,
        validation_steps: int | None,
        validation_freq: Any,
        resuming: Resuming | None,
    ) -> Any:
        compiled = self._ready(batches.first(), "fit")
        share_weights(self)
        batches.device = self.device
        if validation is not None:
            validation.first()
            validation.device = self.device
        keras, handlers = split_callbacks(callbacks)
        steps = steps_per_epoch or batches.steps
        params = self._params(batches, steps, epochs, verbose, validation)
        history, keras = self._fit_callbacks(keras, verbose, isinstance(batches, InMemory))
        hooks = CallbackList(keras, self, params)
        plan = Plan(batches, hooks, history, epochs, initial_epoch, steps, handlers, validation, validation_steps, validation_freq, resuming)
        with self._trained.respected(self):  # type: ignore[union-attr]
            return FitRun(self, compiled, plan).run()

    def _params(self, batches: Batches, steps: int | None, epochs: int, verbose: Any, validation: Batches | None = None) -> dict[str, Any]:
        samples = batches.samples
        if samples is None and steps is not None and batches.batch_size is not None:
            samples = steps * batches.batch_size
        names = self._compiled.log_names() if self._compiled is not None else ()
        return fit_params(
            batch_size=batches.batch_size, epochs=epochs, steps=steps, samples=samples, verbose=verbose, names=names, validation=validation
        )

    def _fit_callbacks(self, given: list[Any], verbose: Any, arrays: bool) -> tuple[Any, list[Any]]:
        """History, and the user's callbacks together with those that `fit` brings by itself; the models room knows them."""
        raise NotImplementedError("Trainer is completed by Model.")

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: int = 1,
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        max_queue_size: int = 10,
        workers: int = 1,
        use_multiprocessing: bool = False,
        return_dict: bool = False,
        *,
        hang_timeout: float | None = None,
    ) -> Any:
        """Loss and metrics on data, in inference mode.

        Args:
            x, y, sample_weight: As for `fit`.
            batch_size: Samples in a step; `None`: 32.
            verbose: 0 silent, 1 progress bar.
            steps: Stop after so many batches; `None`: all.
            callbacks: Callbacks with `on_test_...` hooks.
            max_queue_size, workers, use_multiprocessing, hang_timeout: As for `fit`.
            return_dict: Whether to give a dict by name instead of the loss, or the list [loss, metric, ...].

        Raises:
            RuntimeError: not compiled.
            ValueError: data that do not fit.
        """
        self._need_compile("evaluate")
        start()
        team = Workers(workers, max_queue_size, use_multiprocessing, hang_timeout)
        batches = make_batches(self, Door(self, "evaluate"), (x, y, sample_weight), batch_size, steps=steps, workers=team, argument="steps")
        try:
            compiled = self._ready(batches.first(), "evaluate")
            share_weights(self)
            batches.device = self.device
            hooks = self._hooks(callbacks, verbose, steps or batches.steps, batches)
            with self._trained.respected(self):  # type: ignore[union-attr]
                values = run_test(self, compiled, batches, hooks, steps)
        except BaseException:
            _close(0.5, batches)
            raise
        finally:
            _close(None, batches)
        if return_dict:
            return values
        return list(values.values()) if len(values) > 1 else next(iter(values.values()))

    def _hooks(self, callbacks: Any, verbose: Any, steps: int | None, batches: Batches) -> CallbackList:
        keras, _ = split_callbacks(callbacks)
        together = self._test_callbacks(keras, verbose, isinstance(batches, InMemory))
        return CallbackList(together, self, self._params(batches, steps, 1, verbose))

    def _test_callbacks(self, given: list[Any], verbose: Any, arrays: bool) -> list[Any]:
        """The user's callbacks together with the bar of `evaluate` and `predict`."""
        return given

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: int = 0,
        steps: int | None = None,
        callbacks: Any = None,
        max_queue_size: int = 10,
        workers: int = 1,
        use_multiprocessing: bool = False,
        *,
        hang_timeout: float | None = None,
    ) -> Any:
        """Outputs for data, in inference mode, as NumPy arrays.

        Args:
            x: As for `fit`; targets that come with it are not looked at.
            batch_size: Samples in a step; `None`: 32.
            verbose: 0 silent, 1 progress bar.
            steps: Stop after so many batches; `None`: all.
            callbacks: Callbacks with `on_predict_...` hooks.
            max_queue_size, workers, use_multiprocessing, hang_timeout: As for `fit`.

        Raises:
            ValueError: data that do not fit.
        """
        start()
        team = Workers(workers, max_queue_size, use_multiprocessing, hang_timeout)
        door = Door(self, "predict", targets=False)
        batches = make_batches(self, door, (x, None, None), batch_size, steps=steps, workers=team, argument="steps")
        was = self.training
        try:
            self._build_for(batches.first()[0])
            self._place()
            share_weights(self)
            batches.device = self.device
            return run_predict(self, batches, self._hooks(callbacks, verbose, steps or batches.steps, batches), steps)
        except BaseException:
            _close(0.5, batches)
            raise
        finally:
            self.train(was)
            _close(None, batches)

    @property
    def metrics_names(self) -> list[str]:
        """Names of what `evaluate` gives, in its order."""
        return self._compiled.log_names() if self._compiled is not None else ["loss"]


def _check_epochs(epochs: Any, initial_epoch: Any, validation_freq: Any) -> None:
    for name, value in (("epochs", epochs), ("initial_epoch", initial_epoch)):
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise ValueError(f"fit needs {name} of at least 0, but got {value!r}.")
    known = isinstance(validation_freq, int) and validation_freq >= 1
    if not known and not (hasattr(validation_freq, "__contains__") and not isinstance(validation_freq, str)):
        raise ValueError(f"fit needs validation_freq of at least 1, or a list of epochs, but got {validation_freq!r}.")


def _close(timeout: float | None, *sources: Batches | None) -> None:
    for source in sources:
        if source is not None:
            source.close(timeout)


__all__ = ["Trainer"]
