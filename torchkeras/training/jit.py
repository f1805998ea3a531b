"""Steps compiled by torch.compile, or as they are where that fails."""

from __future__ import annotations

import functools
import types
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

OVERHEAD = "reduce-overhead"  # CUDA graphs, as torch.compile calls them
FIXED = 2  # forms that have code of their own: whole batches, and the one that is left at the end


def compile_function(function: Callable[..., Any], mode: Any, fixed: bool = False, whole: bool = False) -> Callable[..., Any]:
    """A function compiled when it is first called; code that inductor has made is kept on disk from one run to the next.

    Args:
        function: A function of Python.
        mode: True, or a mode of torch.compile.
        fixed: Whether code is made for each size by itself; else, for a second size, code for any.
        whole: Whether it has to be one graph.
    """
    options: dict[str, Any] = {"fullgraph": whole}
    if fixed:
        options["dynamic"] = False
    if mode is not True:
        options["mode"] = mode
    return torch.compile(_with_own_code(function), **options)


def _with_own_code(function: Callable[..., Any]) -> Callable[..., Any]:
    """A copy of a function; Dynamo keeps and counts what it compiled by the code, which functions of other models would share."""
    if not isinstance(function, types.FunctionType):
        return function
    copied = types.FunctionType(function.__code__.replace(), function.__globals__, function.__name__, function.__defaults__, function.__closure__)
    return functools.update_wrapper(copied, function)


class Rechecked:
    """A function compiled to one graph that looks in full at what it was compiled for once for each form of a batch, and again after `recheck`.

    Before each call Dynamo compares every attribute of every layer with what it was, which takes longer than a small net's kernels. Here
    the batches of an epoch that have a known form are told apart by their form alone.

    Args:
        function: The function.
        mode: True, or a mode of torch.compile.
    """

    def __init__(self, function: Callable[..., Any], mode: Any) -> None:
        self.function, self.mode = function, mode
        self._compiled: dict[bool, Callable[..., Any]] = {}  # by whether it is fixed
        self._fixed: set[tuple[Any, ...]] = set()
        self._known: set[tuple[Any, ...]] = set()
        self._lenient: Any = None  # makes Dynamo choose by form; made once, since that takes longer than entering it

    def recheck(self) -> None:
        """Look in full again: layers may have been changed."""
        self._known.clear()
        self._lenient = None

    def __call__(self, batch: tuple[Any, ...], *others: Any) -> Any:
        """What the function gives for a batch and what else it takes, which stays the same until `recheck`."""
        form: list[Any] = []
        if not _describe(batch, form):
            return self._compiled_for(False)(*others, *batch)
        described = tuple(form)
        if len(self._fixed) < FIXED:
            self._fixed.add(described)
        compiled = self._compiled_for(described in self._fixed)
        if described in self._known:
            if self._lenient is None:
                self._lenient = torch.compiler.set_stance("default", skip_guard_eval_unsafe=True)  # which enters it, too
            with self._lenient:
                return compiled(*others, *batch)
        result = compiled(*others, *batch)
        self._known.add(described)
        return result

    def _compiled_for(self, fixed: bool) -> Callable[..., Any]:
        if fixed not in self._compiled:
            self._compiled[fixed] = compile_function(self.function, self.mode, fixed, whole=True)
        return self._compiled[fixed]


def _describe(part: Any, form: list[Any]) -> bool:
    """Add the form of a part of a batch: structure, shapes, strides, types; False where it holds something unknown."""
    if type(part) is Tensor:
        form += (part.shape, part.stride(), part.dtype, part.device)
    elif part is None:
        form.append(None)
    elif isinstance(part, (tuple, list)):
        form.append(len(part))
        return all(_describe(entry, form) for entry in part)
    elif isinstance(part, dict):
        form.append(tuple(part))
        return all(_describe(entry, form) for entry in part.values())
    else:
        return False
    return True


class Jitted:
    """A function compiled when it is first called; where torch.compile fails, the function itself, with one warning.

    Args:
        function: The function.
        who: Name of the model, for the warning.
        mode: True, or a mode of torch.compile.
    """

    def __init__(self, function: Callable[..., Any], who: str, mode: Any = True) -> None:
        self.function, self.who = function, who
        self._compiled: Callable[..., Any] | None = compile_function(function, mode)

    def __call__(self, *args: Any) -> Any:
        """What the function gives."""
        if self._compiled is None:
            return self.function(*args)
        try:
            return self._compiled(*args)
        except Exception as error:  # whatever the compiler stumbles over: the function itself tells whether it is the user's fault
            result = self.function(*args)
            self._compiled = None
            first = str(error).strip().splitlines()[0] if str(error).strip() else ""
            warnings.warn(
                f"torch.compile could not compile model '{self.who}', so it runs as it is ({type(error).__name__}: {first:.200}).",
                RuntimeWarning,
                stacklevel=2,
            )
            return result


