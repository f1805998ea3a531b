"""Sums and means."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from torchkeras import activations, losses, metrics
from torchkeras.generations import using_keras_version


class Operations(TorchDispatchMode):
    """Counts what torch is asked to do."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.append(str(function))
        return function(*args, **(kwargs or {}))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3), st.sampled_from(["none", "number", "samples", "all"])), min_size=1, max_size=5),
    st.integers(0, 99),
)
def test_a_mean_is_exact_over_batches_of_any_size_and_weighting(batches, seed):
    torch.manual_seed(seed)
    metric, total, count = metrics.Mean(), 0.0, 0.0
    for rows, columns, kind in batches:
        values = torch.randn(rows, columns, dtype=torch.float64)
        weight = {"none": None, "number": 3, "samples": torch.rand(rows), "all": torch.rand(rows, columns)}[kind]
        metric.update_state(values, sample_weight=weight)
        full = torch.ones(rows, columns) if weight is None else torch.as_tensor(weight).float()
        full = (full.unsqueeze(-1) if full.dim() == 1 else full).expand(rows, columns).double()
        total, count = total + (values * full).sum().item(), count + full.sum().item()
        assert metric.count.item() == pytest.approx(count)
    assert metric.result().item() == pytest.approx(total / count, abs=1e-6)


def test_a_mean_counts_past_what_float32_can():
    metric = metrics.Mean()
    for _ in range(3):
        metric.update_state(torch.ones(()), sample_weight=2**24 + 1)
    metric.update_state(torch.zeros(()), sample_weight=1)
    assert metric.count.item() == 3 * (2**24 + 1) + 1
    assert metric.total.item() == 3 * (2**24 + 1)


def test_a_mean_of_nothing_is_zero():
    assert metrics.Mean().result().item() == 0
    assert metrics.Mean()(torch.ones(2), sample_weight=torch.zeros(2)).item() == 0
    assert metrics.MeanSquaredError()(torch.zeros(0, 2), torch.zeros(0, 2)).item() == 0


def test_a_sum_is_added_in_one_operation():
    metric, loss = metrics.Mean(), torch.tensor(2.0)
    with Operations() as operations:
        metric.update_state(loss, 32)
        metric.accumulate(loss, 8, scale=8)
    assert operations.names == ["aten.add_.Tensor"] * 2
    assert metric.count.item() == 40
    assert metric.result().item() == 2


@pytest.mark.parametrize(
    ("name", "ids", "most"), [("SparseCategoricalAccuracy", True, 4), ("CategoricalAccuracy", False, 5), ("BinaryAccuracy", False, 4)]
)
def test_an_accuracy_takes_few_operations(name, ids, most):
    y_true = torch.randint(0, 9, (32,)) if ids else torch.nn.functional.one_hot(torch.randint(0, 9, (32,)), 9).float()
    metric, y_pred = getattr(metrics, name)(), torch.rand(32, 9)
    with Operations() as operations:
        metric.update_state(y_true, y_pred)
    assert len(operations.names) <= most, operations.names


@pytest.mark.parametrize("release", ["2.2.4", "2.4.0"])
@pytest.mark.parametrize(
    "name", ["mse", "mae", "huber", "categorical_crossentropy", "binary_crossentropy", "kld", "hinge", "binary_accuracy", "categorical_accuracy"]
)
def test_the_mean_of_a_function_is_that_of_its_values(name, release):
    with using_keras_version(release):
        function = metrics.get(name)
        metric = metrics.MeanMetricWrapper(function)
        batches = [(torch.rand(rows, 3), torch.rand(rows, 3)) for rows in (4, 2)]
        values = torch.cat([function(*batch) for batch in batches])
    for batch in batches:
        metric.update_state(*batch)
    torch.testing.assert_close(metric.result(), values.mean())
    metric.reset_states()
    weight = torch.rand(4)
    metric.update_state(*batches[0], sample_weight=weight)
    torch.testing.assert_close(metric.result(), (values[:4] * weight).sum() / weight.sum())
    metric.reset_states()
    metric.update_state(*batches[0], sample_weight=2)
    torch.testing.assert_close(metric.result(), values[:4].mean())


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1)])
def test_masks_of_steps_weigh_accuracies(shape):
    ids, y_pred, mask = torch.randint(0, 3, shape), torch.rand(4, 5, 3), torch.rand(4, 5) > 0.4
    right = (y_pred.argmax(-1) == ids.reshape(4, 5)).float()
    expected = (right * mask).sum() / mask.sum()
    torch.testing.assert_close(metrics.SparseCategoricalAccuracy()(ids, y_pred, sample_weight=mask), expected)
    dense = torch.nn.functional.one_hot(ids.reshape(4, 5), 3)
    torch.testing.assert_close(metrics.CategoricalAccuracy()(dense, y_pred, sample_weight=mask), expected)
    top = metrics.SparseTopKCategoricalAccuracy(k=1)
    torch.testing.assert_close(top(ids, y_pred, sample_weight=mask), expected)


