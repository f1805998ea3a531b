"""Parts of batches keep what hangs on the batch, and rows of several processes are padded to one length."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from torchkeras.layers.masks import get_mask, set_mask
from torchkeras.ops.recurrent import known_lengths, note_count
from torchkeras.preprocessing.sequence import Ragged
from torchkeras.training import parts
from torchkeras.training.ragged import masked_rows


def padded():
    rows = Ragged([[1, 2, 3], [4], [5, 6], [7, 8, 9]])
    return masked_rows(rows)


@pytest.mark.parametrize("copy", [False, True])
def test_a_part_has_its_part_of_the_mask_and_of_the_counts(copy):
    batch = padded()
    note_count(batch, 0.0, [3, 1, 2, 3])
    found = parts.cut(batch, slice(1, 3), copy)
    assert found.tolist() == [[4, 0, 0], [5, 6, 0]]
    assert get_mask(found).tolist() == [[True, False, False], [True, True, False]]
    assert known_lengths(get_mask(found)) == [1, 2]
    assert found._step_counts == {0.0: [1, 2]}
    assert (found.untyped_storage().data_ptr() == batch.untyped_storage().data_ptr()) is not copy


def test_where_there_are_too_few_samples_another_stands_in_and_counts_nothing(monkeypatch):
    monkeypatch.setattr(parts, "bounds", lambda size, who: (0, 0))
    x, y, weight = parts.part_of((padded()[:1], [torch.ones(1), None], None))
    assert (parts.part.count, parts.part.size) == (0, 1)
    assert x.shape == (1, 3) and y[0].shape == (1,) and y[1] is None and weight is None
    parts.set_part(1, 1)


def test_rows_are_padded_to_the_longest_of_all_processes(monkeypatch):
    def reduce(longest, op):
        assert longest.tolist() == [3, 3] and op is torch.distributed.ReduceOp.MAX
        longest.copy_(torch.tensor([5, 3]))

    monkeypatch.setattr(torch.distributed, "all_reduce", reduce)
    vectors = torch.ones(4, 3, 2)
    set_mask(vectors, get_mask(padded()))
    x, y, weight = parts.evened((vectors, padded(), torch.ones(4)))
    assert x.shape == (4, 5, 2) and not x[:, 3:].any() and x[:, :3].all()
    assert get_mask(x).shape == (4, 5) and get_mask(x).sum(1).tolist() == [3, 1, 2, 3]
    assert known_lengths(get_mask(x)) == [3, 1, 2, 3]
    assert y.shape == (4, 3) and weight.shape == (4,)


def test_arrays_are_not_asked_about(monkeypatch):
    monkeypatch.setattr(torch.distributed, "all_reduce", None)
    batch = (torch.ones(2, 3), torch.ones(2), None)
    assert parts.evened(batch) is batch


def test_rows_may_be_padded_further():
    found, mask = Ragged([np.ones(2), np.ones(1)]).pad(np.array([1]), 3)
    assert found.tolist() == [[1, 0, 0]] and mask.tolist() == [[True, False, False]]
