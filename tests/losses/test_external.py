"""PyTorch losses as Keras losses."""

from __future__ import annotations

import functools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from torchkeras import losses


class Quartic(nn.Module):
    def forward(self, input, target):
        return ((input - target) ** 4).mean()


class KerasOrder(nn.Module):
    def forward(self, y_true, y_pred):
        return (2 * y_true - y_pred).mean(-1)


class Reducible(nn.Module):
    def __init__(self):
        super().__init__()
        self.reduction = "mean"
        self.scale = nn.Parameter(torch.tensor(3.0))

    def forward(self, input, target):
        values = self.scale * (input - target).abs()
        return values if self.reduction == "none" else values.mean()


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(
    "module", [nn.MSELoss, nn.L1Loss, nn.SmoothL1Loss, nn.HuberLoss, nn.BCELoss, nn.BCEWithLogitsLoss, nn.PoissonNLLLoss, nn.SoftMarginLoss]
)
def test_an_elementwise_loss_gives_what_pytorch_gives(module, reduction):
    y_true, y_pred = torch.rand(4, 3), torch.rand(4, 3)
    loss = losses.get(module(reduction=reduction))
    expected = module(reduction=reduction)(y_pred, y_true)
    torch.testing.assert_close(losses.Objective(loss)(y_true, y_pred), expected)
    torch.testing.assert_close(losses.Objective(loss)(y_true.double(), y_pred), expected)
    assert loss.call(y_true, y_pred).shape == (4,)
    if reduction == "none":
        expected = expected.mean(-1)
    torch.testing.assert_close(loss(y_true, y_pred), expected)


@pytest.mark.parametrize(
    "convert", [lambda ids: ids, lambda ids: ids.unsqueeze(-1), torch.Tensor.float, lambda ids: F.one_hot(ids, 3), lambda ids: ids.numpy()]
)
@pytest.mark.parametrize(
    "module", [nn.CrossEntropyLoss(), nn.CrossEntropyLoss(label_smoothing=0.2), nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 4.0]))]
)
def test_cross_entropy_takes_ids_and_one_hot_targets(module, convert):
    ids, scores = torch.randint(0, 3, (5,)), torch.randn(5, 3)
    expected = module(scores, ids)
    if isinstance(convert(ids), torch.Tensor) and convert(ids).shape == scores.shape:
        expected = module(scores, F.one_hot(ids, 3).float())
    torch.testing.assert_close(losses.Objective(module)(convert(ids), scores), expected)


@pytest.mark.parametrize("kind", [nn.CrossEntropyLoss, nn.NLLLoss])
def test_class_weights_and_ignored_ids_keep_the_mean(kind):
    module = kind(weight=torch.tensor([1.0, 2.0, 4.0]), ignore_index=1)
    ids, scores = torch.tensor([0, 1, 2, 2, 0]), torch.randn(5, 3).log_softmax(-1)
    loss = losses.from_torch(module)
    torch.testing.assert_close(loss(ids, scores), module(scores, ids))
    torch.testing.assert_close(loss.reduced(ids, scores), module(scores, ids))
    assert loss.call(ids, scores)[1] == 0
    functional = losses.from_torch(functools.partial(F.nll_loss, weight=module.weight, ignore_index=1))
    torch.testing.assert_close(functional(ids, scores), F.nll_loss(scores, ids, weight=module.weight, ignore_index=1))


def test_other_targets_of_classes_are_converted():
    ids, scores = torch.randint(0, 3, (5,)), torch.randn(5, 3)
    log_p = scores.log_softmax(-1)
    torch.testing.assert_close(losses.get(nn.NLLLoss())(F.one_hot(ids, 3), log_p), F.nll_loss(log_p, ids))
    torch.testing.assert_close(losses.get(nn.MultiMarginLoss())(ids.unsqueeze(-1).float(), scores), F.multi_margin_loss(scores, ids))
    sets = torch.tensor([[2.0, -1, 0]])
    torch.testing.assert_close(losses.get(nn.MultiLabelMarginLoss())(sets, scores[:1]), F.multilabel_margin_loss(scores[:1], sets.long()))
    y_true, y_pred = torch.softmax(torch.randn(4, 3), -1), torch.randn(4, 3).log_softmax(-1)
    module = nn.KLDivLoss(reduction="batchmean")
    torch.testing.assert_close(losses.get(module)(y_true, y_pred), module(y_pred, y_true))
    torch.testing.assert_close(
        losses.get(nn.BCELoss())(torch.tensor([1, 0]), torch.tensor([[0.8], [0.4]])),
        F.binary_cross_entropy(torch.tensor([0.8, 0.4]), torch.tensor([1.0, 0.0])),
    )


@pytest.mark.parametrize(
    "function", [F.mse_loss, F.l1_loss, F.smooth_l1_loss, functools.partial(F.huber_loss, delta=0.3), functools.partial(F.mse_loss, reduction="sum")]
)
def test_functions_of_torch_are_called_with_predictions_first(function):
    y_true, y_pred = torch.rand(4, 3), torch.rand(4, 3)
    torch.testing.assert_close(losses.get(function)(y_true, y_pred), function(y_pred, y_true))


