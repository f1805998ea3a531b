"""Metrics by name, config or object; what 'accuracy' means; the names that logs show."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torchkeras import losses
from torchkeras.generations import choose
from torchkeras.losses.lookup import FUNCTIONS as LOSS_FUNCTIONS
from torchkeras.losses.lookup import function_name
from torchkeras.metrics import classes, confusion, curves, functions, iou, keras1, reducing
from torchkeras.metrics.base import Metric
from torchkeras.metrics.external import from_external, is_external
from torchkeras.metrics.reducing import MeanMetricWrapper
from torchkeras.registry import Registry, deserialize_object, serialize_object

METRICS = Registry("metric")
_KERAS1 = Registry("metric")

for _function, _aliases in LOSS_FUNCTIONS.items():
    METRICS.add(*_aliases)(_function)
for _function, _aliases in {
    functions.accuracy: ("acc", "ACC"),
    functions.binary_accuracy: (),
    functions.categorical_accuracy: (),
    functions.sparse_categorical_accuracy: (),
    functions.top_k_categorical_accuracy: (),
    functions.sparse_top_k_categorical_accuracy: (),
    functions.cosine_similarity: (),
    functions.cosine_proximity: ("cosine",),
}.items():
    METRICS.add(*_aliases)(_function)
for _module in (classes, confusion, curves, iou, reducing):
    for _name, _class in vars(_module).items():
        if inspect.isclass(_class) and issubclass(_class, Metric) and _class is not Metric and not _name.startswith("_"):
            METRICS.alias(_name, _class)
for _function in (keras1.precision, keras1.recall, keras1.fbeta_score, keras1.matthews_correlation):
    _KERAS1.add()(_function)
_KERAS1.add("f1score", "fscore")(keras1.fmeasure)

_ACCURACY: dict[str, Callable[..., Any]] = {
    "binary": functions.binary_accuracy,
    "sparse": functions.sparse_categorical_accuracy,
    "categorical": functions.categorical_accuracy,
}
_CROSSENTROPY: dict[str, Callable[..., Any]] = {
    "binary": losses.binary_crossentropy,
    "sparse": losses.sparse_categorical_crossentropy,
    "categorical": losses.categorical_crossentropy,
}
# Names that mean one of three functions, with the name that Keras 1 and 2 show.
_BY_CLASS_MODE: dict[str, tuple[dict[str, Callable[..., Any]], str]] = {
    "accuracy": (_ACCURACY, "acc"),
    "acc": (_ACCURACY, "acc"),
    "crossentropy": (_CROSSENTROPY, "ce"),
    "ce": (_CROSSENTROPY, "ce"),
}


def get(identifier: Any) -> Any:
    """The metric that a name, a config or an object stands for.

    Args:
        identifier: A name or alias of a function ("mse") or a class ("AUC"); a config `{"class_name", "config"}`; a
            function of (y_true, y_pred); a `Metric` or its class; or a metric of another library, see `from_external`.

    Returns:
        A function or a `Metric`.

    Raises:
        ValueError: an unknown name, or a thing that is no metric.
    """
    if isinstance(identifier, (str, Mapping)):
        return deserialize(identifier)
    if isinstance(identifier, Metric):
        return identifier
    if is_external(identifier):
        return from_external(identifier)
    if inspect.isclass(identifier) and issubclass(identifier, Metric):
        return identifier()
    if callable(identifier):
        return identifier
    raise ValueError(f"Could not read {identifier!r} as a metric: give a name, a config, a function of (y_true, y_pred) or a Metric.")


def serialize(metric: Any) -> Any:
    """Name or config of a metric, as the chosen release writes it.

    Raises:
        ValueError: a metric without a name or config.
    """
    if inspect.isfunction(metric):
        return losses.serialize(metric)
    config = serialize_object(metric)
    if isinstance(config, dict) and callable(config.get("config", {}).get("fn")):
        config["config"]["fn"] = losses.serialize(config["config"]["fn"])
    return config


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The metric of a name or config.

    Args:
        config: What `serialize` gave.
        custom_objects: The caller's own metrics by name.

    Raises:
        ValueError: an unknown name.
    """
    if isinstance(config, str) and config in _KERAS1 and choose("metric.keras1_functions"):
        return deserialize_object(config, _KERAS1, custom_objects)
    if isinstance(config, Mapping) and config.get("class_name") == MeanMetricWrapper.__name__:
        arguments = dict(config.get("config") or {})
        return MeanMetricWrapper(deserialize(arguments.pop("fn"), custom_objects), **arguments)
    return deserialize_object(config, METRICS, custom_objects)