def test_a_metric_uses_the_scores_that_our_activation_left():
    scores = torch.tensor([[60.0, 0.0, -60.0]], requires_grad=True)
    metric = metrics.SparseCategoricalCrossentropy()
    metric.update_state(torch.tensor([2]), activations.softmax(scores))
    assert metric.result().item() == pytest.approx(120)


def test_a_loss_object_and_an_own_function_can_be_metrics():
    y_true, y_pred = torch.rand(4, 3), torch.rand(4, 3)
    torch.testing.assert_close(metrics.MeanMetricWrapper(losses.Huber(0.2))(y_true, y_pred), losses.Huber(0.2)(y_true, y_pred))
    torch.testing.assert_close(
        metrics.MeanMetricWrapper(lambda a, b: (a - b).amax(-1), name="own")(y_true, y_pred), (y_true - y_pred).amax(-1).mean()
    )


def test_a_wrapped_function_comes_back_from_its_config():
    metric = metrics.MeanMetricWrapper(losses.huber, name="near", delta=0.2)
    config = metrics.serialize(metric)
    assert config == {"class_name": "MeanMetricWrapper", "config": {"name": "near", "dtype": "float32", "fn": "huber", "delta": 0.2}}
    again = metrics.get(config)
    torch.testing.assert_close(again(torch.zeros(1, 2), torch.ones(1, 2)), metric(torch.zeros(1, 2), torch.ones(1, 2)))


def test_a_mean_tensor_keeps_its_shape():
    metric = metrics.MeanTensor()
    assert metric.variables == []
    with pytest.raises(ValueError, match="MeanTensor 'mean_tensor' has no result yet"):
        metric.result()
    metric.update_state(torch.tensor([1.0, 3.0]))
    metric.update_state(torch.tensor([3.0, 3.0]), sample_weight=torch.tensor([3.0, 0.0]))
    assert metric.result().tolist() == [2.5, 3.0]
    assert [variable.tolist() for variable in metric.variables] == [[10, 3], [4, 1]]
    with pytest.raises(ValueError, match=r"takes tensors of one shape, \(2,\) as in the first call, but got \(3,\)"):
        metric.update_state(torch.zeros(3))
    metric.reset_states()
    assert metric.result().tolist() == [0, 0]


def test_a_relative_error_divides_by_its_normalizer():
    metric = metrics.MeanRelativeError(torch.tensor([2.0, 0.0]))
    assert metric(torch.tensor([[1.0, 1.0]]), torch.tensor([[5.0, 3.0]])).item() == 1
    assert metric.get_config()["normalizer"] == [2, 0]


def test_weights_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"sample_weight of metric 'mean' of shape \(3,\) does not fit loss values of shape \(2,\)"):
        metrics.Mean().update_state(torch.zeros(2), sample_weight=torch.ones(3))
    with pytest.raises(ValueError, match=r"RootMeanSquaredError compares y_true and y_pred element by element, but shapes \(2, 3\) and \(2, 2\)"):
        metrics.RootMeanSquaredError().update_state(torch.zeros(2, 3), torch.zeros(2, 2))
    with pytest.raises(ValueError, match=r"one class id for each prediction, \(2,\), but got y_true of shape \(2, 3\)"):
        metrics.SparseCategoricalAccuracy().update_state(torch.zeros(2, 3), torch.zeros(2, 3))