def test_cross_entropy_as_a_function_takes_ids():
    ids, scores = torch.randint(0, 3, (5, 1)), torch.randn(5, 3)
    torch.testing.assert_close(losses.Objective(F.cross_entropy)(ids.float(), scores), F.cross_entropy(scores, ids[:, 0]))


def test_the_axis_of_the_classes_is_told_by_the_ids_or_by_the_caller():
    scores = torch.randn(2, 4, 5)
    last, first = torch.randint(0, 4, (2, 4)), torch.randint(0, 4, (2, 5))
    loss = losses.get(nn.CrossEntropyLoss())
    torch.testing.assert_close(loss(last, scores), F.cross_entropy(scores.movedim(-1, 1), last))
    torch.testing.assert_close(loss(last.unsqueeze(-1), scores), F.cross_entropy(scores.movedim(-1, 1), last))
    torch.testing.assert_close(loss(first, scores), F.cross_entropy(scores, first))
    assert loss.call(last, scores).shape == (2, 4)
    square = torch.randn(2, 4, 4)
    with pytest.raises(ValueError, match=r"cannot tell which axis of predictions \(2, 4, 4\) has the classes, given targets \(2, 4\)"):
        loss(last, square)
    torch.testing.assert_close(losses.from_torch(nn.CrossEntropyLoss(), class_axis=1)(last, square), F.cross_entropy(square, last))
    keras = losses.from_torch(nn.CrossEntropyLoss, class_axis=-1)
    torch.testing.assert_close(keras(last, square), F.cross_entropy(square.movedim(-1, 1), last))
    torch.testing.assert_close(keras(F.one_hot(last, 4), square), F.cross_entropy(square.movedim(-1, 1), last))
    with pytest.raises(ValueError, match="class_axis=-1 as in Keras"):
        loss(torch.randn(2, 4, 5), scores)


def test_weights_weight_samples():
    y_true, y_pred, weight = torch.rand(4, 3), torch.rand(4, 3), torch.rand(4)
    expected = ((y_pred - y_true).square().mean(-1) * weight).mean()
    torch.testing.assert_close(losses.Objective(nn.MSELoss())(y_true, y_pred, weight), expected)
    torch.testing.assert_close(losses.Objective(F.mse_loss)(y_true, y_pred, weight), expected)


def test_own_modules_are_called_with_predictions_first_unless_they_say_otherwise():
    y_true, y_pred = torch.rand(4, 3), torch.rand(4, 3)
    torch.testing.assert_close(losses.Objective(Quartic())(y_true, y_pred), ((y_true - y_pred) ** 4).mean())
    torch.testing.assert_close(losses.Objective(KerasOrder())(y_true, y_pred, torch.ones(4)), (2 * y_true - y_pred).mean())
    objective = losses.Objective(Reducible())
    torch.testing.assert_close(objective(y_true, y_pred, torch.ones(4)), objective(y_true, y_pred))
    assert objective.values(y_true, y_pred).shape == (4,)


def test_a_module_that_gives_one_number_cannot_be_weighted():
    with pytest.raises(ValueError, match="Quartic gives one number for the whole batch, so samples cannot be weighted"):
        losses.Objective(Quartic())(torch.rand(4, 3), torch.rand(4, 3), torch.ones(4))


def test_a_loss_of_torch_nn_comes_back_from_its_config():
    loss = losses.from_torch(nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0]), label_smoothing=0.1, reduction="sum"), class_axis=-1, name="ce")
    again = losses.get(losses.serialize(loss))
    ids, scores = torch.tensor([0, 1]), torch.randn(2, 2)
    torch.testing.assert_close(again(ids, scores), loss(ids, scores))
    assert again.get_config() == loss.get_config()
    assert again.name == "ce"
    with pytest.raises(ValueError, match="The PyTorch loss Quartic cannot be written to a config"):
        losses.serialize(losses.get(Quartic()))
    with pytest.raises(ValueError, match="The PyTorch loss mse_loss cannot be written"):
        losses.serialize(losses.get(F.mse_loss))
    with pytest.raises(ValueError, match=r"names the PyTorch loss 'Linear', but torch\.nn has only"):
        losses.TorchLoss.from_config({"loss": "Linear", "arguments": {"in_features": 1, "out_features": 1}})


def test_other_things_are_refused():
    with pytest.raises(TypeError, match=r"from_torch takes an nn\.Module loss or a function of torch\.nn\.functional"):
        losses.from_torch(Quartic.forward)
    with pytest.raises(ValueError, match=r"CTCLoss takes \(log_probs, targets, input_lengths, target_lengths\)"):
        losses.get(nn.CTCLoss())
    assert losses.get(torch.nn.MSELoss).name == "MSELoss"
