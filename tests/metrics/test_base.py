"""`Metric`: variables, devices, subclasses, copies, names."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from tests.pretend import on_device, pretending
from torchkeras import metrics
from torchkeras.generations import using_keras_version


@pytest.fixture(autouse=True)
def _fresh_names():
    metrics.reset_uids()


class Positives(metrics.Metric):
    """As written for tf.keras."""

    def __init__(self, name="positives", **kwargs):
        super().__init__(name=name, **kwargs)
        self.seen = self.add_weight(name="seen", initializer="zeros")
        self.found = self.add_weight("found", shape=(2,))

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.seen.assign_add(y_true.sum())
        self.found.assign_add((y_pred > 0.5).float().sum(0))

    def result(self):
        return self.found


class Replacing(metrics.Metric):
    """Writes plain tensors over its variables, with newer Keras' name for the reset."""

    def __init__(self):
        super().__init__(name="replacing")
        self.total = self.add_weight("sum")

    def update_state(self, values):
        self.total = self.total + values.sum()

    def result(self):
        return self.total / 2

    def reset_state(self):
        for variable in self.variables:
            variable.assign(torch.zeros(variable.shape))


def test_a_metric_written_for_keras_works():
    metric = Positives()
    y_true, y_pred = torch.tensor([[1.0, 0.0], [1.0, 1.0]]), torch.tensor([[0.9, 0.1], [0.8, 0.7]])
    first = metric(y_true, y_pred)
    metric.update_state(y_true, y_pred)
    assert first.tolist() == [2, 1]
    assert type(first) is torch.Tensor
    assert metric.result().tolist() == [4, 2]
    assert [variable.tolist() for variable in metric.variables] == [6, [4, 2]]
    assert metric.weights[0] is metric.seen
    assert metric.trainable_weights == []
    metric.reset_states()
    assert metric.result().tolist() == [0, 0]
    assert metric.get_config() == {"name": "positives", "dtype": "float32"}


def test_either_name_of_the_reset_does():
    metric = Replacing()
    metric.update_state(torch.ones(3))
    assert metric.result().item() == 1.5
    assert len(metric.variables) == 1
    metric.reset_states()
    assert metric.result().item() == 0
    mean = metrics.Mean()
    mean.update_state(torch.ones(3))
    mean.reset_state()
    assert mean.result().item() == 0


def test_variables_can_be_written():
    metric = Positives()
    metric.seen.assign(3.0).assign_sub(torch.tensor(1.0))
    metric.found.assign([1.0, 2.0]).assign_add([1.0, 1.0])
    assert metric.seen.value().item() == 2
    assert [weights.tolist() for weights in metric.get_weights()] == [2, [2, 3]]
    other = Positives()
    other.set_weights(metric.get_weights())
    assert other.result().tolist() == [2, 3]
    with pytest.raises(ValueError, match="Metric 'positives' has 2 variables, but got 1 values"):
        other.set_weights([1.0])


def test_a_variable_takes_an_initializer():
    metric = Positives()
    assert metric.add_weight("ones", (2,), initializer="ones").tolist() == [1, 1]
    assert metric.add_weight("kept", (), "sum", None, "zeros", torch.int64).dtype == torch.int64
    with pytest.raises(ValueError, match="can only sum its variables over processes, but add_weight got aggregation='mean'"):
        metric.add_weight("bad", aggregation="mean")


def test_updates_record_no_gradient_and_leave_results_alone():
    y_pred = torch.rand(3, 2, requires_grad=True)
    metric = metrics.MeanSquaredError()
    metric.update_state(torch.zeros(3, 2), y_pred)
    before = metric.result()
    metric.update_state(torch.zeros(3, 2), y_pred + 1)
    assert not before.requires_grad
    assert before != metric.result()


def test_what_is_not_written_is_asked_for():
    with pytest.raises(NotImplementedError, match=r"Metric needs a method update_state\(self, y_true, y_pred, sample_weight=None\)"):
        metrics.Metric()(1, 2)
    with pytest.raises(NotImplementedError, match=r"Metric needs a method result"):
        metrics.Metric().result()
    with pytest.raises(ValueError, match=r"needs a dtype out of .*'float32'.*, but got 'int32'"):
        metrics.Mean(dtype="int32")
    with pytest.raises(TypeError, match="unexpected keyword argument 'trainable'"):
        metrics.Metric(trainable=True)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))])