class WholeStep:
    """Forward pass, loss and gradients as one compiled graph; where that cannot be made, forward pass and loss alone, and torch's autograd.

    Whatever else a forward pass changes (moving averages, states) would be lost in such a graph, so `fits` tells for which models it is.

    Args:
        model: The model.
        forward: From a batch to the outputs and the loss.
        pure: The same, but it changes nothing: from a batch to the outputs, the loss, and the outputs' own losses.
        compiled: The losses and metrics, which are computed in the graph where they can tell what a batch adds to them.
        parameters: What is trained.
        mode: True, or "reduce-overhead": on CUDA the graph is captured once for each shape of a batch, and replayed.
    """

    def __init__(
        self, model: Any, forward: Callable[..., Any], pure: Callable[..., Any], compiled: Any, parameters: Sequence[nn.Parameter], mode: Any
    ) -> None:
        self.parameters = list(parameters)
        self.compiled = compiled
        self.simple = Jitted(forward, model.name, mode)
        ids = {id(parameter) for parameter in self.parameters}
        names = {id(parameter): name for name, parameter in model.named_parameters() if id(parameter) in ids}
        self.named = {names[id(parameter)]: parameter for parameter in self.parameters}
        self.replays = mode == OVERHEAD and model.device.type == "cuda"
        if self.replays:
            for parameter in self.parameters:
                torch._dynamo.mark_static_address(parameter)  # else each replay would copy it first
        self._compiled: Rechecked | None = Rechecked(_with_gradients(model, pure, compiled.tallies()), mode)

    def recheck(self) -> None:
        """Look in full at what it was compiled for."""
        if self._compiled is not None:
            self._compiled.recheck()

    @staticmethod
    def fits(model: Any, direct: bool) -> bool:
        """Whether a model's step can be one graph: it has no state besides its weights, and is `direct`, its loss that of outputs and weights.

        Outputs come out of it as new tensors, so they may carry no masks, which metrics need.
        """
        record = model._record_
        if not direct or record is None or any(record.infos[number].masked for number in record.output_numbers()):
            return False
        for layer in model.sublayers():
            lasting = [name for name, buffer in layer._buffers.items() if buffer is not None and name not in layer._non_persistent_buffers_set]
            if lasting or getattr(layer, "stateful", False):
                return False
        return True

    def __call__(self, x: Any, y: Any, weight: Any) -> tuple[Any, Tensor, Any]:
        """Outputs, loss and tallies (or `None`) of a batch; the parameters have their gradients then. Gradients must not be recorded."""
        if self._compiled is not None:
            if self.replays:
                torch.compiler.cudagraph_mark_step_begin()
            try:
                gradients, loss, parts, y_pred, tallies = self._compiled((x, y, weight), self.named)
            except Exception:  # what this stumbles over the other form may not; its own failure is told
                self._compiled = None
            else:
                for parameter, gradient in zip(self.parameters, gradients.values(), strict=True):
                    parameter.grad = gradient
                if self.replays:  # the next replay writes to the same memory
                    loss = loss.clone()
                    y_pred, parts, tallies = torch.utils._pytree.tree_map_only(Tensor, torch.clone, (y_pred, parts, tallies))
                self.compiled.parts = parts
                return y_pred, loss, tallies
        with torch.enable_grad():
            y_pred, loss = self.simple(x, y, weight)
            (loss if loss.dim() == 0 else loss.sum()).backward()
        return y_pred, loss.detach(), None


def _with_gradients(model: Any, pure: Callable[..., Any], tallies: Any) -> Callable[..., Any]:
    """A function of the parameters and a batch: gradients by name, loss, its parts, outputs, and what they add to the metrics."""

    caller = _Caller(pure, model)

    def losses(named: dict[str, Tensor], x: Any, y: Any, weight: Any) -> tuple[Tensor, tuple[Any, ...]]:
        replaced = {f"model.{name}": value for name, value in named.items()}
        y_pred, loss, parts = torch.func.functional_call(caller, replaced, (x, y, weight))
        return (loss if loss.dim() == 0 else loss.sum()), (loss, parts, y_pred)

    differentiated = torch.func.grad(losses, has_aux=True)

    def step(named: dict[str, Tensor], x: Any, y: Any, weight: Any) -> tuple[Any, ...]:
        gradients, (loss, parts, y_pred) = differentiated(named, x, y, weight)
        found = tallies(y, y_pred, weight) if tallies is not None and loss.dim() == 0 else None
        return gradients, loss, parts, y_pred, found

    return step


class _Caller(nn.Module):
    """A forward pass as a module that owns the model, so that its parameters can be replaced.

    Args:
        forward: What it runs on a batch.
        model: What it calls.
    """

    def __init__(self, forward: Callable[..., Any], model: nn.Module) -> None:
        super().__init__()
        self.__dict__["run"] = forward
        self.model = model

    def forward(self, x: Any, y: Any, weight: Any) -> tuple[Any, ...]:
        """What the pass gives."""
        return self.run(x, y, weight)  # type: ignore[no-any-return, operator]
