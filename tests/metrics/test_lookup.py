"""Metrics by name, and what `compile` makes of them in each release."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from torchkeras import losses, metrics
from torchkeras.generations import using_keras_version
from torchkeras.registry import custom_object_scope

NAMES = {
    "1.2.2": "mse MSE mae MAE mape MAPE msle MSLE cosine binary_accuracy categorical_accuracy sparse_categorical_accuracy binary_crossentropy "
    "categorical_crossentropy sparse_categorical_crossentropy top_k_categorical_accuracy mean_squared_error mean_absolute_error "
    "mean_absolute_percentage_error mean_squared_logarithmic_error hinge squared_hinge kullback_leibler_divergence poisson cosine_proximity "
    "matthews_correlation precision recall fbeta_score fmeasure f1score fscore",
    "2.2.4": "logcosh sparse_top_k_categorical_accuracy kullback_leibler_divergence cosine_proximity binary_accuracy",
    "2.4.0": "acc ACC accuracy bce BCE kl_divergence kld KLD log_cosh cosine_similarity Accuracy AUC BinaryAccuracy BinaryCrossentropy "
    "CategoricalAccuracy CategoricalCrossentropy CategoricalHinge CosineSimilarity FalseNegatives FalsePositives Hinge KLDivergence "
    "LogCoshError Mean MeanAbsoluteError MeanAbsolutePercentageError MeanSquaredError MeanSquaredLogarithmicError MeanTensor Poisson "
    "Precision Recall RootMeanSquaredError SparseCategoricalAccuracy SparseCategoricalCrossentropy SparseTopKCategoricalAccuracy "
    "SquaredHinge Sum TopKCategoricalAccuracy TrueNegatives TruePositives",
}
Y_TRUE = torch.tensor([[1.0, 0, 1, 1], [0, 0, 1, 0], [1, 1, 0, 0]])
Y_PRED = torch.tensor([[0.9, 0.2, 0.4, 0.7], [0.6, 0.1, 0.8, 0.3], [0.3, 0.9, 0.5, 0.05]])


def own(y_true, y_pred):
    return (y_true - y_pred).amax(-1)


@pytest.mark.parametrize("release", NAMES)
def test_every_name_of_a_release_is_known(release):
    with using_keras_version(release):
        for name in NAMES[release].split():
            assert callable(metrics.get(name)), name


def test_the_names_of_the_package_are_those_of_the_lookup():
    for name in ("mse", "KLD", "bce", "acc", "binary_accuracy", "cosine", "logcosh"):
        assert metrics.get(name) is getattr(metrics, name)


def test_what_only_keras_1_has_is_known_by_name_there_only():
    with pytest.raises(ValueError, match=r"Unknown metric: 'precision'. Did you mean 'Precision'"):
        metrics.get("precision")
    with pytest.raises(ValueError, match="Unknown metric: 'fmeasure'"):
        metrics.get("fmeasure")


@pytest.mark.parametrize(
    ("name", "expected"),  # numbers of Keras 1.2.2
    [("precision", 0.800000011920929), ("recall", 0.6666666865348816), ("f1score", 0.7272726893424988), ("matthews_correlation", 0.5070925354957581)],
)
def test_metrics_of_keras_1(name, expected):
    with using_keras_version("1.2.2"):
        assert metrics.get(name)(Y_TRUE, Y_PRED).item() == pytest.approx(expected, abs=1e-6)
    assert metrics.fbeta_score(Y_TRUE, Y_PRED, beta=2).item() == pytest.approx(0.6896551847457886, abs=1e-6)
    with pytest.raises(ValueError, match=r"fbeta_score needs beta of at least 0 .*, but got -1"):
        metrics.fbeta_score(Y_TRUE, Y_PRED, beta=-1)


def test_binary_accuracy_outside_0_to_1_is_the_releases():
    y_true, y_pred = torch.tensor([[1.0, 0.0, 1.0]]), torch.tensor([[0.5, 0.5, 1.7]])
    assert metrics.binary_accuracy(y_true, y_pred).item() == pytest.approx(2 / 3)
    with using_keras_version("2.2.4"):
        made = metrics.BinaryAccuracy()
        assert metrics.binary_accuracy(y_true, y_pred).item() == pytest.approx(1 / 3)
        assert metrics.binary_accuracy(y_true, y_pred, threshold=0.4).item() == pytest.approx(2 / 3)
    assert made(y_true, y_pred).item() == pytest.approx(1 / 3)


def test_the_sign_of_cosine_proximity_is_the_releases():
    assert metrics.cosine_proximity(Y_TRUE, Y_TRUE).tolist() == pytest.approx([1, 1, 1])
    with using_keras_version("2.2.4"):
        assert metrics.cosine_proximity(Y_TRUE, Y_TRUE).tolist() == pytest.approx([-1, -1, -1])
        with pytest.raises(ValueError, match=r"works along the last axis, but got axis=0\. Use cosine_similarity"):
            metrics.cosine_proximity(Y_TRUE, Y_TRUE, axis=0)


SHAPES = {"binary": ((None, 1), (None, 1)), "sparse": ((None, 5), (None, 1)), "flat": ((None, 5), (None,)), "dense": ((None, 5), (None, 5))}


@pytest.mark.parametrize(
    ("release", "identifier", "shapes", "loss", "name", "function"),
    [
        ("2.2.4", "accuracy", "binary", "mse", "acc", "binary_accuracy"),
        ("2.2.4", "acc", "dense", "binary_crossentropy", "acc", "binary_accuracy"),
        ("2.2.4", "acc", "sparse", "sparse_categorical_crossentropy", "acc", "sparse_categorical_accuracy"),
        ("2.2.4", "accuracy", "dense", "categorical_crossentropy", "acc", "categorical_accuracy"),
        ("2.2.4", "acc", "sparse", "mse", "acc", "categorical_accuracy"),
        ("2.2.4", "ce", "dense", "mse", "ce", "categorical_crossentropy"),
        ("2.2.4", "crossentropy", "dense", losses.BinaryCrossentropy(), "ce", "binary_crossentropy"),
        ("2.2.4", "acc", "flat", nn.CrossEntropyLoss(), "acc", "sparse_categorical_accuracy"),
        ("2.2.4", "mse", "dense", "mse", "mean_squared_error", "mean_squared_error"),
        ("2.2.4", "kullback_leibler_divergence", "dense", None, "kullback_leibler_divergence", "kl_divergence"),
        ("2.2.4", metrics.log_cosh, "dense", None, "logcosh", "log_cosh"),
        ("2.2.4", own, "dense", own, "own", "own"),
        ("1.2.2", "accuracy", "sparse", "sparse_categorical_crossentropy", "acc", "sparse_categorical_accuracy"),
        ("1.2.2", "fmeasure", "dense", "mse", "fmeasure", "fmeasure"),
        ("2.4.0", "accuracy", "binary", "mse", "accuracy", "binary_accuracy"),
        ("2.4.0", "acc", "dense", "binary_crossentropy", "acc", "categorical_accuracy"),
        ("2.4.0", "accuracy", "sparse", "mse", "accuracy", "sparse_categorical_accuracy"),
        ("2.4.0", "accuracy", "flat", None, "accuracy", "sparse_categorical_accuracy"),
        ("2.4.0", "ce", "flat", None, "ce", "sparse_categorical_crossentropy"),
        ("2.4.0", "crossentropy", "dense", None, "crossentropy", "categorical_crossentropy"),
        ("2.4.0", "crossentropy", "binary", None, "crossentropy", "binary_crossentropy"),
        ("2.4.0", "mse", "dense", "mse", "mse", "mean_squared_error"),
        ("2.4.0", metrics.mse, "dense", "mse", "mean_squared_error", "mean_squared_error"),
        ("2.4.0", metrics.kld, "dense", "mse", "kl_divergence", "kl_divergence"),
        ("2.4.0", own, "dense", "mse", "own", "own"),
    ],
)
def test_compile_resolves_metrics_as_the_release_does(release, identifier, shapes, loss, name, function):
    with using_keras_version(release):
        resolved, metric = metrics.resolve(identifier, *SHAPES[shapes], loss)
    assert resolved == name
    if release == "2.4.0":
        assert isinstance(metric, metrics.MeanMetricWrapper)
        assert metric.name == name
        metric = metric._fn
    assert metric.__name__ == function


@pytest.mark.parametrize("release", ["2.2.4", "2.4.0"])
def test_objects_keep_their_names(release):
    with using_keras_version(release):
        given = metrics.Precision(name="p")
        assert metrics.resolve(given, *SHAPES["dense"], "mse") == ("p", given)
        name, made = metrics.resolve("AUC", *SHAPES["dense"], losses.Objective("mse"))
        assert name == made.name
        assert isinstance(metrics.resolve(metrics.Recall, *SHAPES["dense"], None)[1], metrics.Recall)
        assert metrics.resolve(losses.Huber(name="near"), *SHAPES["dense"], None)[0] == "near"


def test_an_own_metric_is_found_by_name():
    with custom_object_scope({"mine": own}):
        assert metrics.resolve("mine", *SHAPES["dense"], None)[0] == "mine"
        assert metrics.get("mine") is own


def test_what_is_no_metric_is_refused():
    with pytest.raises(ValueError, match=r"Unknown metric: 'acuracy'. Did you mean 'accuracy'"):
        metrics.get("acuracy")
    with pytest.raises(ValueError, match="Could not read 3 as a metric"):
        metrics.get(3)
    with pytest.raises(ValueError, match="Could not read None as a metric"):
        metrics.get(None)


def test_functions_are_written_under_the_name_of_the_release():
    assert metrics.serialize(metrics.kld) == "kl_divergence"
    with using_keras_version("2.2.4"):
        assert metrics.serialize(metrics.kld) == "kullback_leibler_divergence"


def test_a_check_makes_nothing():
    metrics.reset_uids()
    for known in ("AUC", "acc", "ce", "mse", metrics.AUC, own, {"class_name": "AUC", "config": {}}):
        metrics.check(known)
    assert metrics.AUC().name == "auc"
    with pytest.raises(ValueError, match="Unknown metric: 'AUK'"):
        metrics.check("AUK")
    with pytest.raises(ValueError, match="Unknown metric: 'recall'"):
        metrics.check("recall")
    with pytest.raises(ValueError, match="needs the keys 'class_name' and 'config'"):
        metrics.check({"name": "AUC"})
    with pytest.raises(ValueError, match="Could not read 3 as a metric"):
        metrics.check(3)
    with using_keras_version("1.2.2"):
        metrics.check("recall")
