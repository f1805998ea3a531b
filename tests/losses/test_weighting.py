"""Sample weights and masks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from torchkeras import losses
from torchkeras.generations import using_keras_version
from torchkeras.losses.weighting import Rule, rule_for, weighted_mean

KERAS = Rule("valid", "nonzero")
TF_KERAS = Rule("all", "batch")


def data(seed: int, batch: int, steps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.RandomState(seed)
    return random.rand(batch, steps), random.rand(batch, steps) * random.randint(0, 2, (batch, steps)), random.rand(batch, steps) > 0.3


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(1, 4))
def test_tf_keras_multiplies_and_divides_by_the_number_of_values(seed, batch, steps):
    values, weight, mask = data(seed, batch, steps)
    actual = weighted_mean(torch.as_tensor(values), torch.as_tensor(weight), torch.as_tensor(mask), TF_KERAS)
    assert actual.item() == pytest.approx((values * weight * mask).sum() / (batch * steps))
    of_samples = weighted_mean(torch.as_tensor(values), torch.as_tensor(weight[:, 0]), torch.as_tensor(mask), TF_KERAS)
    assert of_samples.item() == pytest.approx((values * weight[:, :1] * mask).sum() / (batch * steps))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(1, 4))
def test_keras_divides_by_the_share_of_valid_steps_and_of_nonzero_weights(seed, batch, steps):
    values, weight, mask = data(seed, batch, steps)
    mask[0, 0], weight[0, 0] = True, 1.0
    masked = values * mask / mask.mean()
    actual = weighted_mean(torch.as_tensor(values), torch.as_tensor(weight), torch.as_tensor(mask), KERAS)
    assert actual.item() == pytest.approx((masked * weight / (weight != 0).mean()).mean())
    of_samples = weighted_mean(torch.as_tensor(values), torch.as_tensor(weight[:, 0]), torch.as_tensor(mask), KERAS)
    assert of_samples.item() == pytest.approx((masked.mean(1) * weight[:, 0] / (weight[:, 0] != 0).mean()).mean())


@pytest.mark.parametrize("rule", [KERAS, TF_KERAS])
def test_nothing_to_count_gives_zero_with_a_gradient(rule):
    for weight, mask in ((torch.zeros(3), None), (None, torch.zeros(3, 2, dtype=torch.bool)), (torch.zeros(3), torch.zeros(3, 2))):
        values = torch.rand(3, 2, requires_grad=True)
        total = weighted_mean(values, weight, mask, rule)
        total.backward()
        assert total.item() == 0
        assert values.grad.tolist() == [[0, 0]] * 3


def test_each_release_has_its_rule():
    for release, rule in (("1.2.2", KERAS), ("2.2.4", KERAS), ("2.4.0", TF_KERAS)):
        with using_keras_version(release):
            assert rule_for() == rule
    assert rule_for("sum") == Rule("all", "batch", "sum")
    assert not rule_for("sum").plain
    assert rule_for("sum_over_batch_size").plain


def test_a_scalar_loss_takes_weights_as_in_keras():
    weight = torch.tensor([1.0, 0.0, 2.0])
    assert weighted_mean(torch.tensor(3.0), weight, None, KERAS).item() == pytest.approx(3 * 1.5)
    assert weighted_mean(torch.tensor(3.0), weight, None, TF_KERAS).item() == pytest.approx(3)


@pytest.mark.parametrize("rule", [KERAS, TF_KERAS])
def test_weights_and_masks_that_do_not_fit_are_refused(rule):
    values = torch.rand(3, 2)
    with pytest.raises(ValueError, match=r"sample_weight of shape \(4,\) does not fit loss values of shape \(3"):
        weighted_mean(values, torch.ones(4), None, rule)
    with pytest.raises(ValueError, match=r"mask of shape \(3, 4\) does not fit loss values of shape \(3, 2\)"):
        weighted_mean(values, None, torch.ones(3, 4), rule)


@pytest.mark.parametrize("rule", [KERAS, TF_KERAS])
def test_weights_of_one_column_are_weights_of_samples(rule):
    values, weight = torch.rand(3), torch.rand(3)
    torch.testing.assert_close(weighted_mean(values, weight.unsqueeze(-1), None, rule), weighted_mean(values, weight, None, rule))


@pytest.mark.parametrize(
    ("weight", "mean", "total"),  # numbers of tf.keras 2.4.0, data and mask as below
    [
        (None, 0.10482132434844971, 0.6289279460906982),
        ([1.0, 3.0], 0.2354523092508316, 1.412713885307312),
        ([[1.0, 2.0, 0.0], [4.0, 5.0, 6.0]], 0.32502618432044983, 1.9501571655273438),
    ],
)
def test_a_masked_and_weighted_loss_is_that_of_tf_keras(weight, mean, total):
    y_pred, y_true = (torch.as_tensor(np.random.RandomState(seed).rand(2, 3, 4).astype("float32")) for seed in (0, 1))
    mask = torch.tensor([[True, False, True], [True, True, False]])
    weight = None if weight is None else torch.tensor(weight)
    assert losses.Objective("mse")(y_true, y_pred, weight, mask).item() == pytest.approx(mean, rel=1e-5)
    assert losses.Objective(losses.MeanSquaredError("sum"))(y_true, y_pred, weight, mask).item() == pytest.approx(total, rel=1e-5)
