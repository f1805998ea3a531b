"""Connectionist temporal classification: from probabilities to texts, by the best class or by beam search.

The best classes are found on the device. The beam search runs on the host, in the order of TensorFlow's decoder, since which
texts it drops depends on that order.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import count
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchkeras.backend.conversion import as_tensor, recorded
from torchkeras.backend.ctc import log_probabilities
from torchkeras.generations import choose
from torchkeras.layers.symbolic import in_trial

_NEVER = float("-inf")


@recorded
def ctc_decode(y_pred: Any, input_length: Any, greedy: bool = True, beam_width: int = 100, top_paths: int = 1) -> tuple[list[Tensor], Tensor]:
    """The most probable texts for probabilities of classes at each step.

    Args:
        y_pred: (batch, steps, classes) probabilities; the last class stands for "nothing new".
        input_length: (batch,) number of steps that count.
        greedy: Take the best class of each step. Otherwise a beam search adds up the ways to spread a text over the steps, and waits
            for the device; letters that follow themselves in its texts are given once, as TensorFlow's decoder does.
        beam_width: Number of texts that the beam search keeps.
        top_paths: Number of texts that the beam search gives.

    Returns:
        The texts, best first: each (batch, width) class ids, filled with -1. The width is the number of steps; in Keras 1 and 2 the
        length of the longest text, for which it waits for the device. And a number for each text: greedy (batch, 1), minus the sum
        of the logarithms; beam search (batch, top_paths), the log-probability (minus infinity for an empty text in place of one that
        the search did not find).

    Raises:
        ValueError: more paths than beams, or less than one.
    """
    if not 1 <= top_paths <= beam_width and not greedy:
        raise ValueError(f"ctc_decode keeps beam_width={beam_width} texts, so it cannot give top_paths={top_paths} of them.")
    scores = log_probabilities(y_pred)
    lengths = as_tensor(input_length).to(scores.device).reshape(-1)
    if greedy:
        chosen, found = _best_classes(scores, lengths)
        texts = [_collapse(chosen, scores.shape[2] - 1)]
    else:
        paths, found = _beam_search(torch.log_softmax(scores, -1), lengths, beam_width, top_paths)
        texts = [_collapse(paths[:, rank], -1) for rank in range(top_paths)]
    if choose("backend.ctc_width") == "longest" and not in_trial():
        texts = [text[:, : int((text >= 0).sum(1).max())] for text in texts]
    return texts, found


def _best_classes(scores: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """(batch, steps) class ids, with the last class past the end, and (batch, 1) minus the sum of their scores."""
    best, chosen = scores.max(2)
    counted = torch.arange(scores.shape[1], device=scores.device) < lengths.unsqueeze(1)
    return torch.where(counted, chosen, scores.shape[2] - 1), -torch.where(counted, best, 0).sum(1, keepdim=True)


def _collapse(ids: Tensor, blank: int) -> Tensor:
    """Ids without blanks and repetitions, moved to the front and filled with -1."""
    repeated = torch.cat([torch.zeros_like(ids[:, :1], dtype=torch.bool), ids[:, 1:] == ids[:, :-1]], dim=1)
    kept = (ids != blank) & ~repeated
    # what is dropped goes to a column past the end
    place = torch.where(kept, kept.cumsum(1) - 1, ids.shape[1])
    return ids.new_full((ids.shape[0], ids.shape[1] + 1), -1).scatter(1, place, ids)[:, :-1]


class _Text:
    """A text in the tree of all texts looked at: the logarithms of its probabilities after this step and before it."""

    __slots__ = ("blank", "children", "label", "letter", "old_blank", "old_total", "parent", "total")

    def __init__(self, parent: _Text | None, letter: int) -> None:
        self.parent, self.letter = parent, letter
        self.children: dict[int, _Text] = {}
        self.total = self.blank = self.label = _NEVER  # in all; ending in a blank; ending in its last letter
        self.old_total = self.old_blank = _NEVER

    def drop(self) -> None:
        """Forget what it had after this step: it is no beam any more."""
        self.total = self.blank = self.label = _NEVER

    def letters(self) -> list[int]:
        """The whole text."""
        found, text = [], self
        while text.parent is not None:
            found.append(text.letter)
            text = text.parent
        return found[::-1]


def _beam_search(log_probs: Tensor, lengths: Tensor, beam_width: int, top_paths: int) -> tuple[Tensor, Tensor]:
    """(batch, top_paths, steps) texts, filled with -1, and (batch, top_paths) log-probabilities."""
    batch, steps, _ = log_probs.shape
    if in_trial():
        return log_probs.new_empty((batch, top_paths, steps), dtype=torch.long), log_probs.new_empty((batch, top_paths))
    texts = np.full((batch, top_paths, steps), -1)
    found = np.full((batch, top_paths), _NEVER)
    for row, (scores, length) in enumerate(zip(log_probs.detach().double().cpu().numpy(), lengths.tolist(), strict=True)):
        for rank, text in enumerate(_best_texts(scores[:length], beam_width)[:top_paths]):
            letters = text.letters()
            texts[row, rank, : len(letters)] = letters
            found[row, rank] = text.total
    return torch.from_numpy(texts).to(log_probs.device), torch.from_numpy(found).to(log_probs)


def _best_texts(scores: np.ndarray, beam_width: int) -> list[_Text]:
    """The beams after all steps, best first."""
    root = _Text(None, -1)
    root.total = root.blank = 0.0
    beams, numbers = [root], count()
    for step in scores:
        for text in beams:
            text.old_total, text.old_blank = text.total, text.blank
        for text in beams:
            _carry_on(text, step)
        heap = [(text.total, -next(numbers), text) for text in beams]  # of equal ones the later falls out first
        heapq.heapify(heap)
        for text in beams:
            if len(heap) == beam_width and text.old_total <= heap[0][0]:
                continue
            _grow(text, step, heap, beam_width, numbers)
        beams = [text for *_, text in sorted(heap, key=lambda entry: (-entry[0], -entry[1]))]
    return beams


def _carry_on(text: _Text, step: np.ndarray) -> None:
    """The probabilities of a beam after one more step."""
    parent = text.parent
    if parent is not None:
        if parent.total != _NEVER:
            handed = parent.old_blank if text.letter == parent.letter else parent.old_total
            text.label = float(np.logaddexp(text.label, handed))
        text.label += step[text.letter]
    text.blank = text.old_total + step[-1]
    text.total = float(np.logaddexp(text.blank, text.label))


def _grow(text: _Text, step: np.ndarray, heap: list[tuple[float, int, _Text]], beam_width: int, numbers: Iterator[int]) -> None:
    """Add the texts with one letter more to the beams, where they are better than the worst of those."""
    totals = text.old_total + step[:-1]
    if text.letter >= 0:
        totals[text.letter] = text.old_blank + step[text.letter]
    worst = heap[0][0] if len(heap) == beam_width else _NEVER
    for letter in sorted({*np.flatnonzero(totals > worst).tolist(), *text.children}):
        child = text.children.get(letter)
        if child is not None and child.total != _NEVER:
            continue  # a beam already
        total = float(totals[letter])
        full = len(heap) == beam_width
        if total == _NEVER or (full and total <= heap[0][0]):
            if child is not None:
                child.old_total = child.old_blank = _NEVER  # if its own turn is still to come, it does not grow
            continue
        child = child or text.children.setdefault(letter, _Text(text, letter))
        child.total, child.blank, child.label = total, _NEVER, total
        if full:
            heap[0][2].drop()
            heapq.heapreplace(heap, (total, -next(numbers), child))
        else:
            heapq.heappush(heap, (total, -next(numbers), child))
