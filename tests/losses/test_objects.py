"""Loss objects, reductions, lookup, configs, and `Objective`."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch

from torchkeras import losses, objectives
from torchkeras.generations import using_keras_version
from torchkeras.losses.losses_utils import ReductionV2
from torchkeras.registry import custom_object_scope

CONFIGS = {  # of tf.keras 2.4.0
    "MeanSquaredError": {"name": "mean_squared_error"},
    "MeanAbsoluteError": {"name": "mean_absolute_error"},
    "MeanAbsolutePercentageError": {"name": "mean_absolute_percentage_error"},
    "MeanSquaredLogarithmicError": {"name": "mean_squared_logarithmic_error"},
    "BinaryCrossentropy": {"name": "binary_crossentropy", "from_logits": False, "label_smoothing": 0},
    "CategoricalCrossentropy": {"name": "categorical_crossentropy", "from_logits": False, "label_smoothing": 0},
    "SparseCategoricalCrossentropy": {"name": "sparse_categorical_crossentropy", "from_logits": False},
    "Hinge": {"name": "hinge"},
    "SquaredHinge": {"name": "squared_hinge"},
    "CategoricalHinge": {"name": "categorical_hinge"},
    "Poisson": {"name": "poisson"},
    "LogCosh": {"name": "log_cosh"},
    "KLDivergence": {"name": "kl_divergence"},
    "Huber": {"name": "huber_loss", "delta": 1.0},
    "CosineSimilarity": {"name": "cosine_similarity", "axis": -1},
}


class Absolute(losses.Loss):
    def __init__(self, scale=2.0, **kwargs):
        super().__init__(**kwargs)
        self.scale = scale

    def call(self, y_true, y_pred):
        return self.scale * (y_true - y_pred).abs().mean(-1)

    def get_config(self):
        return {**super().get_config(), "scale": self.scale}


class OwnCall(losses.Loss):
    def __call__(self, y_true, y_pred, sample_weight=None):
        return (y_pred.sum() * 0 + 7) if sample_weight is None else sample_weight.sum()


def own_function(y_true, y_pred):
    return (y_true - y_pred).abs().sum(-1)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_loss_class_has_keras_config(name):
    loss = getattr(losses, name)()
    assert loss.get_config() == {"reduction": "auto", **CONFIGS[name]}
    again = losses.get(losses.serialize(loss))
    assert type(again) is type(loss)
    assert again.get_config() == loss.get_config()
    assert type(losses.get(name)) is type(loss)
    assert type(losses.get(type(loss))) is type(loss)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))])
@pytest.mark.parametrize("loss", [losses.Huber(0.5), losses.Hinge(), losses.Objective("hinge"), losses.Objective(losses.Huber(0.5))])
def test_losses_can_be_copied_and_pickled(loss, copied):
    y_true, y_pred = torch.rand(3, 2), torch.rand(3, 2)
    torch.testing.assert_close(copied(loss)(y_true, y_pred), loss(y_true, y_pred))


def test_reductions_reduce():
    y_true, y_pred, weight = torch.zeros(4, 2), torch.rand(4, 2), torch.tensor([1.0, 0, 2, 0])
    values = y_pred.square().mean(-1)
    expected = {"none": values * weight, "sum": (values * weight).sum(), "auto": (values * weight).sum() / 4}
    expected["sum_over_batch_size"] = expected["auto"]
    assert set(expected) == set(losses.Reduction.all())
    for reduction, value in expected.items():
        torch.testing.assert_close(losses.MeanSquaredError(reduction)(y_true, y_pred, sample_weight=weight), value)
    assert ReductionV2 is losses.Reduction
    assert losses.Reduction.SUM == "sum"


def test_an_unknown_reduction_is_refused():
    with pytest.raises(ValueError, match=r"reduction must be one of .*'sum_over_batch_size'.*, but got 'mean'"):
        losses.MeanSquaredError(reduction="mean")


def test_weights_of_one_column_and_of_steps_fit():
    loss, y_true, y_pred = losses.MeanAbsoluteError(), torch.zeros(2, 3, 4), torch.ones(2, 3, 4)
    torch.testing.assert_close(loss(y_true, y_pred, sample_weight=[[1.0], [3.0]]), torch.tensor(2.0))
    torch.testing.assert_close(loss(y_true, y_pred, sample_weight=[1.0, 3.0]), torch.tensor(2.0))
    torch.testing.assert_close(loss(y_true, y_pred, sample_weight=0.5), torch.tensor(0.5))
    torch.testing.assert_close(loss(y_true, y_pred, sample_weight=torch.ones(2, 3, 1) * 2), torch.tensor(2.0))
    with pytest.raises(ValueError, match=r"sample_weight of shape \(3,\) does not fit loss values of shape \(2, 3\)"):
        loss(y_true, y_pred, sample_weight=[1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"sample_weight of shape \(2, 3, 2\) does not fit"):
        loss(y_true, y_pred, sample_weight=torch.ones(2, 3, 2))


def test_an_own_loss_class_works_and_comes_back_from_its_config():
    loss = Absolute(scale=3.0, reduction="sum", name="mine")
    torch.testing.assert_close(loss(torch.zeros(2, 1), torch.ones(2, 1)), torch.tensor(6.0))
    with custom_object_scope({"Absolute": Absolute}):
        again = losses.get(losses.serialize(loss))
    assert isinstance(again, Absolute)
    assert again.get_config() == {"reduction": "sum", "name": "mine", "scale": 3.0}


def test_a_loss_without_call_says_what_it_needs():
    with pytest.raises(NotImplementedError, match=r"Loss needs a method call\(self, y_true, y_pred\)"):
        losses.Loss()(torch.zeros(1), torch.zeros(1))


def test_a_wrapped_function_comes_back_from_its_config():
    loss = losses.LossFunctionWrapper(losses.huber, name="near", delta=0.3)
    config = losses.serialize(loss)
    assert config == {"class_name": "LossFunctionWrapper", "config": {"reduction": "auto", "name": "near", "fn": "huber", "delta": 0.3}}
    again = losses.get(config)
    assert again.fn is losses.huber
    torch.testing.assert_close(again(torch.zeros(1, 1), torch.ones(1, 1)), loss(torch.zeros(1, 1), torch.ones(1, 1)))


def test_an_odd_last_axis_is_dropped_by_objects():
    y_true = torch.tensor([0.0, 1.0])
    torch.testing.assert_close(losses.MeanSquaredError()(y_true, y_true.unsqueeze(-1)), torch.tensor(0.0))
    torch.testing.assert_close(losses.MeanSquaredError()(y_true.unsqueeze(-1), y_true), torch.tensor(0.0))
    torch.testing.assert_close(losses.Objective("mse")(y_true, y_true.unsqueeze(-1)), torch.tensor(0.0))
    with using_keras_version("2.2.4"), pytest.raises(ValueError, match="crosswise"):
        losses.Objective("mse")(y_true, y_true.unsqueeze(-1))


def test_get_refuses_what_is_no_loss():
    assert losses.get(None) is None
    assert losses.get(own_function) is own_function
    with pytest.raises(ValueError, match=r"Unknown loss function: 'mean_square_error'. Did you mean 'mean_squared_error'"):
        losses.get("mean_square_error")
    with pytest.raises(ValueError, match="Could not read 3 as a loss"):
        losses.get(3)
    with pytest.raises(ValueError, match="Objective needs a loss"):
        losses.Objective(None)


def test_functions_are_written_under_the_name_of_the_release():
    assert losses.serialize(losses.kld) == "kl_divergence"
    assert losses.serialize(losses.logcosh) == "log_cosh"
    with using_keras_version("2.2.4"):
        assert losses.serialize(losses.kld) == "kullback_leibler_divergence"
        assert losses.serialize(losses.logcosh) == "logcosh"
        assert losses.serialize(losses.mse) == "mean_squared_error"
        assert losses.function_name(losses.kld) == "kullback_leibler_divergence"


def test_what_is_made_under_a_release_keeps_to_it():
    y_true, y_pred = torch.tensor([[0.0, 1.0]]), torch.tensor([[0.5, 0.5]])
    with using_keras_version("2.2.4"):
        made = [losses.Hinge(), losses.Objective("hinge"), losses.bind_release(losses.hinge)]
    for loss in made:
        assert loss(y_true, y_pred).item() == pytest.approx(0.75)
    assert losses.Hinge()(y_true, y_pred).item() == pytest.approx(1.0)
    assert losses.bind_release(own_function) is own_function


@pytest.mark.parametrize(
    "loss", ["mse", "mae", "huber", "kld", losses.MeanSquaredError(), losses.Huber(0.2), losses.Poisson(), Absolute(), own_function]
)
def test_an_objective_without_weights_is_the_mean_of_its_values(loss):
    y_true, y_pred = torch.rand(4, 3), torch.rand(4, 3)
    objective = losses.Objective(loss)
    torch.testing.assert_close(objective(y_true, y_pred), objective.values(y_true, y_pred).mean())


@pytest.mark.parametrize("from_logits", [False, True])
def test_an_objective_passes_the_arguments_of_a_loss_object(from_logits):
    y_true, y_pred = torch.rand(4, 3), torch.rand(4, 3)
    loss = losses.BinaryCrossentropy(from_logits=from_logits, label_smoothing=0.3)
    torch.testing.assert_close(losses.Objective(loss)(y_true, y_pred), loss(y_true, y_pred))
    ids = torch.randint(0, 3, (4,))
    sparse = losses.SparseCategoricalCrossentropy(from_logits=from_logits)
    torch.testing.assert_close(losses.Objective(sparse)(ids, y_pred), sparse(ids, y_pred))


def test_an_objective_keeps_a_reduction_that_was_asked_for_in_every_release():
    y_true, y_pred, weight = torch.zeros(4, 1), torch.ones(4, 1), torch.tensor([1.0, 0, 1, 0])
    for release in ("2.2.4", "2.4.0"):
        with using_keras_version(release):
            assert losses.Objective(losses.MeanSquaredError("sum"))(y_true, y_pred, weight).item() == 2
            assert losses.Objective(losses.MeanSquaredError("none"))(y_true, y_pred, weight).tolist() == [1, 0, 1, 0]
            assert losses.Objective(losses.MeanSquaredError("sum_over_batch_size"))(y_true, y_pred, weight).item() == 0.5
    with using_keras_version("2.2.4"):
        assert losses.Objective(losses.MeanSquaredError())(y_true, y_pred, weight).item() == 1


def test_a_loss_that_reduces_itself_is_called_itself():
    y_true, y_pred = torch.zeros(2, 3, 1), torch.ones(2, 3, 1)
    objective = losses.Objective(OwnCall())
    assert objective(y_true, y_pred).item() == 7
    mask = torch.tensor([[True, False, True], [True, True, True]])
    assert objective(y_true, y_pred, torch.tensor([1.0, 10.0]), mask).item() == 32
    assert objective(y_true, y_pred, mask=mask).item() == 5


def test_objectives_are_named():
    assert losses.Objective("mse").name == "mean_squared_error"
    assert losses.Objective(losses.Huber(name="mine")).name == "mine"
    assert losses.Objective(own_function).name == "own_function"
    assert losses.Objective(Absolute()).name == "Absolute"


def test_keras_1_calls_losses_objectives():
    for name in ("mse", "KLD", "cosine", "binary_crossentropy", "squared_hinge", "get"):
        assert getattr(objectives, name) is getattr(losses, name)
