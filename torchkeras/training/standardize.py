"""The door for data: what a user hands in becomes checked tensors, in the order in which the model takes and gives them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor

from torchkeras import config
from torchkeras.preprocessing.ragged import Ragged, is_nested
from torchkeras.training import checks
from torchkeras.training.ahead import note_use
from torchkeras.training.class_weights import combine
from torchkeras.training.disk import Rows, stays_on_disk
from torchkeras.training.ragged import masked_rows, step_weights, weight_rows
from torchkeras.training.tensors import column, flatten, map_leaves, several, to_tensor
from torchkeras.utils.data_utils import unpack_x_y_sample_weight

if TYPE_CHECKING:
    from torchkeras.training.batches import Batch
    from torchkeras.training.compiling import Compiling


class Door:
    """Checks data against a model and puts it in order.

    Args:
        model: Its inputs and outputs decide, and its compiled losses where there are any.
        who: The method that got the data, for messages.
        class_weight: Weights of classes, to be put into the sample weights.
        targets: Whether targets are wanted; `predict` has none.
    """

    def __init__(self, model: Compiling, who: str, class_weight: Any = None, targets: bool = True) -> None:
        self.model, self.who, self.class_weight, self.targets = model, who, class_weight, targets
        self.keeps_rows = False  # whether rows of unequal length are padded batch by batch, later
        self._seen = 0
        note_use()

    # -- what comes in

    def whole(self, x: Any, y: Any, sample_weight: Any) -> Batch:
        """Data that are given all at once."""
        names = self._input_names()
        x = self._in_order(self.read(x, "x", names), names)
        y = self.read(y, "y", None) if self.targets and y is not None else None
        checks.check_lengths([("x", x), ("y", y)])
        checks.check_inputs(self.model, x)
        x = map_leaves(column, x)
        if y is not None:
            y = map_leaves(column, self.targets_in_order(y))
        weight = self.weights(sample_weight, y) if self.targets else None
        self.check_targets(y)
        return x, y, weight

    def batch(self, given: Any) -> Batch:
        """One batch of a stream.

        Raises:
            ValueError: a tuple of the wrong size, or data that do not fit.
        """
        self._seen += 1
        try:
            return self.whole(*self.unpack(given))
        except (ValueError, TypeError) as error:
            error.args = (f"{error.args[0]} (In batch {self._seen} of the data given to {self.who}.)", *error.args[1:])
            raise

    def unpack(self, given: Any) -> tuple[Any, Any, Any]:
        """Inputs, targets and weights of a batch; what was made a list on its way (by a DataLoader) counts as the tuple it was."""
        if isinstance(given, list) and self._is_packed(given):
            given = tuple(given)
        if isinstance(given, tuple) and not 1 <= len(given) <= 3:
            raise ValueError(
                f"A batch given to {self.who} must be (x, y) or (x, y, sample_weight), but got a tuple of {len(given)}. "
                "Give several inputs as a list."
            )
        x, y, sample_weight = unpack_x_y_sample_weight(given)
        compiled = self.model._compiled
        if self.targets and y is None and compiled is not None and compiled.needs_targets:
            raise ValueError(f"A batch given to {self.who} must be (x, y) or (x, y, sample_weight), but got inputs only: {type(given).__name__}.")
        return x, y, sample_weight

    def _is_packed(self, given: list[Any]) -> bool:
        inputs = len(self._input_names() or (0,))
        return len(given) in (1, 2, 3) and (self.targets or len(given) != inputs or inputs == 1)

    def read(self, value: Any, who: str, names: list[str] | None) -> Any:
        """Arrays as tensors, in the structure they came in; arrays on disk stay there."""
        if isinstance(value, Rows):
            return value
        if isinstance(value, Ragged) or is_nested(value):
            rows = value if isinstance(value, Ragged) else Ragged(value)
            return rows if self.keeps_rows else masked_rows(rows)
        if stays_on_disk(value):
            return Rows(value, who)
        if isinstance(value, Mapping):
            return {name: self.read(part, f"{who}[{name!r}]", None) for name, part in value.items()}
        if type(value).__name__ == "DataFrame" and names is not None and len(names) > 1:
            return {name: to_tensor(value[name], f"{who}[{name!r}]") for name in value.columns}
        if several(value):
            parts = [None if part is None else self.read(part, f"{who}[{number}]", None) for number, part in enumerate(value)]
            return parts[0] if len(parts) == 1 else parts
        return to_tensor(value, who)

    # -- order

    def _input_names(self) -> list[str] | None:
        return self.model.input_names if self.model._record_ is not None else None

    def output_names(self, y: Any) -> list[str]:
        """Names of the outputs, counted from the targets where the model does not tell them yet."""
        compiled = self.model._compiled
        if compiled is not None:
            return compiled.names
        if self.model._record_ is not None:
            return self.model.output_names
        return list(y) if isinstance(y, Mapping) else [f"output_{number + 1}" for number in range(max(len(flatten(y)), 1))]

    def _in_order(self, x: Any, names: list[str] | None) -> Any:
        """Inputs given by name, in the model's order."""
        if not isinstance(x, Mapping) or names is None or self.model._input_names_in is not None:
            return x
        missing = [name for name in names if name not in x]
        if missing:
            raise ValueError(
                f"Model '{self.model.name}' has the inputs {names}, but the dict of data has no {missing}. It has {sorted(map(str, x))}."
            )
        ordered = [x[name] for name in names]
        return ordered[0] if len(ordered) == 1 else ordered

    def targets_in_order(self, y: Any) -> Any:
        """Targets in the order of the outputs; `None` for outputs without."""
        compiled = self.model._compiled
        names = self.output_names(y)
        if isinstance(y, Mapping):
            unknown = [name for name in y if name not in names]
            if unknown:
                raise ValueError(f"y has targets for {unknown}, but the model's outputs are {names}.")
            if compiled is not None:
                missing = [name for name, objective in zip(names, compiled.objectives, strict=True) if objective is not None and name not in y]
                if missing:
                    raise ValueError(f"y has no targets for the outputs {missing}. It has {sorted(y)}.")
            y = [y.get(name) for name in names]
            return y[0] if len(y) == 1 else y
        if len(names) == 1 or compiled is None:
            if len(names) == 1 and isinstance(y, list):
                raise ValueError(f"Model '{self.model.name}' has one output, '{names[0]}', but y has {len(y)} arrays.")
            return y
        given = flatten(y)
        trained = [objective is not None for objective in compiled.objectives]
        if len(given) == sum(trained) < len(names):  # Keras 1 and 2 take targets for outputs with a loss only
            left = iter(given)
            given = [next(left) if one else None for one in trained]
        if len(given) != len(names):
            raise ValueError(f"Model '{self.model.name}' has {len(names)} outputs ({', '.join(names)}), but y has {len(given)} arrays.")
        return given

    # -- weights

    def weights(self, sample_weight: Any, y: Any) -> Any:
        """Sample weights with class weights in them: one for each output, or `None` where there are none."""
        if sample_weight is None and self.class_weight is None:
            return None
        if y is None:
            raise ValueError("sample_weight and class_weight need targets: y is missing.")
        names, targets = self.output_names(y), flatten(y)
        given = checks.weights_per_output(weight_rows(sample_weight, targets), names)
        weights: list[Any] = [
            weight if weight is None or isinstance(weight, Ragged) else to_tensor(weight, "sample_weight").to(config.float_dtype())
            for weight in given
        ]
        checks.check_weights(weights, targets, names, self.model._sample_weight_modes)
        if self.class_weight is not None:
            at_hand = [target.read(0, len(target)) if isinstance(target, Rows) else target for target in targets]
            by_step = [target if isinstance(target, Ragged) else None for target in targets]
            flat = [target.values if isinstance(target, Ragged) else target for target in at_hand]
            of_steps: list[Any] = [weight if rows is None else step_weights(weight, rows) for weight, rows in zip(weights, by_step, strict=True)]
            found = combine(flat, of_steps, self.class_weight, names, self._classes(len(names)), whole=self._seen == 0)
            weights = [weight if rows is None or weight is None else rows.like(weight) for weight, rows in zip(found, by_step, strict=True)]
        if all(weight is None for weight in weights):
            return None
        return weights[0] if len(weights) == 1 else weights

    def _classes(self, outputs: int) -> list[int | None]:
        record = self.model._record_
        if record is None:
            return [None] * outputs
        widths = [record.infos[number].shape[-1] for number in record.output_numbers()]
        return [None if width is None else max(width, 2) for width in widths]

    # -- checks that need the compiled losses

    def check_targets(self, y: Any) -> None:
        """Compare targets with outputs and losses, as far as both are known.

        Raises:
            ValueError: NaN, class ids out of range, or a width that does not fit the loss.
        """
        compiled = self.model._compiled
        if y is None or compiled is None:
            return
        targets = [target.values.unsqueeze(0) if isinstance(target, Ragged) else target for target in flatten(y)]
        if self._seen > 1:  # later batches on a device are not waited for
            targets = [target if isinstance(target, Tensor) and target.device.type == "cpu" else None for target in targets]
        checks.check_targets(self.model, compiled, targets)
