"""Recurrence on tensors: every form, under any mask, is Keras' literal loop."""

from __future__ import annotations

from functools import partial
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ops.recurrent_reference import STATES, keras_weights, masked_loop
from torchkeras.ops import recurrent
from torchkeras.ops.recurrent import Recurrence, choice, run, weights_from_keras, weights_to_keras

MODES = ["lstm", "gru", "rnn_tanh", "rnn_relu", "gru_before"]
EXACT = {"rtol": 1e-9, "atol": 1e-10}  # float64: only the order of sums differs
FREE = {"onednn": (0.0, 0.0), "aten": (0.0, 0.0)}  # calls of a kernel


def recurrence(mode, weights):
    if mode == "gru_before":
        own = weights_from_keras("gru", *weights)
        return Recurrence(partial(recurrent.gru_step, weights=own, reset_after=False), lambda x: recurrent.project(x, own), by_row=True)
    return Recurrence.fused(mode, weights_from_keras(mode, *weights))


def case(mode, batch, steps, seed=0, size=3, units=2, bias=True, zero_state=False):
    torch.manual_seed(seed)
    weights = keras_weights(mode, size, units, bias=bias)
    x = torch.randn(batch, steps, size, dtype=torch.float64, requires_grad=True)
    start = torch.zeros if zero_state else torch.randn
    states = tuple(start(batch, units, dtype=torch.float64).requires_grad_() for _ in range(STATES[mode]))
    return weights, x, states


def gradients(result, leaves, seed=1):
    generator = torch.Generator().manual_seed(seed)
    tensors = [result[0], *([] if result[1] is None else [result[1]]), *result[2]]
    total = sum((t * torch.randn(t.shape, generator=generator, dtype=t.dtype)).sum() for t in tensors)
    return torch.autograd.grad(total, [leaf for leaf in leaves if leaf is not None], allow_unused=True)


def check(mode, mask, forms, seed=0, **options):
    """Values, states and gradients of every form equal the literal loop."""
    batch, steps = mask.shape
    weights, x, states = case(mode, batch, steps, seed)
    leaves = [*weights, x, *states]
    expected = masked_loop(mode, x, states, weights, mask, **options)
    expected_gradients = gradients(expected, leaves)
    for form in forms:
        found = run(recurrence(mode, weights), x, states, mask, masked=form, **options)
        torch.testing.assert_close(tuple(found), expected, **EXACT, msg=lambda text, form=form: f"{form}: {text}")
        for got, want in zip(gradients(found, leaves), expected_gradients, strict=True):
            torch.testing.assert_close(got, torch.zeros_like(got) if want is None else want, **EXACT)
        lean = run(recurrence(mode, weights), x, states, mask, masked=form, return_sequences=False, return_state=False, **options)
        assert lean.outputs is None
        torch.testing.assert_close(lean.last, expected[0], **EXACT)


masks = st.one_of(
    st.lists(st.integers(0, 5), min_size=1, max_size=4).map(lambda lengths: torch.tensor([[t < n for t in range(5)] for n in lengths])),
    st.lists(st.integers(0, 5), min_size=1, max_size=4).map(lambda lengths: torch.tensor([[t >= 5 - n for t in range(5)] for n in lengths])),
    st.integers(1, 6)
    .flatmap(lambda steps: st.lists(st.lists(st.booleans(), min_size=steps, max_size=steps), min_size=1, max_size=4))
    .map(torch.tensor),
)


@settings(max_examples=60, deadline=None)
@given(
    mode=st.sampled_from(MODES),
    mask=masks,
    go_backwards=st.booleans(),
    masked_output=st.sampled_from(["output", "state", "zeros"]),
    seed=st.integers(0, 1000),
)
def test_every_form_is_the_literal_loop(mode, mask, go_backwards, masked_output, seed):
    check(mode, mask, ["auto", "dense", "packed", "scan"], seed, go_backwards=go_backwards, masked_output=masked_output)


@settings(max_examples=40, deadline=None)
@given(mode=st.sampled_from(MODES), mask=masks, go_backwards=st.booleans(), masked_output=st.sampled_from(["output", "state", "zeros"]))
def test_blocks_are_the_literal_loop(mode, mask, go_backwards, masked_output):
    """Where a kernel call costs nothing, a block ends wherever a row does."""
    with mock.patch.object(choice, "CALL_COST", FREE):
        check(mode, mask, ["auto"], go_backwards=go_backwards, masked_output=masked_output)


