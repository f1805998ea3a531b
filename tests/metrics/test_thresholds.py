"""Counts at thresholds, curves, intersection over union."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from torchkeras import metrics


@pytest.fixture(autouse=True)
def _fresh_names():
    metrics.reset_uids()


def counted(y_true, y_pred, threshold, weight=1.0):
    """The four counts by their definition."""
    labels, positive = y_true > 0.5, y_pred > threshold
    full = torch.as_tensor(weight, dtype=torch.float64).expand(y_pred.shape)
    return {
        "TruePositives": full[labels & positive].sum(),
        "FalsePositives": full[~labels & positive].sum(),
        "TrueNegatives": full[~labels & ~positive].sum(),
        "FalseNegatives": full[labels & ~positive].sum(),
    }


grid = st.integers(0, 10).map(lambda tenth: tenth / 10)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), grid, st.integers(0, 3)), min_size=1, max_size=20), st.lists(grid, min_size=1, max_size=4))
def test_counts_are_those_of_their_definition(rows, thresholds):
    y_true, y_pred, weight = (torch.tensor(column, dtype=torch.float32) for column in zip(*rows, strict=True))
    for name in ("TruePositives", "FalsePositives", "TrueNegatives", "FalseNegatives"):
        for weights in (None, weight):
            metric = getattr(metrics, name)(thresholds)
            result = metric(y_true, y_pred, sample_weight=weights).reshape(-1)
            expected = [counted(y_true, y_pred, threshold, 1.0 if weights is None else weight)[name] for threshold in torch.tensor(thresholds)]
            assert result.tolist() == pytest.approx([value.item() for value in expected])


def test_thresholds_keep_the_order_they_are_given_in():
    y_true, y_pred = torch.tensor([1.0, 1.0, 0.0]), torch.tensor([0.9, 0.4, 0.6])
    assert metrics.TruePositives([0.7, 0.3, 0.95])(y_true, y_pred).tolist() == [1, 2, 0]
    assert metrics.Recall([0.3, 0.7])(y_true, y_pred).tolist() == [1, 0.5]


def test_one_class_is_counted_alone_and_weighted():
    y_true, y_pred = torch.tensor([[1.0, 0], [0, 1], [1, 0]]), torch.tensor([[0.9, 0.2], [0.7, 0.3], [0.2, 0.8]])
    weight = torch.tensor([1.0, 2.0, 5.0])
    assert metrics.Precision(class_id=0)(y_true, y_pred, sample_weight=weight).item() == pytest.approx(1 / 3)
    assert metrics.Recall(class_id=0)(y_true, y_pred, sample_weight=weight.unsqueeze(-1)).item() == pytest.approx(1 / 6)


def test_of_equal_scores_the_first_are_among_the_best():
    y_true, y_pred = torch.tensor([[0.0, 1.0, 0.0]]), torch.tensor([[0.5, 0.5, 0.5]])
    assert metrics.Recall(top_k=1)(y_true, y_pred).item() == 0
    assert metrics.Recall(top_k=2)(y_true, y_pred).item() == 1
    assert metrics.Precision(top_k=2)(y_true, y_pred).item() == 0.5


def test_scores_that_tie_at_the_border_are_all_right():
    assert metrics.top_k_categorical_accuracy(torch.tensor([[0.0, 0, 1]]), torch.tensor([[0.5, 0.5, 0.5]]), k=1).tolist() == [1]
    assert metrics.sparse_top_k_categorical_accuracy(torch.tensor([2]), torch.tensor([[0.5, float("nan"), 0.9]]), k=3).tolist() == [0]


def test_bad_thresholds_and_shapes_are_refused():
    with pytest.raises(ValueError, match=r"Thresholds must be from 0 to 1, but got \[1.5, None\]"):
        metrics.Precision([0.5, 1.5, None])
    with pytest.raises(ValueError, match=r"metric 'recall' needs targets and predictions of one shape, but got \(3,\) and \(3, 2\)"):
        metrics.Recall().update_state(torch.zeros(3), torch.zeros(3, 2))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), grid), min_size=2, max_size=20))
def test_the_area_under_roc_is_the_chance_that_a_positive_scores_higher(rows):
    labels, scores = [label for label, _ in rows], [score for _, score in rows]
    positive = [score for label, score in rows if label]
    negative = [score for label, score in rows if not label]
    pairs = [(p > n) + 0.5 * (p == n) for p in positive for n in negative]
    metric = metrics.AUC(thresholds=[tenth / 10 + 0.05 for tenth in range(10)])  # between every two scores that occur
    assert metric(torch.tensor(labels), torch.tensor(scores)).item() == pytest.approx(sum(pairs) / len(pairs) if pairs else 0, abs=1e-6)


@pytest.mark.parametrize("curve", ["ROC", "PR"])
def test_the_bounds_of_the_area_enclose_the_interpolation(curve):
    y_true, y_pred = (torch.rand(200) > 0.6).float(), torch.rand(200)
    low, middle, high = (
        metrics.AUC(num_thresholds=21, curve=curve, summation_method=method)(y_true, y_pred) for method in ("minoring", "interpolation", "majoring")
    )
    assert low < middle < high


def test_label_weights_weigh_columns():
    y_true, y_pred = (torch.rand(50, 3) > 0.5).float(), torch.rand(50, 3)
    columns = [metrics.AUC(num_thresholds=50)(y_true[:, column], y_pred[:, column]).item() for column in range(3)]
    by_column = metrics.AUC(num_thresholds=50, multi_label=True, label_weights=[1.0, 0.0, 3.0])
    assert by_column(y_true, y_pred).item() == pytest.approx((columns[0] + 3 * columns[2]) / 4, abs=1e-6)
    together = metrics.AUC(num_thresholds=50, label_weights=[0.0, 1.0, 0.0])
    assert together(y_true, y_pred).item() == pytest.approx(columns[1], abs=1e-6)
    assert together(y_true, y_pred, sample_weight=torch.ones(50)).item() == pytest.approx(columns[1], abs=1e-6)
    assert metrics.AUC(multi_label=True).result().item() == 0
    assert metrics.get(metrics.serialize(by_column)).get_config() == by_column.get_config()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_thresholds": 1}, "AUC needs num_thresholds above 1, but got 1"),
        ({"curve": "lift"}, r"AUC needs curve out of \['ROC', 'PR'\], but got 'lift'"),
        ({"summation_method": "sum"}, "AUC needs summation_method out of .*, but got 'sum'"),
        ({"label_weights": [1.0, -1.0]}, r"AUC needs label_weights of at least 0, but got \[1.0, -1.0\]"),
    ],
)
def test_bad_arguments_of_an_area_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        metrics.AUC(**arguments)


def test_an_area_by_label_refuses_other_data():
    metric = metrics.AUC(multi_label=True)
    with pytest.raises(ValueError, match=r"AUC 'auc' counts labels apart and needs data of shape \(samples, labels\), but got \(3,\)"):
        metric.update_state(torch.zeros(3), torch.zeros(3))
    metric.update_state(torch.zeros(3, 2), torch.zeros(3, 2))
    with pytest.raises(ValueError, match=r"needs data of shape \(samples, 2\), but got \(3, 4\)"):
        metric.update_state(torch.zeros(3, 4), torch.zeros(3, 4))


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("SensitivityAtSpecificity", 0.5, 1.0),
        ("SpecificityAtSensitivity", 0.5, 1.0),
        ("PrecisionAtRecall", 0.9, 0.75),
        ("RecallAtPrecision", 0.9, 2 / 3),
    ],
)
def test_the_best_rate_under_a_constraint(name, value, expected):
    y_true, y_pred = torch.tensor([0, 0, 1, 1, 1]), torch.tensor([0.1, 0.55, 0.5, 0.8, 0.9])
    assert getattr(metrics, name)(value, num_thresholds=101)(y_true, y_pred).item() == pytest.approx(expected)


@pytest.mark.parametrize("name", ["SensitivityAtSpecificity", "SpecificityAtSensitivity", "PrecisionAtRecall", "RecallAtPrecision"])
def test_a_constraint_that_none_meets_gives_zero_and_bad_ones_are_refused(name):
    cls = getattr(metrics, name)
    assert cls(0.5)(torch.zeros(3), torch.ones(3)).item() in (0.0, 1.0)
    assert cls(0.9, num_thresholds=1).thresholds == [0.5]
    with pytest.raises(ValueError, match=rf"{name} needs \w+ from 0 to 1, but got 1.5"):
        cls(1.5)
    with pytest.raises(ValueError, match=rf"{name} needs num_thresholds above 0, but got 0"):
        cls(0.5, num_thresholds=0)


def test_intersection_over_union():
    metric = metrics.MeanIoU(3)
    assert metric.result().item() == 0
    metric.update_state(torch.tensor([[0, 0], [1, 1]]), torch.tensor([[0.0, 1.0], [0.0, 1.0]]))
    assert metric.result().item() == pytest.approx(1 / 3)  # class 2 was never seen
    metric.update_state(torch.tensor([1]), torch.tensor([1]), sample_weight=torch.tensor([4.0]))
    assert metric.result().item() == pytest.approx((1 / 3 + 5 / 7) / 2)


@pytest.mark.parametrize("bad", [-1, 3])
def test_ids_that_are_no_class_are_not_counted_as_another(bad):
    with pytest.raises(IndexError, match="out of bounds"):
        metrics.MeanIoU(3).update_state(torch.tensor([0, bad]), torch.tensor([0, 0]))
    with pytest.raises(IndexError, match="out of bounds"):
        metrics.MeanIoU(3).update_state(torch.tensor([0, 0]), torch.tensor([0, bad]))


def test_class_scores_are_refused_where_ids_belong():
    with pytest.raises(ValueError, match=r"MeanIoU 'mean_io_u' compares class ids, but got y_true of shape \(2,\) and y_pred of shape \(2, 3\)"):
        metrics.MeanIoU(3).update_state(torch.zeros(2), torch.zeros(2, 3))
