"""One harness for every layer: `check_layer(cls, kwargs, input_shape)` runs all that an ordinary layer must stand.

Shapes, config, weights, state_dict, copies, gradients, autocast, modes, torch.compile, torch.export, torch.func, the pretend
accelerator, and life inside nn.Sequential with a hand-written loop. A layer that rightly cannot do one of them says so by `skip=`.
"""

from __future__ import annotations

import copy
import inspect
import json
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from tests.pretend import on_device, pretending
from torchkeras.layers.base import Layer, get_mask, set_mask
from torchkeras.layers.input_layer import Input
from torchkeras.layers.naming import reset_uids
from torchkeras.layers.raw_modules import not_watching

Shape = tuple[int, ...]


@dataclass
class Subject:
    """What is tried: how to make the layer, and what to feed it."""

    cls: type[Layer]
    kwargs: Mapping[str, Any]
    shapes: list[Shape]
    several: bool
    dtype: torch.dtype
    high: int
    masked: bool
    unknown: Sequence[int]
    random: bool
    call: dict[str, Any] = field(default_factory=dict)

    def make(self) -> Layer:
        """An unbuilt layer."""
        return self.cls(**copy.deepcopy(dict(self.kwargs)))

    def built(self) -> Layer:
        """A built layer, whose weights are all away from zero and one (so that a lost weight is seen)."""
        layer = self.make()
        with torch.no_grad():
            layer(self.data())
            for parameter in layer.parameters():
                if parameter.is_floating_point():
                    parameter.add_(torch.rand_like(parameter) * 0.1 + 0.05)
        layer.clear_losses()
        return layer

    def data(self, dtype: torch.dtype | None = None, device: torch.device | None = None, *, lead: int | None = None) -> Any:
        """Fresh inputs, with masks where they are wanted; `lead`: one more axis in front."""
        tensors = []
        for shape in self.shapes:
            size = shape if lead is None else (lead, *shape)
            if self.dtype.is_floating_point:
                tensor = torch.randn(size, dtype=dtype or self.dtype, device=device)
            else:
                tensor = torch.randint(0, self.high, size, dtype=self.dtype, device=device)
            if self.masked and lead is None:
                mask = torch.ones(shape[:2], dtype=torch.bool, device=device)
                mask[0, -1] = False
                set_mask(tensor, mask)
            tensors.append(tensor)
        return tensors if self.several else tensors[0]

    def symbolic(self, unknown: Sequence[int]) -> Any:
        """Symbolic inputs whose axes in `unknown` are `None`."""
        made = []
        for shape in self.shapes:
            dims = [None if axis in unknown else dim for axis, dim in enumerate(shape)]
            made.append(Input(batch_shape=dims, dtype=str(self.dtype).removeprefix("torch.")))
        return made if self.several else made[0]

    def with_masks_of(self, data: Any, source: Any) -> Any:
        """Hang the masks of other inputs on these."""
        set_mask(data, get_mask(source))
        return data


def check_layer(
    cls: type[Layer],
    kwargs: Mapping[str, Any],
    input_shape: Any,
    *,
    dtype: torch.dtype = torch.float32,
    high: int = 4,
    masked: bool = False,
    unknown: Sequence[int] = (0,),
    random: bool = False,
    skip: Sequence[str] = (),
    call: Mapping[str, Any] | None = None,
) -> Subject:
    """Try one layer with one set of arguments.

    Args:
        cls: The class.
        kwargs: Its constructor arguments (copied for each layer made).
        input_shape: Shape of the input with its batch axis, or a list of shapes. Keep it small: gradients are checked numerically.
        dtype: Of the inputs. Integers are drawn below `high`.
        high: See `dtype`.
        masked: Whether the inputs carry a mask (batch, steps) with one masked step.
        unknown: Axes of the input that may be unknown while a graph is built.
        random: Whether training mode draws random numbers.
        skip: Names of the checks to leave out (such as "vmap"), for a reason that the test states.
        call: Further keyword arguments of each call.

    Returns:
        The subject, for more checks.
    """
    several = isinstance(input_shape, list)
    shapes = [tuple(shape) for shape in (input_shape if several else [input_shape])]
    subject = Subject(cls, kwargs, shapes, several, dtype, high, masked, unknown, random, dict(call or {}))
    unheard = set(skip) - set(CHECKS)
    assert not unheard, f"no checks are called {sorted(unheard)}"
    for name, check in CHECKS.items():
        if name not in skip:
            reset_uids()
            torch.manual_seed(0)
            with not_watching():  # symbolic tensors, if not yet collected, keep hooks for all modules
                check(subject)
    return subject


def flat(structure: Any) -> list[Tensor]:
    """The tensors of nested lists and tuples, in order."""
    if isinstance(structure, (list, tuple)):
        return [leaf for part in structure for leaf in flat(part)]
    return [structure]


