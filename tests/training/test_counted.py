"""Valid steps are counted before data leaves the host, so that masked layers on a device know them without a wait."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
import torch

from tests.pretend import on_device, pretending
from torchkeras.layers import GRU, LSTM, Dense, Embedding, Input, Masking, SimpleRNN
from torchkeras.models import Model, Sequential
from torchkeras.ops import recurrent
from torchkeras.ops.recurrent import known_lengths, note_count, set_known_lengths
from torchkeras.preprocessing.sequence import Ragged
from torchkeras.training import batches as moving
from torchkeras.training.arrays import Packing
from torchkeras.training.counted import ANY, CountedBatches, counting, padding_of
from torchkeras.training.ragged import RaggedBatches

IDS = torch.tensor([[1, 2, 0, 0], [0, 0, 0, 3], [1, 1, 1, 1], [0, 2, 0, 2], [0, 0, 0, 0]])
COUNTS = [2, 1, 4, 2, 0]
META = torch.device("meta")


def two_inputs():
    ids, values = Input((None,)), Input((None, 3))
    nested = Sequential([Embedding(5, 2, mask_zero=True, input_shape=(None,)), LSTM(2)])
    return Model([ids, values], [Dense(1)(nested(ids)), LSTM(2)(Masking(-1.0)(values))])


def test_inputs_with_padding_are_found_through_nested_models():
    assert padding_of(two_inputs()) == [(0, 0.0), (1, -1.0)]
    assert padding_of(Sequential([Embedding(5, 2, input_shape=(None,)), LSTM(2)])) == []
    assert padding_of(torch.nn.Linear(1, 1)) == []


@pytest.mark.parametrize("shuffle", [False, True])
def test_batches_of_arrays_carry_the_counts_of_their_rows(shuffle):
    model = two_inputs()
    values = torch.where(IDS.unsqueeze(2) == 0, -1.0, IDS.unsqueeze(2).expand(-1, -1, 3).float())
    y = torch.arange(5.0)
    batches = CountedBatches(model, Packing([IDS, values], y, None), 2, shuffle, META)
    on_host = CountedBatches(model, Packing([IDS, values], y, None), 2, shuffle, torch.device("cpu"))
    for _ in range(2):
        torch.manual_seed(3)
        rows = [int(row) for _, part, _ in on_host for row in part]
        torch.manual_seed(3)
        found = list(batches)
        assert all(part.device == META for x, target, _ in found for part in (*x, target))
        for column, padding in ((0, 0.0), (1, -1.0)):
            counts = [count for x, _, _ in found for count in x[column]._step_counts[padding]]
            assert counts == [COUNTS[row] for row in rows]
    assert not hasattr(next(iter(on_host))[0][0], "_step_counts")
    assert [part.shape[0] for part in batches.first()[0]] == [1, 1] and len(batches.placed()) == 3


def test_streams_and_rows_carry_counts_too():
    model = two_inputs()
    with mock.patch.object(type(model), "device", META):
        x, _, _ = counting(model, lambda given: given)(([IDS, torch.ones(5, 4, 3)], None, None))
        there = moving.moved(x[0], META)
    assert there._step_counts == {0.0: COUNTS}
    rows = Ragged([[1, 0, 2], [3], [4, 5]])
    single = Sequential([Embedding(6, 2, mask_zero=True, input_shape=(None,)), LSTM(2)])
    ((x, _, _),) = RaggedBatches(single, Packing(rows, None, None), 3, False, META)
    assert x.device == META and x._keras_mask.device == META
    assert known_lengths(x._keras_mask) == [3, 1, 2] and x._step_counts == {0.0: [2, 1, 2]}


@pytest.mark.parametrize("first", [Embedding(5, 3, mask_zero=True), Masking(0.0)], ids=["embedding", "masking"])
def test_layers_hand_known_lengths_to_the_kernels_and_nothing_waits(first):
    model = Sequential([first, LSTM(4, return_sequences=True), LSTM(2)])
    model(np.ones((2, 4)) if isinstance(first, Embedding) else np.ones((2, 4, 3)))
    seen = []

    def watched(mask, lengths=None, *args, **kwargs):
        seen.append(lengths)
        return order(mask, lengths, *args, **kwargs)

    order = recurrent.chain.remembered_order
    with mock.patch.object(recurrent.chain, "remembered_order", watched), pretending() as device:
        there = on_device(model, device).train()
        x = torch.ones(5, 4, dtype=torch.int64) if isinstance(first, Embedding) else torch.ones(5, 4, 3)
        note_count(x, 0.0, [4, 4, 3, 2, 0])
        y = there(moving.moved(x, device))
        assert y.device == device
        y.sum().backward()
    assert seen == [[4, 4, 3, 2, 0]]  # once for both layers


class Own(Model):
    """A model with a `call` of its own, which takes ids and values by name or in a list."""

    def __init__(self):
        super().__init__()
        self.embed, self.read = Embedding(5, 2, mask_zero=True), LSTM(2)
        self.inner = Sequential([Masking(-1.0), SimpleRNN(2)])

    def call(self, inputs):
        ids, values = (inputs["ids"], inputs["values"]) if isinstance(inputs, dict) else inputs
        return self.read(self.embed(ids)) + self.inner(values)


def test_any_input_of_a_model_of_ones_own_may_have_padding():
    assert padding_of(Own()) == [(ANY, -1.0), (ANY, 0.0)]
    ids, values = Input((None,)), Input((None, 3))
    assert padding_of(Model([values, ids], Own()([ids, values]))) == [(0, -1.0), (0, 0.0), (1, -1.0), (1, 0.0)]


@pytest.mark.parametrize("by_name", [False, True])
@pytest.mark.parametrize("functional", [False, True])
def test_inputs_by_name_and_models_of_ones_own_are_counted(by_name, functional):
    x = {"values": torch.where(IDS.unsqueeze(2) == 0, -1.0, 1.0).expand(-1, -1, 3), "ids": IDS}
    model = Own()
    if functional:
        ids, values = Input((None,), name="ids"), Input((None, 3), name="values")
        nested = Sequential([Embedding(5, 2, mask_zero=True, input_shape=(None,)), LSTM(2)])
        outputs = [nested(ids), LSTM(2)(Masking(-1.0)(values))]
        model = Model({"ids": ids, "values": values} if by_name else [ids, values], outputs)
    given = x if by_name else [x["ids"], x["values"]]
    rows = Ragged([row.numpy() for row in IDS])
    packings = {"arrays": (CountedBatches, given), "rows": (RaggedBatches, {**x, "ids": rows} if by_name else [rows, x["values"]])}
    for kind, data in packings.values():
        ((inputs, _, _),) = kind(model, Packing(data, torch.arange(5.0), None), 5, False, META)
        found = inputs if by_name else dict(zip(["ids", "values"], inputs, strict=True))
        assert found["ids"]._step_counts[0.0] == COUNTS and found["values"]._step_counts[-1.0] == COUNTS
    with mock.patch.object(type(model), "device", META):
        found, _, _ = counting(model, lambda batch: batch)((given, None, None))
        found = found if by_name else dict(zip(["ids", "values"], found, strict=True))
        assert found["ids"]._step_counts[0.0] == COUNTS and found["values"]._step_counts[-1.0] == COUNTS


def test_layers_of_a_model_of_ones_own_know_the_lengths():
    model = Own()
    ids, values = torch.ones(2, 4, dtype=torch.int64), torch.ones(2, 4, 3)
    model([ids, values])
    seen = []
    order = recurrent.runs.remembered_order

    def watched(mask, lengths=None, *args, **kwargs):
        seen.append(lengths)
        return order(mask, lengths, *args, **kwargs)

    with mock.patch.object(recurrent.runs, "remembered_order", watched), pretending() as device:
        there = on_device(model, device).train()
        x = [torch.ones(2, 4, dtype=torch.int64), torch.ones(2, 4, 3)]
        for part in x:
            note_count(part, 0.0, [3, 1])
            note_count(part, -1.0, [2, 4])
        y = there([moving.moved(part, device) for part in x])
        y.sum().backward()
    assert seen[0] == [3, 1]


def test_masks_move_with_their_lengths():
    x, mask = torch.ones(2, 3), torch.ones(2, 3, dtype=torch.bool)
    set_known_lengths(mask, [2, 3])
    x._keras_mask = mask
    there = moving.on_device([x], META)[0]
    assert there._keras_mask.device == META and known_lengths(there._keras_mask) == [2, 3]


@pytest.mark.gpu
def test_training_on_cuda_is_training_on_the_cpu():
    if not torch.cuda.is_available():
        pytest.skip("needs CUDA")
    weights = []
    for device in ("cpu", "cuda"):
        torch.manual_seed(0)
        model = Sequential([Embedding(5, 3, mask_zero=True, input_shape=(None,)), GRU(4, return_sequences=True), LSTM(2), Dense(1)])
        model.compile("sgd", "mse", device=device)
        model.fit(IDS[:4], np.ones(4), batch_size=2, epochs=2, shuffle=False, verbose=0)
        weights.append(model.get_weights())
    for one, other in zip(*weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
