"""Recurrent layers whose arithmetic torch.nn has no layer for: linear parts, and a loop over the steps."""

from __future__ import annotations

from typing import Any

from torchkeras.exporting.table import Call
from torchkeras.exporting.texts import activate
from torchkeras.exporting.writer import Made


def write_loop(call: Call, layer: Any, suffix: str, inputs: str, states: list[str]) -> tuple[str, str, list[str]]:
    """Write one direction out, step by step.

    Args:
        call: The call.
        layer: An LSTM, GRU or SimpleRNN, with any activations; the steps must be known in number.
        suffix: What tells the parts of two directions apart.
        inputs: Text of the sequence, in the order of its steps.
        states: Texts of the states to begin with; none: zeros.

    Returns:
        The texts of the sequence of outputs, of the last output, and of the last states.
    """
    return _Loop(call, layer, suffix).write(inputs, states)


class _Loop:
    """The loop of one layer."""

    def __init__(self, call: Call, layer: Any, suffix: str) -> None:
        self.call, self.layer, self.cell, self.suffix = call, layer, layer.cell, suffix
        self.time_axis = 0 if layer.time_major else 1
        self.kind = {"lstm": "lstm", "gru": "gru"}.get(self.cell.kind, "rnn")

    def write(self, inputs: str, states: list[str]) -> tuple[str, str, list[str]]:
        writer, units = self.call.writer, self.cell.units
        steps = self.call.x.shape[self.time_axis]
        sums = self.assign("sums", f"{self._inputs()}({inputs})")
        names = [self.fresh(what) for what in ("h", "c")[: 2 if self.kind == "lstm" else 1]]
        for number, name in enumerate(names):
            zeros = f"{sums}.new_zeros({sums}.shape[{1 - self.time_axis}], {units})"
            writer.line(f"{name} = {states[number] if states else zeros}")
        outputs = self.assign("outputs", "[]") if self.layer.return_sequences else ""
        step = writer.fresh("step")
        lines = getattr(self, f"_{self.kind}")(f"{sums}[{':, ' if self.time_axis else ''}{step}]", *names)
        writer.line(f"for {step} in range({steps}):")
        for text in lines:
            writer.line(f"    {text}")
        if outputs:
            writer.line(f"    {outputs}.append({names[0]})")
            writer.line(f"{outputs} = torch.stack({outputs}, {self.time_axis})")
        return outputs, names[0], names if self.layer.return_state else []

    def _lstm(self, sums: str, h: str, c: str) -> list[str]:
        i, f, g, o = map(self.call.writer.fresh, "ifgo")
        recurrent = self._recurrent("recurrent", slice(None), 4)
        return [
            f"{i}, {f}, {g}, {o} = ({sums} + {recurrent}({h})).chunk(4, -1)",
            f"{c} = {self.gate(f)} * {c} + {self.gate(i)} * {self.activated(g)}",
            f"{h} = {self.gate(o)} * {self.activated(c)}",
        ]

    def _gru(self, sums: str, h: str) -> list[str]:
        r, z, n, r_h, z_h, n_h = map(self.call.writer.fresh, ("r", "z", "n", "r_h", "z_h", "n_h"))
        units = self.cell.units
        lines = [f"{r}, {z}, {n} = {sums}.chunk(3, -1)"]
        if self.cell.reset_after:
            lines.append(f"{r_h}, {z_h}, {n_h} = {self._recurrent('recurrent', slice(None), 3)}({h}).chunk(3, -1)")
            lines.append(f"{r} = {self.gate(f'{r} + {r_h}')}")
            candidate = f"{n} + {r} * {n_h}"
        else:
            lines.append(f"{r_h}, {z_h} = {self._recurrent('gates', slice(2 * units), 2)}({h}).chunk(2, -1)")
            lines.append(f"{r} = {self.gate(f'{r} + {r_h}')}")
            candidate = f"{n} + {self._recurrent('candidate', slice(2 * units, None), 1)}({r} * {h})"
        return [
            *lines,
            f"{z} = {self.gate(f'{z} + {z_h}')}",
            f"{n} = {self.activated(candidate)}",
            f"{h} = {n} + {z} * ({h} - {n})",
        ]

    def _rnn(self, sums: str, h: str) -> list[str]:
        recurrent = self._recurrent("recurrent", slice(None), 1)
        return [f"{h} = {self.activated(f'{sums} + {recurrent}({h})')}"]

    # -- parts and texts

    def _inputs(self) -> str:
        weights, kernel = self.cell.weights_for_torch(), self.cell.weight_ih
        return self._linear("input", kernel, weights.bias_ih, self._bias_trained())

    def _recurrent(self, name: str, rows: slice, gates: int) -> str:
        bias = self.cell.weights_for_torch().bias_hh if self.cell.two_biases and self.cell.use_bias else None
        kernel = self.cell.weight_hh
        if gates * self.cell.units != kernel.shape[0]:
            frozen = [] if kernel.requires_grad else ["weight"]
            return self.call.part(
                f"nn.Linear({self.cell.units}, {gates * self.cell.units}, bias=False)", {"weight": kernel.detach()[rows]},
                suffix=self._named(name), frozen=frozen,
            )  # fmt: skip
        return self._linear(name, kernel, bias, self._bias_trained())

    def _linear(self, name: str, weight: Any, bias: Any, bias_trained: bool) -> str:
        frozen = [] if bias_trained or bias is None else ["bias"]
        text = f"nn.Linear({weight.shape[1]}, {weight.shape[0]}{', bias=False' if bias is None else ''})"
        return self.call.part(text, {"weight": weight, "bias": bias}, suffix=self._named(name), frozen=frozen)

    def _bias_trained(self) -> bool:
        both = self.cell._parameters.get("bias_both")
        kept = self.cell._parameters.get("bias_ih") if both is None else both
        return kept is None or kept.requires_grad

    def _named(self, what: str) -> str:
        return f"{self.suffix}_{what}".strip("_")

    def fresh(self, what: str) -> str:
        return self.call.writer.fresh(f"{self.call.key}_{self._named(what)}")

    def assign(self, what: str, text: str) -> str:
        name = self.fresh(what)
        self.call.writer.line(f"{name} = {text}")
        return name

    def activated(self, text: str) -> str:
        return self._function(self.cell.activation, text, "activation")

    def gate(self, text: str) -> str:
        return self._function(self.cell.recurrent_activation, text, "gate")

    def _function(self, function: Any, text: str, hint: str) -> str:
        operand = f"({text})" if " " in text else text  # the text of an activation may multiply it
        made = activate(self.call.writer, self.layer, function, Made(operand), 2, f"{self.call.key}_{hint}").text
        return made.replace(f"({operand})", operand) if operand != text else made