def same(got: Any, wanted: Any, **tolerances: float) -> None:
    """Structures of tensors that are equal, within torch's default tolerances unless given."""
    got, wanted = flat(got), flat(wanted)
    assert len(got) == len(wanted)
    for one, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(one, other, **tolerances)


def total(structure: Any) -> Tensor:
    """A scalar that depends on every output, unevenly."""
    parts = [leaf for leaf in flat(structure) if leaf.is_floating_point()]
    return sum((part * torch.linspace(0.5, 1.5, part.numel(), dtype=part.dtype, device=part.device).view(part.shape)).sum() for part in parts)  # type: ignore[return-value]


def _explicit(subject: Subject, layer: Layer, data: Any) -> dict[str, Any]:
    """The call's arguments with the mask among them: a compiled or exported program sees no mask that hangs on a tensor."""
    if subject.masked and layer._takes_mask:
        return {"mask": get_mask(data), **subject.call}
    return dict(subject.call)


def _shapes(structure: Any) -> list[tuple[int | None, ...]]:
    return [tuple(leaf.shape) for leaf in flat(structure)]


def _declared(shape: Any) -> list[tuple[int | None, ...]]:
    return [tuple(one) for one in shape] if isinstance(shape, list) else [tuple(shape)]


def check_shapes(subject: Subject) -> None:
    """The declared shape is the real one; unknown axes stay unknown and known ones known."""
    layer = subject.make()
    asked = subject.shapes if subject.several else subject.shapes[0]
    before = _declared(layer.compute_output_shape(asked))
    assert not layer.built or not layer.weights, "compute_output_shape built the layer"
    with torch.no_grad():
        real = _shapes(layer(subject.data(), **subject.call))
    assert before == real
    assert _declared(layer.compute_output_shape(asked)) == real
    for unknown in {(), (0,), tuple(subject.unknown)}:
        made = subject.make()(subject.symbolic(unknown), **subject.call)
        for shape, wanted in zip(_shapes(made), real, strict=True):
            assert len(shape) == len(wanted)
            assert all(dim in (None, size) for dim, size in zip(shape, wanted, strict=True)), f"symbolic {shape}, real {wanted}"
            if not unknown:
                assert shape == wanted
            if unknown == (0,) and subject.shapes[0][0] == wanted[0]:
                assert shape == (None, *wanted[1:]), f"only the batch is unknown, but the output is {shape}"


def check_config(subject: Subject) -> None:
    """`from_config(get_config())`, also through JSON, makes the same layer."""
    layer, data = subject.built(), subject.data()
    config = json.loads(json.dumps(layer.get_config()))
    again = subject.cls.from_config(config)
    assert json.loads(json.dumps(again.get_config())) == config
    with torch.no_grad():
        again(data, **subject.call)
        again.set_weights(layer.get_weights())
        same(again(data, **subject.call), layer(data, **subject.call))


def check_weights(subject: Subject) -> None:
    """`get_weights` and `set_weights` are inverse; views write through; wrong lists are refused."""
    layer, data = subject.built(), subject.data()
    weights = layer.get_weights()
    assert layer.count_params() == sum(weight.size for weight in weights)
    assert len(layer.trainable_weights) + len(layer.non_trainable_weights) == len(weights)
    assert len({weight.name for weight in layer.weights}) == len(weights)
    with torch.no_grad():
        wanted = layer(data, **subject.call)
        changed = [weight * 0.5 + 0.25 for weight in weights]
        layer.set_weights(changed)
        for got, put in zip(layer.get_weights(), changed, strict=True):
            np.testing.assert_allclose(got, put, rtol=1e-6)
        for view, weight in zip(layer.weights, weights, strict=True):
            view.assign(weight)
        same(layer(data, **subject.call), wanted)
    with pytest.raises(ValueError, match=f"{len(weights) + 1} arrays"):
        layer.set_weights([*weights, np.zeros(3)])
    if weights:
        with pytest.raises(ValueError, match="shape"):
            layer.set_weights([np.zeros((*weights[0].shape, 7)), *weights[1:]])
        with torch.no_grad():
            made = subject.cls(**copy.deepcopy(dict(subject.kwargs)), weights=weights)
            same(made(data, **subject.call), wanted)
    if layer.trainable_weights:
        layer.trainable = False
        assert not layer.trainable_weights
        assert not any(parameter.requires_grad for parameter in layer.parameters())
        assert len(layer.non_trainable_weights) == len(weights)