def test_cuts_pay_for_themselves():
    assert choice.cut_where_it_pays([9, 3, 3, 1], worth=11) == [3, 9]  # saves 6 steps of 3 rows
    assert choice.cut_where_it_pays([9, 3, 3, 1], worth=18) == [9]
    assert choice.cut_where_it_pays([9, 3, 3, 1], worth=1) == [1, 3, 9]
    assert choice.cut_where_it_pays([4, 4, 0, 0], worth=0) == [4]


larger_masks = st.builds(
    lambda lengths, steps, seed: (
        torch.rand(len(lengths), steps, generator=torch.Generator().manual_seed(seed)).argsort(1) < torch.tensor(lengths).clamp(max=steps)[:, None]
    ),
    st.lists(st.integers(0, 37), min_size=5, max_size=40),
    st.integers(9, 37),
    st.integers(0, 1000),
)


@settings(max_examples=40, deadline=None)
@given(mode=st.sampled_from(["lstm", "gru"]), mask=larger_masks, go_backwards=st.booleans(), masked_output=st.sampled_from(["output", "zeros"]))
def test_blocks_of_few_shapes_are_the_literal_loop(mode, mask, go_backwards, masked_output):
    """Rows that have ended stay in a block, and a block may go on behind its longest row."""
    with mock.patch.object(choice, "CALL_COST", FREE), mock.patch.object(choice, "_in_onednn", lambda *_: True):
        check(mode, mask, ["auto"], go_backwards=go_backwards, masked_output=masked_output)


def test_batches_share_the_shapes_of_their_blocks():
    """For each shape oneDNN keeps a program; without a grid 100 batches have some 700 shapes."""
    shapes = set()
    for number in range(100):
        lengths = torch.randint(8, 81, (32,), generator=torch.Generator().manual_seed(number))
        mask = torch.arange(80) < lengths[:, None]
        cut = choice.choose_cut(torch.zeros(1), "lstm", choice.cost_of_a_step(200, 64), lengths.tolist())
        order = recurrent.order_steps(mask, lengths.tolist(), cut)
        shapes.update(order.sizes)
        assert sum(order.ending) == 32
        assert sum(steps * rows for steps, rows in order.sizes) < 0.9 * mask.numel()
    assert len(shapes) < 40


@settings(max_examples=40, deadline=None)
@given(mode=st.sampled_from(MODES), mask=masks, form=st.sampled_from(["auto", "dense", "packed", "scan"]), seed=st.integers(0, 1000))
def test_a_masked_row_is_the_row_alone_on_its_valid_steps(mode, mask, form, seed):
    weights, x, states = case(mode, *mask.shape, seed)
    cell = recurrence(mode, weights)
    together = run(cell, x, states, mask, masked=form)
    for row in range(len(mask)):
        valid = x[row : row + 1, mask[row]]
        start = tuple(state[row : row + 1] for state in states)
        if not mask[row].any():
            for got, want in zip(together.states, start, strict=True):
                torch.testing.assert_close(got[row : row + 1], want, rtol=0, atol=0)
            continue
        alone = run(cell, valid, start)
        torch.testing.assert_close(together.outputs[row : row + 1, mask[row]], alone.outputs, **EXACT)
        for got, want in zip(together.states, alone.states, strict=True):
            torch.testing.assert_close(got[row : row + 1], want, **EXACT)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("go_backwards", [False, True])
def test_without_a_mask(mode, bias, go_backwards):
    weights, x, states = case(mode, 3, 4, bias=bias)
    expected = masked_loop(mode, x, states, weights, go_backwards=go_backwards)
    found = run(recurrence(mode, weights), x, states, go_backwards=go_backwards)
    torch.testing.assert_close(tuple(found), expected, **EXACT)


