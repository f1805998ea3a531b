"""What every exported module must be: torch's parts alone, equal outputs, a text that makes the same."""

from __future__ import annotations

import io
from typing import Any

import torch
from torch import nn

from torchkeras.exporting import to_torch
from torchkeras.layers.base import Layer


def flat(structure: Any) -> list[Any]:
    """The tensors of nested lists, tuples and dicts, in order."""
    if isinstance(structure, dict):
        structure = list(structure.values())
    return [leaf for part in structure for leaf in flat(part)] if isinstance(structure, (list, tuple)) else [structure]


def from_text(text: str, module: nn.Module, *given: nn.Module) -> nn.Module:
    """The module that a text makes, with the weights of another by way of a file."""
    namespace: dict[str, Any] = {"__name__": "alone"}
    exec(text, namespace)
    (kind,) = [thing for thing in namespace.values() if isinstance(thing, type) and thing.__module__ == "alone"]
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    made = kind(*given)
    made.load_state_dict(torch.load(file, weights_only=True))
    return made.train(module.training)


def exported(model: Any, *inputs: Any, atol: float = 1e-6, rtol: float = 1e-5, given: tuple[nn.Module, ...] = ()) -> tuple[nn.Module, str]:
    """The module and the text of a model, after all that holds for every one of them was checked."""
    module, text = to_torch(model, source=True)
    with torch.no_grad():
        wanted = flat(model(inputs[0] if len(inputs) == 1 else list(inputs)))
        for made in (module, from_text(text, module, *given)):
            for got, want in zip(flat(made(*inputs)), wanted, strict=True):
                torch.testing.assert_close(got, want.as_subclass(torch.Tensor), atol=atol, rtol=rtol)
    assert not any(isinstance(part, Layer) for part in module.modules())
    if not given:
        assert all(type(part).__module__.startswith("torch.") for part in module.modules())
    ours = {parameter.data_ptr() for parameter in model.parameters() if parameter.numel()}
    assert not ours & {parameter.data_ptr() for parameter in module.parameters()}
    assert "torchkeras" not in text.replace("written by torchkeras", "")
    return module, text