@pytest.mark.parametrize("name", ["Mean", "AUC", "SparseCategoricalAccuracy", "Precision", "MeanTensor"])
def test_a_copy_goes_on_alone(name, copied):
    metric = getattr(metrics, name)()
    batch = (torch.tensor([0.0, 1.0]),) if name.startswith("Mean") else (torch.tensor([0, 1]), torch.tensor([0.3, 0.6]))
    batch = (torch.tensor([[0], [1]]), torch.rand(2, 3)) if name.startswith("Sparse") else batch
    metric.update_state(*batch)
    other = copied(metric)
    torch.testing.assert_close(other.result(), metric.result())
    other.reset_states()
    other.update_state(*batch)
    other.update_state(*batch)
    assert metric.variables[0].sum() != other.variables[0].sum() or metric.variables[0].sum() == 0
    assert type(other.variables[0]) is type(metric.variables[0])


def test_casting_a_model_leaves_its_metrics_alone_and_out_of_its_state():
    model = nn.Module()
    model.linear, model.metric = nn.Linear(2, 2), metrics.Mean()
    model.metric.update_state(torch.tensor([1.0, 2.0]))
    model.half().double().bfloat16()
    assert list(model.state_dict()) == ["linear.weight", "linear.bias"]
    assert model.metric.total.dtype == torch.float64
    assert model.metric.result().item() == 1.5
    assert model.metric.result().dtype == torch.float32
    assert metrics.Mean(dtype="float64")(torch.ones(2)).dtype == torch.float64


def test_names_are_counted_as_the_release_counts():
    assert [metrics.AUC().name, metrics.AUC().name, metrics.MeanIoU(2).name] == ["auc", "auc_1", "mean_io_u"]
    metrics.reset_uids()
    assert metrics.AUC().name == "auc"
    with using_keras_version("2.2.4"):
        metrics.reset_uids()
        assert [metrics.Precision().name, metrics.Precision().name] == ["precision_1", "precision_2"]
    assert metrics.AUC(name="mine").name == "mine"


METRICS = {
    "Accuracy": "ids",
    "BinaryAccuracy": "binary",
    "CategoricalAccuracy": "binary",
    "SparseCategoricalAccuracy": "sparse",
    "TopKCategoricalAccuracy": "binary",
    "SparseTopKCategoricalAccuracy": "sparse",
    "Precision": "binary",
    "Recall": "binary",
    "TruePositives": "binary",
    "FalseNegatives": "binary",
    "AUC": "binary",
    "MeanSquaredError": "binary",
    "RootMeanSquaredError": "binary",
    "CosineSimilarity": "binary",
    "KLDivergence": "binary",
    "Hinge": "binary",
    "BinaryCrossentropy": "binary",
    "SparseCategoricalCrossentropy": "sparse",
}


@pytest.mark.parametrize("name", METRICS)
def test_no_metric_waits_for_the_device(name):
    metric = getattr(metrics, name)()
    with pretending() as device:
        metric = on_device(metric, device)
        y_pred = torch.rand(6, 4, device=device)
        y_true = {"sparse": torch.zeros(6, 1, device=device), "binary": torch.zeros(6, 4, device=device), "ids": torch.zeros(6, 4, device=device)}
        for weight in (None, torch.rand(6, device=device)):
            metric.update_state(y_true[METRICS[name]], y_pred, sample_weight=weight)
        assert metric.result().device == device
        metric.reset_states()


@pytest.mark.parametrize(
    "metric",
    [
        metrics.AUC(multi_label=True, label_weights=[1, 2, 3, 4]),
        metrics.Precision([0.3, 0.7]),
        metrics.Precision(top_k=2, class_id=1),
        metrics.SensitivityAtSpecificity(0.5),
        metrics.PrecisionAtRecall(0.5),
        metrics.MeanRelativeError([1, 2, 3, 4]),
    ],
    ids=["auc", "precision", "top", "sensitivity", "precision_at", "relative"],
)
def test_no_metric_with_thresholds_waits_for_the_device(metric):
    with pretending() as device:
        metric = on_device(metric, device)
        for weight in (None, torch.rand(6, device=device)):
            metric.update_state(torch.zeros(6, 4, device=device), torch.rand(6, 4, device=device), sample_weight=weight)
        assert metric.result().device == device


def test_variables_follow_the_data():
    with pretending() as device:
        metric = metrics.Mean()
        metric.update_state(torch.ones(3, device=device))
        assert metric.total.device == device
        metric.update_state(torch.ones(3))
        assert metric.total.device.type == "cpu"
    metric = metrics.Mean().to("meta")
    metric.update_state(torch.ones(3, device="meta"))
    assert metric.total.device.type == "meta"
    assert type(metric.total) is metrics.variable.MetricVariable


def test_arrays_and_lists_are_taken():
    assert metrics.Mean()([1, 3, 5, 7]).item() == 4
    assert metrics.Sum()(np.array([1.0, 2.0])).item() == 3
    assert metrics.Accuracy()([[1], [2], [3]], [[0], [2], [3]]).item() == pytest.approx(2 / 3)
    assert metrics.SparseCategoricalAccuracy()([2, 1], [[0.1, 0.6, 0.3], [0.05, 0.95, 0]]).item() == 0.5