@pytest.mark.parametrize("mode", ["lstm", "gru", "rnn_tanh"])
def test_forms_agree_in_float32(mode):
    torch.manual_seed(0)
    weights = [w.detach().float() for w in keras_weights(mode, 16, 24)]
    x = torch.randn(8, 30, 16)
    mask = torch.rand(8, 30) < 0.5
    states = tuple(torch.randn(8, 24) for _ in range(STATES[mode]))
    results = [tuple(run(recurrence(mode, weights), x, states, mask, masked=form)) for form in ("auto", "dense", "packed", "scan")]
    for other in results[1:]:
        torch.testing.assert_close(other, results[0], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("mode", ["lstm", "gru"])
@pytest.mark.parametrize("masked_output", ["output", "state", "zeros"])
def test_lengths_unknown_to_the_host_change_nothing(mode, masked_output, monkeypatch):
    """As on CUDA, where nobody looks at the mask: one block of all steps."""
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    mask = torch.tensor([[1, 0, 1, 1, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1], [0, 0, 0, 1, 1]]).bool()
    check(mode, mask, ["auto", "dense", "scan"], masked_output=masked_output)


@pytest.mark.parametrize("mode", ["lstm", "gru", "gru_before"])
def test_a_batch_without_a_valid_step_keeps_its_state_and_has_gradients_of_zero(mode):
    weights, x, states = case(mode, 2, 3)
    mask = torch.zeros(2, 3, dtype=torch.bool)
    for form in ("auto", "dense", "packed"):
        found = run(recurrence(mode, weights), x, states, mask, masked=form)
        torch.testing.assert_close(found.states, states, rtol=0, atol=0)
        assert not found.outputs.any()
        (found.last.sum() + found.outputs.sum() + found.states[0].sum()).backward()
        assert weights[0].grad is not None and not weights[0].grad.any()


@pytest.mark.parametrize("form", ["auto", "dense", "packed"])
def test_what_stands_in_masked_steps_does_not_matter(form):
    weights, x, states = case("lstm", 3, 5)
    mask = torch.tensor([[0, 1, 1, 0, 1], [1, 0, 0, 0, 0], [0, 0, 0, 1, 1]]).bool()
    clean = run(recurrence("lstm", weights), x, states, mask, masked=form)
    dirty = x.detach().masked_fill(~mask.unsqueeze(-1), float("nan")).requires_grad_()
    found = run(recurrence("lstm", weights), dirty, states, mask, masked=form)
    torch.testing.assert_close(tuple(found), tuple(clean), **EXACT)
    found.outputs.sum().backward()
    assert all(w.grad.isfinite().all() for w in weights)


@pytest.mark.parametrize("mode", ["lstm", "gru", "rnn_tanh"])
def test_gradients_by_finite_differences(mode):
    weights, x, states = case(mode, 3, 4)
    mask = torch.tensor([[0, 1, 0, 1], [1, 1, 1, 0], [0, 0, 0, 0]]).bool()

    def outputs(x, *weights):
        return run(recurrence(mode, weights), x, states, mask, masked="dense").outputs

    assert torch.autograd.gradcheck(outputs, (x, *weights))


@pytest.mark.parametrize("mode", ["lstm", "gru", "rnn_tanh", "rnn_relu"])
def test_torch_modules_have_the_same_weights(mode):
    modules = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn_tanh": torch.nn.RNN, "rnn_relu": partial(torch.nn.RNN, nonlinearity="relu")}
    module = modules[mode](3, 2, batch_first=True, dtype=torch.float64)
    weights = recurrent.Weights(*module.parameters())
    x = torch.randn(4, 5, 3, dtype=torch.float64)
    states = tuple(torch.zeros(4, 2, dtype=torch.float64) for _ in range(STATES[mode]))
    found = run(Recurrence.fused(mode, weights), x, states)
    torch.testing.assert_close(found.outputs, module(x)[0])
    kernel, recurrent_kernel, bias = weights_to_keras(mode, weights)
    back = weights_from_keras(mode, kernel, recurrent_kernel, bias)
    torch.testing.assert_close(tuple(back), tuple(weights), rtol=0, atol=0)


def test_packed_data_are_those_of_torch():
    mask = torch.tensor([[0, 1, 1, 0], [1, 1, 1, 1], [0, 0, 0, 1], [1, 0, 0, 1]]).bool()
    x = torch.randn(4, 4, 3)
    lengths = mask.sum(1).tolist()
    front = torch.zeros_like(x)
    for row in range(4):
        front[row, : lengths[row]] = x[row, mask[row]]
    expected = torch.nn.utils.rnn.pack_padded_sequence(front, torch.tensor(lengths), batch_first=True, enforce_sorted=False)
    order = recurrent.order_steps(mask, lengths, recurrent.order.every_step)
    torch.testing.assert_close(x.flatten(0, 1)[order.source], expected.data, rtol=0, atol=0)
    assert [rows for _, rows in order.sizes] == expected.batch_sizes.tolist()


def test_recurrent_dropout_masks_act_gate_by_gate():
    weights = weights_from_keras("lstm", *keras_weights("lstm", 3, 2))
    hidden, added = torch.randn(4, 2, dtype=torch.float64), torch.randn(4, 8, dtype=torch.float64)
    dropped = torch.rand(4, 4, 2, dtype=torch.float64)
    found = recurrent.steps.recur(hidden, weights.weight_hh, None, dropped, added)
    expected = torch.cat([hidden * dropped[:, g] @ weights.weight_hh[2 * g : 2 * g + 2].t() for g in range(4)], 1) + added
    torch.testing.assert_close(found, expected, **EXACT)
    x, kept = torch.randn(4, 5, 3, dtype=torch.float64), torch.rand(4, 4, 3, dtype=torch.float64)
    found = recurrent.project(x, weights, kept)
    expected = torch.cat([x * kept[:, g, None] @ weights.weight_ih[2 * g : 2 * g + 2].t() for g in range(4)], 2) + weights.bias_ih
    torch.testing.assert_close(found, expected, **EXACT)


def test_a_mask_that_is_changed_in_place_is_ordered_anew():
    weights, x, states = case("gru", 2, 4)
    mask = torch.tensor([[1, 1, 0, 0], [0, 0, 0, 1]]).bool()
    for change in (lambda: None, lambda: mask.logical_not_()):
        change()
        expected = masked_loop("gru", x, states, weights, mask)
        for inference in (True, False, False):  # the last time from memory
            with torch.inference_mode(inference):
                run(recurrence("gru", weights), x, states, mask)
            torch.testing.assert_close(tuple(run(recurrence("gru", weights), x, states, mask)), expected, **EXACT)


@pytest.mark.parametrize("form", ["dense", "packed", "scan"])
def test_constants_follow_their_rows(form):
    """A step that adds a row's own constant: rows may be sorted and cut."""
    mask = torch.tensor([[1, 0, 0], [0, 1, 1], [1, 1, 1], [0, 0, 0]]).bool()
    own = torch.tensor([[1.0], [10.0], [100.0], [1000.0]])

    def step(now, states, constants):
        return states[0] + constants[0], (states[0] + constants[0],)

    found = run(Recurrence(step, by_row=True), torch.zeros(4, 3, 1), (torch.zeros(4, 1),), mask, constants=(own,), masked=form)
    assert found.states[0].flatten().tolist() == [1.0, 20.0, 300.0, 0.0]


def test_a_users_step_keeps_its_own_state_and_output_apart():
    """The output is not the state: a masked step puts out the state before it (2.2.4) or the output before it (tf.keras)."""
    mask = torch.tensor([[0, 1, 0]]).bool()

    def step(now, states, constants):
        return -now, (states[0] + now,)

    x = torch.tensor([[[1.0], [2.0], [4.0]]])
    start = (torch.tensor([[8.0]]),)
    assert run(Recurrence(step), x, start, mask, masked_output="state").outputs.flatten().tolist() == [8.0, -2.0, 10.0]
    assert run(Recurrence(step), x, start, mask, masked_output="output").outputs.flatten().tolist() == [0.0, -2.0, -2.0]


def test_a_step_may_take_nested_inputs():
    steps = [(torch.ones(2, 1), 2 * torch.ones(2, 1)), (torch.ones(2, 1), 3 * torch.ones(2, 1))]
    found = run(Recurrence(lambda now, states, _: (now[0] * now[1] + states[0],) * 1 + ((now[1],),)), steps, (torch.zeros(2, 1),))
    assert found.last.tolist() == [[5.0], [5.0]]


def test_the_scan_compiles_whole():
    weights, x, states = case("gru_before", 2, 3)
    cell = recurrence("gru_before", [w.detach() for w in weights])
    mask = torch.tensor([[1, 0, 1], [1, 1, 1]]).bool()
    compiled = torch.compile(lambda x: run(cell, x, states, mask).outputs, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), run(cell, x, states, mask).outputs, **EXACT)