def check(identifier: Any) -> None:
    """See that `get` and `resolve` will know a metric, without making it.

    Raises:
        ValueError: an unknown name, or a thing that is no metric.
    """
    if isinstance(identifier, str):
        if identifier not in _BY_CLASS_MODE and not (identifier in _KERAS1 and choose("metric.keras1_functions")):
            METRICS.find(identifier)
    elif isinstance(identifier, Mapping):
        if "class_name" not in identifier:
            raise ValueError(f"A metric config needs the keys 'class_name' and 'config', but got {dict(identifier)!r}.")
        METRICS.find(identifier["class_name"])
    elif not (callable(identifier) or is_external(identifier)):
        get(identifier)


def resolve(identifier: Any, output_shape: Sequence[int | None], target_shape: Sequence[int | None], loss: Any = None) -> tuple[str, Any]:
    """A metric given to `compile`, and its name in logs, as the chosen release makes them.

    Args:
        identifier: What `get` takes, or 'accuracy', 'acc', 'crossentropy', 'ce', which mean the binary, sparse or categorical one.
        output_shape: Shape of the predictions, with the batch axis.
        target_shape: Shape of the targets, with the batch axis.
        loss: The loss of the same output, whatever `losses.get` takes; Keras 1 and 2 tell the class mode by it.

    Returns:
        The name, and a `Metric` (tf.keras), or a function or `Metric` (Keras 1 and 2, which average a function's batch values).

    Raises:
        ValueError: an unknown name.
    """
    given_names = choose("metric.names") == "given"
    own_name: str | None = None
    if isinstance(identifier, str) and identifier in _BY_CLASS_MODE:
        by_mode, own_name = _BY_CLASS_MODE[identifier]
        metric: Any = by_mode[class_mode(output_shape, target_shape, loss)]
    else:
        metric = get(identifier)
    if isinstance(metric, Metric):
        return metric.name, metric
    if given_names:
        name = identifier if isinstance(identifier, str) else _name_of(identifier)
    else:
        name = own_name or _name_of(metric)
    if choose("metric.running") == "stateful":
        return name, MeanMetricWrapper(metric, name=name)
    return name, metric


def _name_of(metric: Any) -> str:
    return getattr(metric, "name", None) or function_name(metric)


def class_mode(output_shape: Sequence[int | None], target_shape: Sequence[int | None], loss: Any = None) -> str:
    """Whether predictions are "binary", of "sparse" targets (ids), or "categorical" (one-hot), as the chosen release tells."""
    if output_shape[-1] == 1:
        return "binary"
    function = _keras_loss(loss)
    if choose("metric.class_mode") == "loss" and function is not None:
        if function is losses.binary_crossentropy:
            return "binary"
        return "sparse" if function is losses.sparse_categorical_crossentropy else "categorical"
    sparse = len(target_shape) < len(output_shape) or (target_shape[-1] == 1 and (output_shape[-1] or 0) > 1)
    return "sparse" if sparse else "categorical"


def _keras_loss(loss: Any) -> Callable[..., Any] | None:
    """The function of a loss; `None` for no loss or PyTorch's, which tell the mode by shapes in every release."""
    found = loss.loss if isinstance(loss, losses.Objective) else losses.get(loss)
    if isinstance(found, losses.TorchLoss):
        return None
    return found.fn if isinstance(found, losses.LossFunctionWrapper) else found