def check_state_dict(subject: Subject) -> None:
    """A state_dict loads into a built and into an unbuilt layer."""
    layer, data = subject.built(), subject.data()
    state = layer.state_dict()
    with torch.no_grad():
        wanted = layer(data, **subject.call)
        other = subject.built()
        other.load_state_dict(state)
        same(other(data, **subject.call), wanted)
        fresh = subject.make()
        fresh.load_state_dict(state)
        same(fresh(data, **subject.call), wanted)


def check_copies(subject: Subject) -> None:
    """deepcopy and pickle, of an unbuilt and of a built layer; a copy shares nothing."""
    layer, data = subject.built(), subject.data()
    with torch.no_grad():
        wanted = layer(data, **subject.call)
        for copied in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
            same(copied(data, **subject.call), wanted)
            for parameter in copied.parameters():
                parameter.zero_()
        same(layer(data, **subject.call), wanted)
        for unbuilt in (copy.deepcopy(subject.make()), pickle.loads(pickle.dumps(subject.make()))):
            assert _shapes(unbuilt(data, **subject.call)) == _shapes(wanted)


def check_gradients(subject: Subject) -> None:
    """Numeric gradients in float64, for inputs and parameters."""
    layer = subject.built().double()
    parameters = {name: parameter for name, parameter in layer.named_parameters() if parameter.requires_grad}
    data = subject.data(torch.float64)
    inputs = [tensor.requires_grad_(tensor.is_floating_point()) for tensor in flat(data)]

    def run(*values: Tensor) -> Any:
        given = subject.with_masks_of(list(values[: len(inputs)]) if subject.several else values[0], data)
        outputs = functional_call(layer, dict(zip(parameters, values[len(inputs) :], strict=True)), (given,), dict(subject.call))
        return tuple(leaf for leaf in flat(outputs) if leaf.is_floating_point())

    values = (*inputs, *parameters.values())
    if any(value.requires_grad for value in values):
        assert torch.autograd.gradcheck(run, values, fast_mode=True)


def check_autocast(subject: Subject) -> None:
    """bfloat16 and float16 autocast, and a layer that is itself in bfloat16."""
    layer, data = subject.built(), subject.data()
    with torch.no_grad():
        wanted = layer(data, **subject.call)
    scale = max((float(leaf.abs().max()) for leaf in flat(wanted) if leaf.is_floating_point() and leaf.numel()), default=1.0)
    for dtype, tolerance in ((torch.bfloat16, 0.05), (torch.float16, 0.01)):
        with torch.autocast("cpu", dtype=dtype):
            outputs = layer(data, **subject.call)
            loss = total([leaf.float() for leaf in flat(outputs) if leaf.is_floating_point()])
        if loss.requires_grad:
            loss.backward()
            assert all(p.grad is None or p.grad.dtype == p.dtype for p in layer.parameters())
        for got, exact in zip(flat(outputs), flat(wanted), strict=True):
            torch.testing.assert_close(got.to(exact.dtype), exact, rtol=tolerance, atol=tolerance * scale + 1e-6)
    half = subject.built().bfloat16()
    with torch.no_grad():
        outputs = half(subject.data(torch.bfloat16 if subject.dtype.is_floating_point else None), **subject.call)
    assert all(leaf.dtype == torch.bfloat16 for leaf in flat(outputs) if leaf.is_floating_point())


def check_modes(subject: Subject) -> None:
    """Layers start in inference mode; train() and eval() reach the whole layer; nothing is random in inference."""
    layer, data = subject.built(), subject.data()
    assert not any(module.training for module in layer.modules() if isinstance(module, Layer))
    with torch.no_grad():
        wanted = layer(data, **subject.call)
        layer.train()
        assert all(module.training for module in layer.modules())
        trained = layer(data, **subject.call)
        assert _shapes(trained) == _shapes(wanted)
        assert all(torch.isfinite(leaf).all() for leaf in flat(trained) if leaf.is_floating_point())
        if not subject.random:
            same(trained, wanted)
        layer.eval()
        same(layer(data, **subject.call), wanted)


def check_compile(subject: Subject) -> None:
    """torch.compile in one graph, forward and backward."""
    layer, data = subject.built(), subject.data()
    torch._dynamo.reset()
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    outputs, wanted = compiled(data, **_explicit(subject, layer, data)), layer(data, **subject.call)
    same(outputs, wanted)
    parameters = [parameter for parameter in layer.parameters() if parameter.requires_grad]
    if parameters and total(wanted).requires_grad:
        got = torch.autograd.grad(total(outputs), parameters, allow_unused=True)
        for one, other in zip(got, torch.autograd.grad(total(wanted), parameters, allow_unused=True), strict=True):
            assert (one is None) == (other is None)
            if one is not None:
                torch.testing.assert_close(one, other)