def test_shapes_come_from_meta_tensors():
    weights = [w.detach().to("meta", torch.float32) for w in keras_weights("lstm", 3, 2)]
    x, mask = torch.empty(4, 5, 3, device="meta"), torch.empty(4, 5, device="meta", dtype=torch.bool)
    states = (torch.empty(4, 2, device="meta"),) * 2
    found = run(recurrence("lstm", weights), x, states, mask)
    assert found.outputs.shape == (4, 5, 2) and found.last.shape == (4, 2) and found.states[1].shape == (4, 2)


def test_flattening_is_left_out_on_the_cpu():
    assert not recurrent.flatten_weights("lstm", list(torch.nn.LSTM(3, 2).parameters()))


class TestErrors:
    def args(self):
        weights, x, states = case("lstm", 2, 3)
        return recurrence("lstm", weights), x, states

    def test_sequences_of_length_zero(self):
        cell, x, states = self.args()
        with pytest.raises(ValueError, match="at least one time step, but got sequences of length 0"):
            run(cell, x[:, :0], states)

    def test_a_mask_of_another_shape(self):
        cell, x, states = self.args()
        with pytest.raises(ValueError, match=r"mask of shape \(batch, steps\) = \(2, 3\) .* got a mask of shape \(2, 4\)"):
            run(cell, x, states, torch.ones(2, 4, dtype=torch.bool))

    def test_unknown_form(self):
        cell, x, states = self.args()
        with pytest.raises(ValueError, match=r"masked must be one of .*'dense'.* got 'fast'"):
            run(cell, x, states, masked="fast")

    def test_unknown_rule(self):
        cell, x, states = self.args()
        with pytest.raises(ValueError, match=r"masked_output must be one of .* got 'last'"):
            run(cell, x, states, masked_output="last")

    def test_a_cell_whose_steps_may_not_move(self):
        _, x, states = self.args()
        with pytest.raises(ValueError, match="masked='packed' moves time steps"):
            run(Recurrence(lambda *a: None), x, states, torch.ones(2, 3, dtype=torch.bool), masked="packed")


