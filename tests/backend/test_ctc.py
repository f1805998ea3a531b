"""Connectionist temporal classification against a sum over all paths, and against torch's kernel."""

from __future__ import annotations

import itertools
from collections import defaultdict

import numpy as np
import pytest
import torch

from torchkeras import backend as K
from torchkeras import generations
from torchkeras.backend.ctc import _cost


def texts_by_brute_force(probabilities: np.ndarray) -> dict[tuple[int, ...], float]:
    """The probability of each text: of all paths that collapse to it, added up."""
    steps, classes = probabilities.shape
    found: dict[tuple[int, ...], float] = defaultdict(float)
    for path in itertools.product(range(classes), repeat=steps):
        text = tuple(letter for letter, _ in itertools.groupby(path) if letter != classes - 1)
        found[text] += float(np.prod([probabilities[step, letter] for step, letter in enumerate(path)]))
    return found


@pytest.fixture
def output() -> torch.Tensor:
    return torch.softmax(torch.randn(5, 6, 4, dtype=torch.float64), -1)


LABELS, LENGTHS, STEPS = [[0, 1, 2], [1, 1, 0], [2, 0, 0], [0, 0, 0], [1, 2, 1]], [3, 2, 1, 0, 3], [6, 5, 6, 4, 3]


def test_the_cost_is_that_of_all_paths(output: torch.Tensor):
    K.set_epsilon(1e-12)
    cost = K.ctc_batch_cost(np.array(LABELS), output, np.array(STEPS)[:, None], np.array(LENGTHS)[:, None])
    assert cost.shape == (5, 1)
    for row, (labels, length, steps) in enumerate(zip(LABELS, LENGTHS, STEPS, strict=True)):
        texts = texts_by_brute_force(output[row, :steps].numpy())
        np.testing.assert_allclose(cost[row, 0], -np.log(texts[tuple(labels[:length])]), rtol=1e-9)


def test_the_cost_on_a_device_is_that_of_the_kernel(output: torch.Tensor):
    """The form that never waits for the device, which CPU tensors do not take."""
    scores = output.log().requires_grad_()
    targets, labels, steps = torch.tensor(LABELS), torch.tensor(LENGTHS), torch.tensor(STEPS)
    log_probs = torch.log_softmax(scores, -1).transpose(0, 1)
    found = _cost(log_probs, targets, steps, labels, 3)
    wanted = torch.nn.functional.ctc_loss(log_probs, targets, steps, labels, blank=3, reduction="none")
    torch.testing.assert_close(found, wanted)
    weights = torch.rand(5, dtype=torch.float64)
    torch.testing.assert_close(
        torch.autograd.grad((found * weights).sum(), scores, retain_graph=True)[0], torch.autograd.grad((wanted * weights).sum(), scores)[0]
    )


def test_a_text_that_does_not_fit_costs_infinitely_much():
    scores = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    arguments = torch.tensor([[0, 0, 1], [0, 1, 2]]), torch.tensor([[3], [3]]), torch.tensor([[3], [3]])
    cost = K.ctc_batch_cost(arguments[0], torch.softmax(scores, -1), arguments[1], arguments[2])
    assert cost.isinf().tolist() == [[True], [False]]  # a blank has to stand between equal labels
    found = _cost(torch.log_softmax(scores, -1).transpose(0, 1), arguments[0], arguments[1][:, 0], arguments[2][:, 0], 3)
    assert found.isinf().tolist() == [True, False]
    assert torch.autograd.grad(found[1], scores)[0].isfinite().all()


def test_the_cost_has_right_gradients(output: torch.Tensor):
    arguments = [np.array(one) for one in (LABELS[:2], np.array(STEPS[:2])[:, None], np.array(LENGTHS[:2])[:, None])]
    assert torch.autograd.gradcheck(lambda y: K.ctc_batch_cost(arguments[0], y, arguments[1], arguments[2]), output[:2].clone().requires_grad_())


def test_a_wide_beam_finds_the_best_texts():
    """Without equal letters in a row, which the decoder gives once."""
    output = torch.softmax(2 * torch.randn(4, 5, 3, dtype=torch.float64), -1)
    K.set_epsilon(1e-12)
    texts, found = K.ctc_decode(output, [5, 5, 4, 3], greedy=False, beam_width=200, top_paths=3)
    for row, steps in enumerate((5, 5, 4, 3)):
        ranked = sorted(texts_by_brute_force(output[row, :steps].numpy()).items(), key=lambda item: -item[1])[:3]
        for rank, (text, probability) in enumerate(ranked):
            once = [letter for letter, _ in itertools.groupby(text)]
            assert texts[rank][row].tolist() == once + [-1] * (5 - len(once))
            np.testing.assert_allclose(found[row, rank], np.log(probability), rtol=1e-6)


def test_the_best_classes():
    output = torch.eye(3)[torch.tensor([[0, 0, 2, 0, 1], [2, 1, 1, 1, 0]])] * 0.9 + 0.05
    texts, found = K.ctc_decode(output, [5, 4])
    assert texts[0].tolist() == [[0, 0, 1, -1, -1], [1, -1, -1, -1, -1]]
    np.testing.assert_allclose(found, -np.log([[0.95**5], [0.95**4]]), rtol=1e-5)
    generations.set_keras_version("2.2.4")
    assert K.ctc_decode(output, [5, 4])[0][0].tolist() == [[0, 0, 1], [1, -1, -1]]


def test_rows_without_steps_give_empty_texts():
    texts, found = K.ctc_decode(torch.rand(1, 4, 3), [0], greedy=False, beam_width=5, top_paths=2)
    assert [text.tolist() for text in texts] == [[[-1] * 4]] * 2
    assert found.tolist() == [[0, float("-inf")]]


@pytest.mark.parametrize("top_paths", [0, 4])
def test_no_more_texts_than_beams(top_paths: int):
    with pytest.raises(ValueError, match=f"keeps beam_width=3 texts, so it cannot give top_paths={top_paths}"):
        K.ctc_decode(torch.rand(1, 4, 3), [4], greedy=False, beam_width=3, top_paths=top_paths)


def test_labels_as_a_sparse_tensor():
    sparse = K.ctc_label_dense_to_sparse(torch.tensor([[0, 5, 7], [2, 0, 0]]), torch.tensor([3, 1]))
    assert K.is_sparse(sparse)
    assert sparse.indices().T.tolist() == [[0, 0], [0, 1], [0, 2], [1, 0]]
    assert sparse.values().tolist() == [0, 5, 7, 2]