def check_export(subject: Subject) -> None:
    """torch.export gives a program with the same outputs."""
    layer, data = subject.built(), subject.data()
    arguments = _explicit(subject, layer, data)
    with torch.no_grad():
        wanted = layer(data, **subject.call)
    for leaf in flat(data):
        leaf.__dict__.pop("_keras_mask", None)
    program = torch.export.export(layer, (data,), arguments)
    with torch.no_grad():
        same(program.module()(data, **arguments), wanted)


def check_dynamic_export(subject: Subject) -> None:
    """torch.export with a batch of any size. Not among CHECKS: call it on what `check_layer` returns."""
    if any(shape[0] < 2 for shape in subject.shapes):  # torch.export takes 1 for a number of its own
        return
    layer, data = subject.built(), subject.data()
    arguments = _explicit(subject, layer, data)
    for leaf in flat(data):
        leaf.__dict__.pop("_keras_mask", None)
    batch = {0: torch.export.Dim.DYNAMIC}
    dynamic = {name: _dynamic(value, batch) for name, value in arguments.items()}
    inputs = [batch for _ in subject.shapes] if subject.several else batch
    first = next(iter(inspect.signature(layer.call).parameters))
    program = torch.export.export(layer, (data,), arguments, dynamic_shapes={first: inputs, **dynamic})
    larger = Subject(**{**vars(subject), "shapes": [(shape[0] + 3, *shape[1:]) for shape in subject.shapes]})
    more = larger.data()
    arguments = _explicit(larger, layer, more)
    for leaf in flat(more):
        leaf.__dict__.pop("_keras_mask", None)
    with torch.no_grad():
        same(program.module()(more, **arguments), layer(more, **arguments))


def _dynamic(argument: Any, batch: Mapping[int, Any]) -> Any:
    if isinstance(argument, (list, tuple)):
        return [_dynamic(part, batch) for part in argument]
    return batch if isinstance(argument, Tensor) else None


def check_functional_call(subject: Subject) -> None:
    """torch.func.functional_call computes with the parameters that it is given."""
    layer, data = subject.built(), subject.data()
    state = {name: value.clone() for name, value in layer.state_dict().items()}
    with torch.no_grad():
        wanted = layer(data, **subject.call)
        for parameter in layer.parameters():
            parameter.zero_()
        same(functional_call(layer, state, (data,), dict(subject.call)), wanted)


def check_vmap(subject: Subject) -> None:
    """torch.func.vmap over one more axis of the inputs equals the layer's results one by one."""
    layer, data = subject.built(), subject.data(lead=3)
    stacked = flat(data)

    def run(*tensors: Tensor) -> Any:
        return layer(list(tensors) if subject.several else tensors[0], **subject.call)

    with torch.no_grad():
        outputs = flat(torch.func.vmap(run)(*stacked))
        for number in range(3):
            same([leaf[number] for leaf in outputs], run(*(leaf[number] for leaf in stacked)), rtol=1e-4, atol=1e-5)


def check_device(subject: Subject) -> None:
    """On an accelerator nothing waits for it and nothing is left behind, forward and backward, in both modes."""
    layer = subject.built()
    for training in (False, True):
        with pretending() as device:
            moved = on_device(layer, device).train(training)
            outputs = moved(subject.data(device=device), **subject.call)
            assert all(leaf.device == device for leaf in flat(outputs))
            loss = sum(leaf.sum() for leaf in flat(outputs) if leaf.is_floating_point())
            if isinstance(loss, Tensor) and loss.requires_grad:
                loss.backward()


def check_sequential(subject: Subject) -> None:
    """Inside nn.Sequential, unbuilt at first, with a hand-written loop: every trained parameter moves."""
    if subject.several:
        return
    layer, data = subject.make(), subject.data()
    net = nn.Sequential(layer)
    with torch.no_grad():
        net(data, **subject.call)
    net.train()
    parameters = [parameter for parameter in net.parameters() if parameter.requires_grad]
    if not parameters:
        return
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    before = [parameter.detach().clone() for parameter in parameters]
    for _ in range(2):
        optimizer.zero_grad()
        total(net(data, **subject.call)).backward()
        optimizer.step()
    names = [name for name, parameter in net.named_parameters() if parameter.requires_grad]
    stuck = [name for name, old, new in zip(names, before, parameters, strict=True) if torch.equal(old, new)]
    assert not stuck, f"{stuck} never moved"


CHECKS: dict[str, Callable[[Subject], None]] = {
    "shapes": check_shapes,
    "config": check_config,
    "weights": check_weights,
    "state_dict": check_state_dict,
    "copies": check_copies,
    "gradients": check_gradients,
    "autocast": check_autocast,
    "modes": check_modes,
    "compile": check_compile,
    "export": check_export,
    "functional_call": check_functional_call,
    "vmap": check_vmap,
    "device": check_device,
    "sequential": check_sequential,
}
