"""Loss functions: gradients, edges, shapes, fused forms, releases."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.pretend import pretending
from torchkeras import activations, config, losses
from torchkeras.generations import using_keras_version

RELEASES = ("1.2.2", "2.2.4", "2.4.0")
REAL = ("mse", "mae", "mape", "msle", "logcosh", "huber", "cosine_proximity", "cosine_similarity")
PROBABILITIES = ("categorical_crossentropy", "binary_crossentropy", "kld", "poisson")
MARGINS = ("hinge", "squared_hinge", "categorical_hinge")
NAMES = {
    "1.2.2": "mse MSE mae MAE mape MAPE msle MSLE kld KLD cosine mean_squared_error mean_absolute_error mean_absolute_percentage_error "
    "mean_squared_logarithmic_error squared_hinge hinge categorical_crossentropy sparse_categorical_crossentropy binary_crossentropy "
    "kullback_leibler_divergence poisson cosine_proximity",
    "2.2.4": "categorical_hinge logcosh cosine_proximity kullback_leibler_divergence",
    "2.4.0": "bce BCE huber huber_loss log_cosh kl_divergence cosine_similarity MeanSquaredError MeanAbsoluteError MeanAbsolutePercentageError "
    "MeanSquaredLogarithmicError BinaryCrossentropy CategoricalCrossentropy SparseCategoricalCrossentropy Hinge SquaredHinge "
    "CategoricalHinge Poisson LogCosh KLDivergence Huber CosineSimilarity",
}


def probabilities(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.softmax(torch.randn(*shape, dtype=dtype), -1)


def one_hot(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.nn.functional.one_hot(torch.randint(0, shape[-1], shape[:-1]), shape[-1]).to(dtype)


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("name", REAL)
def test_gradients_of_losses_of_real_values_are_right(name, release):
    y_true, y_pred = torch.rand(4, 3, dtype=torch.float64) + 0.2, torch.rand(4, 3, dtype=torch.float64) + 0.3
    with using_keras_version(release):
        assert torch.autograd.gradcheck(lambda y: losses.get(name)(y_true, y), y_pred.requires_grad_())


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("name", PROBABILITIES)
def test_gradients_of_losses_of_probabilities_are_right(name, release):
    with using_keras_version(release):
        assert torch.autograd.gradcheck(
            lambda y: losses.get(name)(torch.full((4, 3), 0.25, dtype=torch.float64), y), probabilities(4, 3).requires_grad_()
        )


@pytest.mark.parametrize("name", MARGINS)
def test_gradients_of_margins_are_right(name):
    y_true = torch.where(torch.rand(4, 3) > 0.5, 1.0, -1.0).double()
    assert torch.autograd.gradcheck(lambda y: losses.get(name)(y_true, y), torch.randn(4, 3, dtype=torch.float64, requires_grad=True))


@pytest.mark.parametrize("from_logits", [False, True])
def test_gradients_of_sparse_crossentropy_are_right(from_logits):
    ids = torch.randint(0, 3, (2, 4))
    y_pred = (torch.randn(2, 4, 3, dtype=torch.float64) if from_logits else probabilities(2, 4, 3)).requires_grad_()
    assert torch.autograd.gradcheck(lambda y: losses.sparse_categorical_crossentropy(ids, y, from_logits), y_pred)


@pytest.mark.parametrize("release", RELEASES)
def test_every_name_of_a_release_is_known(release):
    with using_keras_version(release):
        for name in NAMES[release].split():
            assert callable(losses.get(name)), name


@pytest.mark.parametrize("name", ["mse", "KLD", "bce", "logcosh", "cosine"])
def test_names_and_attributes_are_the_same_functions(name):
    assert losses.get(name) is getattr(losses, name)


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("name", ["binary_crossentropy", "categorical_crossentropy", "kld", "poisson", "hinge", "mape", "msle", "cosine_proximity"])
def test_zeros_and_ones_give_finite_losses_and_gradients(name, release):
    for y_true in (torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, 0.0]]), torch.zeros(1, 2)):
        for edge in ([[0.0, 1.0]], [[1.0, 0.0]], [[0.0, 0.0]]):
            y_pred = torch.tensor(edge, requires_grad=True)
            with using_keras_version(release):
                values = losses.get(name)(y_true, y_pred)
            values.sum().backward()
            assert values.isfinite().all(), (y_true, edge)
            assert y_pred.grad.isfinite().all(), (y_true, edge)


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize(
    ("name", "activation"),
    [("categorical_crossentropy", "softmax"), ("sparse_categorical_crossentropy", "softmax"), ("binary_crossentropy", "sigmoid")],
)
def test_scores_that_our_activation_left_give_the_numbers_of_probabilities(name, activation, release):
    scores = torch.randn(6, 4, dtype=torch.float64, requires_grad=True)
    y_true = torch.randint(0, 4, (6,)) if name.startswith("sparse") else one_hot(6, 4)
    with using_keras_version(release):
        function = losses.get(name)
        y_pred = getattr(activations, activation)(scores)
        fused, plain = function(y_true, y_pred), function(y_true, y_pred.clone())
    torch.testing.assert_close(fused, plain, rtol=1e-6, atol=3e-7)  # epsilon inside tf.keras' logarithm
    (gradient,) = torch.autograd.grad(fused.sum(), scores, retain_graph=True)
    torch.testing.assert_close(gradient, torch.autograd.grad(plain.sum(), scores)[0], rtol=1e-5, atol=1e-6)


def test_scores_keep_the_gradient_where_probabilities_are_clipped():
    scores = torch.tensor([[60.0, 0.0, -60.0]], requires_grad=True)
    values = losses.categorical_crossentropy(torch.tensor([[0.0, 0.0, 1.0]]), activations.softmax(scores))
    values.sum().backward()
    torch.testing.assert_close(values, torch.tensor([120.0]))
    torch.testing.assert_close(scores.grad, torch.tensor([[1.0, 0.0, -1.0]]))


def test_scores_of_a_softmax_along_the_last_axis_are_not_used_for_another():
    scores = torch.randn(2, 3, 4, requires_grad=True)
    y_pred = activations.softmax(scores)
    y_true = one_hot(2, 3, 4, dtype=torch.float32)
    torch.testing.assert_close(
        losses.categorical_crossentropy(y_true, y_pred, axis=1), losses.categorical_crossentropy(y_true, y_pred.clone(), axis=1)
    )


@pytest.mark.parametrize("convert", [lambda ids: ids.unsqueeze(-1), torch.Tensor.float, torch.Tensor.int, torch.Tensor.numpy])
def test_class_ids_come_in_any_type_and_with_an_axis_of_one(convert):
    ids, y_pred = torch.randint(0, 3, (2, 5)), probabilities(2, 5, 3)
    expected = -y_pred.gather(-1, ids.unsqueeze(-1)).squeeze(-1).log()
    torch.testing.assert_close(losses.sparse_categorical_crossentropy(convert(ids), y_pred), expected)


def test_sparse_and_one_hot_targets_agree_along_any_axis():
    ids, scores = torch.randint(0, 3, (2, 4)), torch.randn(2, 3, 4)
    dense = torch.nn.functional.one_hot(ids, 3).movedim(-1, 1)
    torch.testing.assert_close(
        losses.sparse_categorical_crossentropy(ids, scores, from_logits=True, axis=1),
        losses.categorical_crossentropy(dense, scores, from_logits=True, axis=1),
    )


@pytest.mark.parametrize("bad", [-100, -1, 3])
def test_an_id_that_is_no_class_is_not_ignored(bad):
    with pytest.raises(IndexError, match="out of bounds"):
        losses.sparse_categorical_crossentropy(torch.tensor([0, bad]), torch.full((2, 3), 1 / 3))


def test_one_hot_targets_are_refused_where_ids_belong():
    with pytest.raises(ValueError, match=r"one class id for each prediction, \(4,\), but got y_true of shape \(4, 3\)"):
        losses.sparse_categorical_crossentropy(torch.zeros(4, 3), torch.zeros(4, 3))


@pytest.mark.parametrize("name", [*REAL, *PROBABILITIES, *MARGINS])
def test_shapes_that_would_be_compared_crosswise_are_refused(name):
    with pytest.raises(ValueError, match=r"\(4,\) and \(4, 1\) would be compared crosswise, as \(4, 4\)"):
        losses.get(name)(torch.zeros(4), torch.zeros(4, 1))
    with pytest.raises(ValueError, match=r"\(4, 2\) and \(4, 3\) do not go together"):
        losses.get(name)(torch.zeros(4, 2), torch.zeros(4, 3))


@pytest.mark.parametrize("name", ["mse", "mae", "huber", "binary_crossentropy"])
def test_targets_of_one_column_broadcast(name):
    y_true, y_pred = torch.tensor([[0.0], [1.0]]), torch.rand(2, 3)
    expected = losses.get(name)(y_true.expand(2, 3), y_pred)
    torch.testing.assert_close(losses.get(name)(y_true, y_pred), expected)
    torch.testing.assert_close(losses.Objective(name)(y_true, y_pred), expected.mean())


def test_label_smoothing_moves_targets():
    y_pred, hard = probabilities(5, 4), one_hot(5, 4)
    expected = -((hard * 0.8 + 0.2 / 4) * y_pred.log()).sum(-1)
    torch.testing.assert_close(losses.categorical_crossentropy(hard, y_pred, label_smoothing=0.2), expected)
    binary = losses.binary_crossentropy(hard, y_pred, label_smoothing=0.2)
    torch.testing.assert_close(binary, losses.binary_crossentropy(hard * 0.8 + 0.1, y_pred))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("release", RELEASES)
def test_half_precision_is_computed_in_float32(dtype, release):
    y_pred = torch.tensor([[1.0, 0.0]], dtype=dtype)
    with using_keras_version(release):
        values = losses.binary_crossentropy(torch.tensor([[0.0, 1.0]]), y_pred)
        expected = losses.binary_crossentropy(torch.tensor([[0.0, 1.0]]), y_pred.float())
    assert values.dtype == torch.float32
    assert 10 < values.item() < 20
    torch.testing.assert_close(values, expected)


def test_lists_arrays_and_whole_numbers_are_taken():
    torch.testing.assert_close(losses.mse([[0.0, 1.0]], [[1.0, 1.0]]), torch.tensor([0.5]))
    torch.testing.assert_close(losses.mae(torch.tensor([[0, 3]]), torch.tensor([[1, 1]])), torch.tensor([1.5]))


def test_epsilon_is_read_at_the_call():
    config.set_epsilon(1e-3)
    values = losses.categorical_crossentropy(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]))
    torch.testing.assert_close(values, torch.tensor([-math.log(1e-3)]))


@settings(max_examples=40, deadline=None)
@given(st.floats(-100, 100), st.floats(-100, 100))
def test_log_cosh_equals_its_definition_and_never_overflows(a, b):
    value = losses.log_cosh(torch.tensor([a], dtype=torch.float64), torch.tensor([b], dtype=torch.float64)).item()
    error = abs(a - b)
    assert value == pytest.approx(error + math.log1p(math.exp(-2 * error)) - math.log(2), abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 4), st.integers(1, 5), st.floats(0.1, 3))
def test_huber_is_between_its_two_parts(batch, width, delta):
    error = torch.randn(batch, width, dtype=torch.float64) * 3
    expected = torch.where(error.abs() <= delta, error.square() / 2, delta * (error.abs() - delta / 2)).mean(-1)
    torch.testing.assert_close(losses.huber(torch.zeros_like(error), error, delta), expected)
    torch.testing.assert_close(losses.huber(torch.zeros(batch, 1, dtype=torch.float64), error, delta), expected)


def test_hinge_converts_labels_as_the_release_does():
    y_true, y_pred = torch.tensor([[0.0, 1.0]]), torch.tensor([[0.5, 0.5]])
    with using_keras_version("2.2.4"):
        torch.testing.assert_close(losses.hinge(y_true, y_pred), torch.tensor([0.75]))
    torch.testing.assert_close(losses.hinge(y_true, y_pred), torch.tensor([1.0]))
    torch.testing.assert_close(losses.hinge(torch.tensor([[0.0, -1.0]]), y_pred), torch.tensor([1.25]))


def test_keras_1_averages_cosine_proximity():
    y_true = torch.tensor([[1.0, 0, 1, 1], [0, 0, 1, 0], [1, 1, 0, 0]])
    y_pred = torch.tensor([[0.9, 0.2, 0.4, 0.7], [0.6, 0.1, 0.8, 0.3], [0.3, 0.9, 0.5, 0.05]])
    with using_keras_version("1.2.2"):  # numbers of Keras 1.2.2
        values = losses.cosine_proximity(y_true, y_pred)
        torch.testing.assert_close(values, torch.tensor([-0.235702246427536, -0.19069252908229828, -0.19759945571422577]))
        values = losses.binary_crossentropy(y_true, y_pred)
        torch.testing.assert_close(values, torch.tensor([0.4003674387931824, 0.4003674387931824, 0.5134434700012207]))


@pytest.mark.parametrize("name", [*REAL, *PROBABILITIES, *MARGINS, "sparse_categorical_crossentropy"])
@pytest.mark.parametrize("release", RELEASES)
def test_no_loss_waits_for_the_device(name, release):
    with using_keras_version(release), pretending() as device:
        scores = torch.randn(6, 4, device=device, requires_grad=True)
        y_pred = (activations.softmax if "categorical" in name else activations.sigmoid)(scores)
        y_true = torch.randint(0, 4, (6, 1), device=device) if name.startswith("sparse") else torch.rand(6, 4, device=device)
        weight, mask = torch.rand(6, device=device), torch.ones(6, dtype=torch.bool, device=device)
        objective = losses.Objective(name)
        for total in (objective(y_true, y_pred), objective(y_true, y_pred, weight, mask), objective(y_true, y_pred.clone())):
            assert total.shape == ()
            torch.autograd.grad(total, scores, retain_graph=True)
