"""Metrics as Ignite's, Ignite's and others' as ours."""

from __future__ import annotations

import ignite.metrics
import pytest
import torch
from ignite.engine import Engine

from torchkeras import metrics
from torchkeras.layers import Dense
from torchkeras.models import Sequential

BATCHES = [(torch.rand(rows, 3), torch.randint(0, 3, (rows,))) for rows in (4, 4, 1)]


class Counter:
    """As torchmetrics and torcheval have them."""

    def __init__(self):
        self.reset()

    def update(self, preds, target):
        assert target.dtype == torch.int64
        assert target.shape == preds.shape[:-1]
        self.right = self.right + (preds.argmax(-1) == target).sum()
        self.count += len(target)

    def compute(self):
        return self.right / self.count

    def reset(self):
        self.right, self.count = torch.tensor(0), 0

    def to(self, device):
        self.right = self.right.to(device)
        return self


def expected() -> float:
    right = torch.cat([scores.argmax(-1) == ids for scores, ids in BATCHES])
    return right.float().mean().item()


def test_a_metric_works_on_any_engine():
    engine = Engine(lambda engine, batch: batch)
    metrics.SparseCategoricalAccuracy().as_ignite().attach(engine, "accuracy")
    metrics.Mean().as_ignite(lambda output: output[0].sum()).attach(engine, "mean")
    weighted = metrics.SparseCategoricalAccuracy().as_ignite(lambda output: (*output, torch.ones(len(output[1]))))
    weighted.attach(engine, "weighted")
    metrics.Precision([0.2, 0.8]).as_ignite(lambda output: (output[0], torch.nn.functional.one_hot(output[1], 3)), device="cpu").attach(
        engine, "precision"
    )
    for _ in range(2):  # an epoch starts anew
        state = engine.run(BATCHES)
        assert state.metrics["accuracy"] == pytest.approx(expected())
        assert state.metrics["weighted"] == pytest.approx(expected())
        assert state.metrics["mean"] == pytest.approx(sum(scores.sum().item() for scores, _ in BATCHES) / 3)
        assert state.metrics["precision"].shape == (2,)


@pytest.mark.parametrize("external", [Counter(), ignite.metrics.Accuracy()], ids=["torchmetrics", "ignite"])
@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_a_metric_of_another_library_works_here(external, shape):
    metric = metrics.get(external)
    for _ in range(2):
        metric.reset_states()
        for scores, ids in BATCHES:
            metric.update_state(ids.reshape(shape).float(), scores)
        assert float(metric.result()) == pytest.approx(expected())
    name, resolved = metrics.resolve(external, (None, 3), (None,), "sparse_categorical_crossentropy")
    assert isinstance(resolved, metrics.ExternalMetric)
    assert name == resolved.name


def test_targets_of_another_library_can_be_made_by_the_caller():
    metric = metrics.from_external(Counter(), name="mine", transform=lambda y_true, y_pred: (y_pred, y_true.argmax(-1)))
    for scores, ids in BATCHES:
        metric.update_state(torch.nn.functional.one_hot(ids, 3).float(), scores)
    assert metric.name == "mine"
    assert metric.result().item() == pytest.approx(expected())


def test_real_valued_targets_stay_as_they_are():
    metric = metrics.from_external(ignite.metrics.MeanSquaredError())
    metric.update_state(torch.tensor([0.5, 0.25]), torch.tensor([0.0, 0.25]))
    assert metric.result() == pytest.approx(0.125)


def test_what_another_library_cannot_do_is_refused():
    metric = metrics.from_external(Counter(), name="mine")
    with pytest.raises(ValueError, match="Metric 'mine' wraps Counter, which takes no weights or masks here"):
        metric.update_state(torch.zeros(2), torch.zeros(2, 3), sample_weight=torch.ones(2))
    with pytest.raises(ValueError, match="Metric 'mine' wraps Counter, which has no config"):
        metrics.serialize(metric)
    with pytest.raises(TypeError, match=r"from_external takes an object with update\(preds, target\), compute\(\) and reset\(\)"):
        metrics.from_external(object())


def test_a_genuine_torchmetric_counts_as_ours_does():
    torchmetrics = pytest.importorskip("torchmetrics")
    model = Sequential([Dense(3, activation="softmax", input_shape=(4,))])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy", torchmetrics.Accuracy(task="multiclass", num_classes=3)])
    history = model.fit(torch.rand(40, 4), torch.randint(0, 3, (40,)), epochs=2, verbose=0, validation_split=0.2).history
    assert history["multiclass_accuracy"] == pytest.approx(history["accuracy"])
    assert history["val_multiclass_accuracy"] == pytest.approx(history["val_accuracy"])
