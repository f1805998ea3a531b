"""The calls by which Keras code hands gradients to an optimizer itself."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, cast

import torch
from torch import Tensor

from torchkeras.optimizers.hyper import Counter

if TYPE_CHECKING:
    from torchkeras.optimizers.base import Optimizer


class GradientCalls:
    """`apply_gradients`, `minimize` and `get_gradients` of a Keras optimizer."""

    def apply_gradients(
        self: Any, grads_and_vars: Iterable[tuple[Any, Any]], name: str | None = None, experimental_aggregate_gradients: bool = True
    ) -> Counter:
        """Make one update from given gradients; other parameters stay as they are, and so does every `.grad`.

        Parameters that the optimizer does not know yet are bound first. The gradients are clipped as in `step`.

        Args:
            grads_and_vars: Pairs (gradient, parameter). A gradient may be sparse, an array, or `None` (that parameter is left out, with
                a warning). For a weight of a layer the gradient is in Keras' layout, for a parameter in its own.
            name: Of tf.keras' graph operation, which does not exist here.
            experimental_aggregate_gradients: tf.keras sums over replicas here. Under DistributedDataParallel `backward` has done that, so
                gradients are taken as they are either way.

        Returns:
            The number of updates made.

        Raises:
            ValueError: no pair has a gradient, or a gradient's shape does not fit.
        """
        optimizer = cast("Optimizer", self)
        pairs = list(grads_and_vars)
        missing = [_name_of(variable) for gradient, variable in pairs if gradient is None]
        if len(missing) == len(pairs):
            raise ValueError(f"No gradients provided for any variable: {missing}.")
        if missing:
            warnings.warn(f"Gradients do not exist for variables {missing} when minimizing the loss.", stacklevel=2)
        pairs = [(gradient, variable) for gradient, variable in pairs if gradient is not None]
        optimizer.bind([variable for _, variable in pairs])
        given = [(_fitting(optimizer, gradient, variable), optimizer.border.parameter(variable)) for gradient, variable in pairs]
        params = [param for group in optimizer.param_groups for param in group["params"]]
        before = [param.grad for param in params]
        try:
            for param in params:
                param.grad = None
            for gradient, param in given:
                param.grad = gradient
            optimizer.step()
        finally:
            for param, gradient in zip(params, before, strict=True):
                param.grad = gradient
        return optimizer.iterations

    def minimize(self: Any, loss: Callable[[], Tensor] | Tensor, var_list: Any, grad_loss: Tensor | None = None, name: str | None = None) -> Counter:
        """Differentiate a loss and make one update.

        Args:
            loss: A loss, or a function without arguments that computes it.
            var_list: The parameters, or a function that gives them.
            grad_loss: The gradient of what follows with respect to `loss`; 1 where `None`.
            name: Of tf.keras' graph operation, which does not exist here.

        Returns:
            The number of updates made.
        """
        if callable(loss):
            with torch.enable_grad():
                loss = loss()
        variables = list(var_list() if callable(var_list) else var_list)
        return self.apply_gradients(zip(_gradients(self, loss, variables, grad_loss), variables, strict=True), name)

    def get_gradients(self: Any, loss: Tensor, params: Sequence[Any]) -> list[Tensor]:
        """The clipped gradients of a loss with respect to parameters; for weights of layers in Keras' layout.

        Raises:
            ValueError: the loss does not depend on a parameter.
        """
        optimizer = cast("Optimizer", self)
        gradients = _gradients(optimizer, loss, params, None)
        for gradient, variable in zip(gradients, params, strict=True):
            if gradient is None:
                raise ValueError(
                    f"{_name_of(variable)} has no gradient: the loss does not depend on it, or only through an operation without "
                    "a derivative (argmax, round, detach)."
                )
        given = cast(list[Tensor], gradients)
        return optimizer.clipping([given])[0] if optimizer.clipping.active else given

    def get_updates(self: Any, *args: Any, **kwargs: Any) -> NoReturn:
        """Keras 1 and 2 list graph operations here; there is no graph, so this only says what to call instead.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError(
            f"{type(self).__name__}.get_updates lists operations of a graph, and PyTorch runs at once: call optimizer.minimize(loss, params), "
            "or loss.backward() and optimizer.step(). An optimizer of your own overrides update(bucket, grads, iteration)."
        )


def _gradients(optimizer: Optimizer, loss: Tensor, variables: Sequence[Any], grad_loss: Tensor | None) -> list[Tensor | None]:
    params = [optimizer.border.parameter(variable) for variable in variables]
    found = torch.autograd.grad(loss, params, grad_outputs=grad_loss, allow_unused=True)
    return [grad if grad is None or grad.is_sparse else optimizer.border.to_keras(param, grad) for param, grad in zip(params, found, strict=True)]


def _fitting(optimizer: Optimizer, gradient: Any, variable: Any) -> Tensor:
    """A gradient in its parameter's layout, type and place."""
    param = optimizer.border.parameter(variable)
    gradient = torch.as_tensor(gradient).detach()
    if tuple(gradient.shape) != tuple(variable.shape):
        raise ValueError(
            f"apply_gradients got a gradient of shape {tuple(gradient.shape)} for {_name_of(variable)}, whose shape is {tuple(variable.shape)}."
        )
    gradient = gradient.to(device=param.device, dtype=param.dtype)
    return gradient if gradient.is_sparse or variable is param else optimizer.border.to_torch(param, gradient)


def _name_of(variable: Any) -> str:
    path = getattr(variable, "path", None)
    return f"'{path}'" if isinstance(path, str) else f"a parameter of shape {tuple(variable.shape)}"
