"""Emitters of the recurrent layers with the arithmetic of torch.nn.LSTM, GRU and RNN, of `Bidirectional` and of `TimeDistributed`."""

from __future__ import annotations

from typing import Any

from torchkeras import layers
from torchkeras.exporting.recurrence import write_loop
from torchkeras.exporting.table import Call, emits
from torchkeras.exporting.writer import Made
from torchkeras.layers.recurrent.cudnn import CuDNNGRUCell, CuDNNLSTMCell
from torchkeras.layers.recurrent.gated_cell import GatedCell

CLASSES = {"lstm": "LSTM", "gru": "GRU", "rnn_tanh": "RNN", "rnn_relu": "RNN"}
KINDS = {"lstm": "LSTM", "gru": "GRU"}
CELLS = (layers.LSTMCell, layers.GRUCell, layers.SimpleRNNCell, CuDNNLSTMCell, CuDNNGRUCell)
NOT_TORCH = "torch.nn has no layer of this arithmetic"


def _checked_mode(call: Call, layer: Any) -> str | None:
    """The mode of torch's kernel for a layer; `None`: it has none, and the steps are written out.

    Raises:
        ExportError: the layer does what a plain module does not, or how many steps there are is not known.
    """
    cell = layer.cell
    if type(cell) not in CELLS:
        call.refuse(f"its cell is a {type(cell).__name__}; {NOT_TORCH}.")
    mode = cell.fused_mode()
    if mode is None and call.x.shape[0 if layer.time_major else 1] is None:
        call.refuse(
            f"{NOT_TORCH}: {_what_differs(cell)}. Its steps can be written out where their number is "
            "known: make the model with an Input of so many steps, and give it the weights by set_weights(model.get_weights())."
        )
    if layer.stateful:
        call.refuse("it is stateful. A plain module takes and gives states as values: use initial_state and return_state.")
    if cell.recurrent_dropout > 0 and not call.writer.in_inference:
        call.refuse(
            f"it has recurrent_dropout={cell.recurrent_dropout}, which torch's kernels have not. Set layer.cell.recurrent_dropout = 0.0 first."
        )
    if cell.dropout > 0 and cell.masks_by_gate and not call.writer.in_inference:
        call.refuse(f"it drops inputs (dropout={cell.dropout}) for each gate by itself. Use implementation=2, or set layer.cell.dropout = 0.0 first.")
    return mode


def _what_differs(cell: GatedCell) -> str:
    """What a cell computes, and what torch's layer of its kind does."""
    given = {name: getattr(cell, name) for name in ("activation", "recurrent_activation", "reset_after") if hasattr(cell, name)}
    words = ", ".join(f"{name}={getattr(value, '__name__', value)}" for name, value in given.items())
    wanted = "tanh and sigmoid" + (" and reset_after=True" if "reset_after" in given else "") if len(given) > 1 else "tanh or relu"
    return f"it has {words}, and nn.{KINDS.get(cell.kind, 'RNN')} computes {wanted} only"


def _arguments(cell: GatedCell, mode: str, batch_first: bool) -> str:
    size = cell.weight_ih.shape[1]
    options = ("nonlinearity='relu'" if mode == "rnn_relu" else "", "" if cell.use_bias else "bias=False", "batch_first=True" if batch_first else "")
    return ", ".join((str(size), str(cell.units), *filter(None, options)))


def _state(cell: GatedCell, ending: str = "") -> tuple[dict[str, Any], list[str]]:
    """The weights under torch's names, and those that are not trained: of Keras' one bias torch makes two."""
    weights = cell.weights_for_torch()
    both = cell._parameters.get("bias_both")
    names = {"weight_ih": cell.weight_ih, "weight_hh": cell.weight_hh, "bias_ih": weights.bias_ih, "bias_hh": weights.bias_hh}
    still = [] if cell.two_biases or not cell.use_bias else ["bias_hh"]
    if both is not None and not both.requires_grad:
        still = ["bias_ih", "bias_hh"]
    return {f"{name}_l0{ending}": value for name, value in names.items()}, [f"{name}_l0{ending}" for name in still]


def _run(call: Call, layer: Any, suffix: str, states: list[str]) -> tuple[str, str, list[str]]:
    """Run one direction: the texts of its sequence of outputs (in the order of its steps), of its last output, and of its states."""
    mode = _checked_mode(call, layer)
    cell, time_axis = layer.cell, 0 if layer.time_major else 1
    text = call.x.text
    if 0 < cell.dropout < 1 and not call.writer.in_inference:
        drop = call.part(f"nn.Dropout({cell.dropout!r})", suffix=f"{suffix}_dropout".strip("_"))
        name = call.named("input", text)
        text = f"{name} * {drop}(torch.ones_like({name}[{':, ' if time_axis else ''}:1]))"
    if layer.go_backwards:
        text = f"({text}).flip({time_axis})" if " " in text else f"{text}.flip({time_axis})"
    if mode is None:
        return write_loop(call, layer, suffix, text, states)
    state, frozen = _state(cell)
    part = call.part(f"nn.{CLASSES[mode]}({_arguments(cell, mode, not layer.time_major)})", state, suffix=suffix, frozen=frozen)
    if states:
        ready = [f"{one}.unsqueeze(0)" for one in states]
        text += f", {ready[0] if mode != 'lstm' else f'({ready[0]}, {ready[1]})'}"
    if not layer.return_state:
        outputs = f"{part}({text})[0]"
        return outputs, f"{outputs}[{':, ' if time_axis else ''}-1]", []
    base = f"{call.key}_{suffix}".strip("_")
    names = [call.writer.fresh(f"{base}_{what}") for what in ("outputs", "h", "c")[: 3 if mode == "lstm" else 2]]
    taken = f"({names[1]}, {names[2]})" if mode == "lstm" else names[1]
    call.writer.line(f"{names[0]}, {taken} = {part}({text})")
    last = [f"{name}[0]" for name in names[1:]]
    return names[0], last[0], last