@settings(max_examples=60, deadline=None)
@given(mode=st.sampled_from(["lstm", "gru", "rnn_tanh", "rnn_relu"]), mask=masks, each=st.booleans(), masked=st.sampled_from(["auto", "packed"]))
def test_both_directions_at_once_are_two_runs(mode, mask, each, masked):
    weights, x, _ = case(mode, *mask.shape)
    others, _, states = case(mode, *mask.shape, seed=1, zero_state=True)
    options = {"return_sequences": each, "masked_output": "zeros" if each else "output"}
    with torch.set_grad_enabled(masked == "packed"):  # "auto" takes the packed form only where no gradient is wanted
        own, backward = (weights_from_keras(mode, *which) for which in (weights, others))
        found = recurrent.run_both(mode, x, mask, own, backward, masked=masked, **options)
        there = run(recurrence(mode, weights), x, states, mask, **options)
        back = run(recurrence(mode, others), x, states, mask, go_backwards=True, **options)
        assert found is not None
        torch.testing.assert_close(found.states, (*there.states, *back.states), **EXACT)
        if not each:
            torch.testing.assert_close(found.last, (there.last, back.last), **EXACT)
        else:
            assert found.outputs is not None and there.outputs is not None and back.outputs is not None
            torch.testing.assert_close(found.outputs, torch.cat((there.outputs, back.outputs.flip(1)), 2), **EXACT)


def test_both_directions_run_apart_where_that_is_quicker_or_masked_steps_differ():
    weights, x, _ = case("gru", 2, 3)
    own, mask = weights_from_keras("gru", *weights), torch.tensor([[True, False, True], [True, True, True]])
    with torch.no_grad():
        assert recurrent.run_both("gru", x, mask, own, own, masked_output="zeros") is not None
        assert recurrent.run_both("gru", x, mask, own, own, masked_output="output") is None
        assert recurrent.run_both("gru", x, mask, own, own, masked_output="zeros", masked="dense") is None
        assert recurrent.run_both("gru", x, mask, own, own, return_sequences=False, masked_output="zeros") is None
    assert recurrent.run_both("gru", x, mask, own, own, masked_output="zeros") is None
    assert recurrent.run_both("gru", x, torch.ones_like(mask), own, own) is not None
