"""The training methods of models in Keras 1's words, and those that only a Sequential has."""

from __future__ import annotations

import functools
import itertools
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import numpy as np

from torchkeras.generations import keras_version
from torchkeras.layers.legacy import outside
from torchkeras.training.trainer import Trainer

# Keras 1's word -> today's
WORDS: Final[dict[str, dict[str, str]]] = {
    "fit": {"nb_epoch": "epochs"},
    "fit_generator": {
        "samples_per_epoch": "steps_per_epoch",
        "nb_epoch": "epochs",
        "nb_val_samples": "validation_steps",
        "max_q_size": "max_queue_size",
        "nb_worker": "workers",
        "pickle_safe": "use_multiprocessing",
    },
    "evaluate_generator": {"val_samples": "steps", "max_q_size": "max_queue_size", "nb_worker": "workers", "pickle_safe": "use_multiprocessing"},
    "predict_generator": {"val_samples": "steps", "max_q_size": "max_queue_size", "nb_worker": "workers", "pickle_safe": "use_multiprocessing"},
}
# what Keras 1 had by position, in its words, where a count of samples stands
ORDER: Final[dict[str, str]] = {
    "fit": "x y batch_size nb_epoch verbose callbacks validation_split validation_data shuffle class_weight sample_weight initial_epoch",
    "fit_generator": (
        "generator samples_per_epoch nb_epoch verbose callbacks validation_data nb_val_samples class_weight max_q_size nb_worker "
        "pickle_safe initial_epoch"
    ),
    "evaluate": "x y batch_size verbose sample_weight",
    "evaluate_generator": "generator val_samples max_q_size nb_worker pickle_safe",
    "predict_generator": "generator val_samples max_q_size nb_worker pickle_safe",
}
SAMPLES: Final = {"samples_per_epoch": "generator", "val_samples": "generator", "nb_val_samples": "validation_data"}


def translate(method: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a training method in today's words.

    Args:
        method: Such as "fit_generator".
        args, kwargs: As the caller gave them.

    Raises:
        TypeError: an argument given twice.
        ValueError: a generator of which no batch can be counted.
    """
    words = WORDS.get(method, {})
    keras1 = keras_version() == "1.2.2"
    given = dict(kwargs)
    if given.pop("show_accuracy", None) is not None:
        warnings.warn(f"{method}: show_accuracy has no effect since Keras 1. Write compile(metrics=['accuracy']).", DeprecationWarning, outside())
    old = sorted(words.keys() & given.keys())
    if not old and not (keras1 and len(args) > 1 and method in ORDER):
        return args, given
    if keras1:
        given = {**dict(zip(ORDER[method].split(), args, strict=False)), **given}
        args = ()
        old = sorted(words.keys() & given.keys())
    for word in old:
        now, value = words[word], given.pop(word)
        if now in given:
            raise TypeError(f"{method} got two values for {now!r}, which Keras 1 called {word!r}. Keep one of them.")
        if word in SAMPLES:
            source = SAMPLES[word]
            data = given.get(source, args[0] if args and source == "generator" else None)
            value, data = steps_of(value, data)
            if source in given:
                given[source] = data
            elif args and source == "generator":
                args = (data, *args[1:])
        given[now] = value
    given = {word: value for word, value in given.items() if value is not None}
    if old and not keras1:
        spelled = ", ".join(f"{words[word]}={given.get(words[word])!r:.40}" for word in old)
        warnings.warn(f"{method}: Keras 1's {', '.join(old)}. Write {method}(..., {spelled}).", DeprecationWarning, outside())
    return args, given


def steps_of(samples: int | None, data: Any) -> tuple[int | None, Any]:
    """A number of samples as a number of batches, told by the first batch; and the data, from the first batch on.

    Source: Keras 1.2.2 ends an epoch with the batch that reaches the number of samples.

    Raises:
        ValueError: data without batches.
    """
    if samples is None or data is None or isinstance(data, tuple):
        return None, data
    size = getattr(data, "batch_size", None)
    if size is None and hasattr(data, "__getitem__"):
        size = _size_of(data[0])
    elif size is None:
        iterator: Iterator[Any] = iter(data)
        first = next(iterator, None)
        if first is None:
            raise ValueError(f"The generator {data!r} gave no batch to count samples by.")
        size, data = _size_of(first), itertools.chain([first], iterator)
    return -(-int(samples) // int(size)), data


def _size_of(batch: Any) -> int:
    first = batch[0] if isinstance(batch, (list, tuple)) else batch
    while isinstance(first, (list, tuple, Mapping)):
        first = next(iter(first.values())) if isinstance(first, Mapping) else first[0]
    return int(first.shape[0])


def _in_keras1_words(method: str) -> Callable[..., Any]:
    written = getattr(Trainer, method)

    @functools.wraps(written)
    def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        args, kwargs = translate(method, args, kwargs)
        return written(self, *args, **kwargs)

    return run


class Keras1Calls(Trainer):
    """A Trainer whose methods take Keras 1's words too: `nb_epoch`, `samples_per_epoch`, `show_accuracy`, ..."""

    fit = _in_keras1_words("fit")
    evaluate = _in_keras1_words("evaluate")
    fit_generator = _in_keras1_words("fit_generator")
    evaluate_generator = _in_keras1_words("evaluate_generator")
    predict_generator = _in_keras1_words("predict_generator")


class ClassPredictions:
    """What a Sequential has beside `predict`."""

    predict: Callable[..., Any]

    def predict_proba(self, x: Any, batch_size: int | None = None, verbose: int = 0) -> np.ndarray:
        """Probabilities of the classes: what `predict` gives.

        Args:
            x, batch_size, verbose: As for `predict`.
        """
        return self.predict(x, batch_size=batch_size, verbose=verbose)

    def predict_classes(self, x: Any, batch_size: int | None = None, verbose: int = 0) -> np.ndarray:
        """The likeliest class of each sample; with one output, 1 where it is above 0.5.

        Args:
            x, batch_size, verbose: As for `predict`.

        Shape: outputs (n, classes) -> (n,); outputs (n, 1) -> (n, 1).
        """
        probabilities = self.predict(x, batch_size=batch_size, verbose=verbose)
        if probabilities.shape[-1] > 1:
            return probabilities.argmax(axis=-1)
        return (probabilities > 0.5).astype("int32")