def _initial(call: Call) -> list[str]:
    given = call.kwargs.get("initial_state") or []
    return [value.text for value in given]


@emits(layers.LSTM, layers.GRU, layers.SimpleRNN, layers.CuDNNLSTM, layers.CuDNNGRU, layers.RNN)
def recurrent(call: Call) -> Made | list[Made]:
    """`nn.LSTM`, `nn.GRU`, `nn.RNN`."""
    outputs, last, states = _run(call, call.layer, "", _initial(call))
    first = Made(outputs if call.layer.return_sequences else last)
    return [first, *map(Made, states)] if call.layer.return_state else first


@emits(layers.Bidirectional)
def bidirectional(call: Call) -> Made | list[Made]:
    """One bidirectional module where both sides are alike, else one for each."""
    layer = call.layer
    for side in (layer.forward_layer, layer.backward_layer):
        if not isinstance(side, layers.RNN):
            call.refuse(f"it turns a {type(side).__name__} around.")
        _checked_mode(call, side)
    states = _initial(call)
    if not states and _fits_one_module(layer):
        return _in_one_module(call)
    half = len(states) // 2
    time_axis = 0 if layer.time_major else 1
    forward, last_forward, after = _run(call, layer.forward_layer, "forward", states[:half])
    backward, last_backward, after_back = _run(call, layer.backward_layer, "backward", states[half:])
    if not layer.return_sequences:
        return _merged(call, last_forward, last_backward, [*after, *after_back])
    return _merged(call, forward, f"{backward}.flip({time_axis})", [*after, *after_back])


def _fits_one_module(layer: Any) -> bool:
    forward, backward = layer.forward_layer.cell, layer.backward_layer.cell
    same = type(forward) is type(backward) and forward.units == backward.units and forward.use_bias == backward.use_bias
    same = same and forward.fused_mode() is not None
    return same and forward.fused_mode() == backward.fused_mode() and not (forward.dropout or backward.dropout or layer.forward_layer.go_backwards)


def _in_one_module(call: Call) -> Made | list[Made]:
    layer = call.layer
    forward, backward = layer.forward_layer, layer.backward_layer
    mode = forward.cell.fused_mode()
    state, frozen = _state(forward.cell)
    other, other_frozen = _state(backward.cell, "_reverse")
    text = f"nn.{CLASSES[mode]}({_arguments(forward.cell, mode, not layer.time_major)}, bidirectional=True)"
    part = call.part(text, {**state, **other}, frozen=[*frozen, *other_frozen])
    if layer.return_sequences and not layer.return_state:
        if layer.merge_mode == "concat":
            return Made(f"{part}({call.x.text})[0]")
        first, second = call.writer.fresh(f"{call.key}_forward"), call.writer.fresh(f"{call.key}_backward")
        call.writer.line(f"{first}, {second} = {part}({call.x.text})[0].chunk(2, -1)")
        return _merged(call, first, second, [])
    names = [call.writer.fresh(f"{call.key}_{what}") for what in ("outputs", "h", "c")[: 3 if mode == "lstm" else 2]]
    taken = f"({names[1]}, {names[2]})" if mode == "lstm" else names[1]
    call.writer.line(f"{names[0]}, {taken} = {part}({call.x.text})")
    states = [f"{name}[{side}]" for side in (0, 1) for name in names[1:]] if layer.return_state else []
    if not layer.return_sequences:
        return _merged(call, f"{names[1]}[0]", f"{names[1]}[1]", states)
    if layer.merge_mode == "concat":
        return [Made(names[0]), *map(Made, states)]
    return _merged(call, f"{names[0]}.chunk(2, -1)[0]", f"{names[0]}.chunk(2, -1)[1]", states)


def _merged(call: Call, first: str, second: str, states: list[str]) -> Made | list[Made]:
    mode = call.layer.merge_mode
    if mode is None:
        return [Made(first), Made(second), *map(Made, states)]
    templates = {"concat": "torch.cat(({0}, {1}), -1)", "sum": "{0} + {1}", "ave": "({0} + {1}) / 2", "mul": "{0} * {1}"}
    made = Made(templates[mode].format(first, second))
    return [made, *map(Made, states)] if call.layer.return_state else made
