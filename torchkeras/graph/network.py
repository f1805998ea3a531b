"""`Network`: a graph of layers, or a user's own `call`, as one layer."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from torchkeras import config, generations
from torchkeras.graph import record as records
from torchkeras.graph.ends import GraphEnds, Symbols
from torchkeras.graph.plan import Plan
from torchkeras.graph.state_names import fit_names
from torchkeras.graph.summary import print_summary
from torchkeras.layers.base import Layer, get_mask
from torchkeras.layers.former_weights import in_form_of_keras1
from torchkeras.layers.input_layer import InputLayer
from torchkeras.layers.naming import module_key, name_of, snake_case, unique_name
from torchkeras.layers.phase import outside, running
from torchkeras.layers.raw_modules import stop_watching
from torchkeras.layers.raw_weights import holders, weights_of
from torchkeras.layers.symbolic import KerasTensor, run_trial, symbolic_leaves
from torchkeras.metrics import Metric
from torchkeras.registry import nearest
from torchkeras.shapes import as_shape


class Network(GraphEnds):
    """A directed graph of layers, itself a layer; or, subclassed, a user's own `call`.

    Args:
        inputs: Symbolic tensor(s) to start from: one, a list, or a dict by name.
        outputs: Symbolic tensor(s) to compute: one, a list, or a dict by name.
        name: Unique name; `None`: made from the class name.
        trainable: Whether the weights of all layers are trained.

    Raises:
        ValueError: a graph that is not connected, or two layers of one name.

    Source: Keras 2.2.4 `keras.engine.network.Network`.
    """

    supports_masking = True
    accepts_integers = True
    resolves_training = True
    hangs_masks = True
    clears_losses = True
    _trained_first = False  # of pickles that say nothing

    def __init__(self, inputs: Any = None, outputs: Any = None, name: str | None = None, trainable: bool = True, **kwargs: Any) -> None:
        super().__init__(name=name or self._automatic_name(inputs is not None), trainable=trainable, **kwargs)
        self._trained_first = generations.choose("model.weights") == "trained first"
        self._record_: records.Record | None = None
        self._plan: Plan | None = None
        self._symbols = Symbols()
        self._refuses_masks = False
        if inputs is not None:
            self._init_graph(inputs, outputs)

    def _automatic_name(self, functional: bool) -> str:
        plain = type(self).__module__.split(".")[0] == __name__.split(".")[0] and type(self).__name__ == "Model"
        prefix = generations.choose("name.functional") if functional and plain else snake_case(type(self).__name__)
        return unique_name(prefix, first_index=1 if prefix in ("functional", "model") and functional else None)

    # -- the graph

    def _init_graph(self, inputs: Any, outputs: Any, added: Sequence[KerasTensor] = ()) -> None:
        inputs_flat, outputs_flat = symbolic_leaves(inputs), symbolic_leaves(outputs)
        self._check_ends(inputs, outputs, inputs_flat, outputs_flat)
        input_layers = [_input_layer_of(tensor) for tensor in inputs_flat]
        nodes, layers = records.sorted_nodes(inputs_flat, outputs_flat)
        layers = [layer for layer in input_layers if layer not in layers] + layers
        beside: dict[nn.Module, None] = {}
        if added:
            nodes, _ = records.sorted_nodes(inputs_flat, [*outputs_flat, *added])
            beside = dict.fromkeys(layer for end in added for layer in records.sorted_nodes(inputs_flat, [end])[1] if layer not in layers)
        keys = self._adopt([*layers, *beside])
        record = records.make_record(inputs_flat, outputs, list(added), keys, nodes)
        record.layer_keys = [keys[layer] for layer in [*layers, *(beside if generations.choose("graph.added_layers") else ())]]
        record.input_keys = [keys[layer] for layer in input_layers]
        self._record_ = record
        self._plan = None
        self._symbols = Symbols(inputs, outputs, added)
        self._input_names_in = list(inputs) if isinstance(inputs, Mapping) else None
        self._to_float = [
            self._modules[key].input_dtype if self._wants_floats(number) else None  # type: ignore[union-attr, misc]
            for key, number in zip(record.input_keys, record.inputs, strict=True)
        ]
        self.built = True
        self._ndim = len(record.infos[record.inputs[0]].shape) if len(record.inputs) == 1 else None
        for module in self.children():
            if not isinstance(module, Layer):
                module.train(self.training)
        stop_watching([*inputs_flat, *outputs_flat, *(tensor for node in nodes for tensor in node.outputs)])

    def _check_ends(self, inputs: Any, outputs: Any, inputs_flat: list[KerasTensor], outputs_flat: list[KerasTensor]) -> None:
        if outputs is None:
            raise ValueError(f"Model '{self.name}' got inputs but no outputs. Give both, or neither in a subclass.")
        for what, structure, flat in (("inputs", inputs, inputs_flat), ("outputs", outputs, outputs_flat)):
            parts = structure if isinstance(structure, (list, tuple)) else list(structure.values()) if isinstance(structure, Mapping) else [structure]
            wrong = [part for part in parts if not symbolic_leaves(part)]
            if wrong or not flat:
                got = type(wrong[0]).__name__ if wrong else "nothing"
                raise ValueError(f"The {what} of model '{self.name}' must be symbolic tensors, made by Input() and layers, but got {got}.")
        if len({id(tensor) for tensor in inputs_flat}) != len(inputs_flat):
            raise ValueError(f"The list of inputs passed to model '{self.name}' is redundant: the same tensor stands in it twice.")

    def _adopt(self, layers: list[nn.Module]) -> dict[nn.Module, str]:
        """Register layers as children under their names."""
        keys: dict[nn.Module, str] = {}
        taken: dict[str, nn.Module] = {}
        for layer in layers:
            key = module_key(name_of(layer))
            if key in taken and taken[key] is not layer:
                raise ValueError(
                    f"The name '{key}' is used 2 times in model '{self.name}'. All layer names should be unique: give name= to one of the layers."
                )
            taken[key] = layer
            keys[layer] = key
        for key, layer in taken.items():
            self._modules[key] = layer
        return keys

    def _wants_floats(self, number: int) -> bool:
        """Whether an input of integers is to be cast: it was declared as floats, and not only layers that mean integers take it."""
        record = self._graph()
        if not record.infos[number].dtype.is_floating_point:
            return False
        users = [self._modules[step.key] for step in record.steps if number in step.inputs]
        return not users or not all(_takes_integers(module) for module in users)

    @property
    def is_graph_network(self) -> bool:
        """Whether the model is a graph of layers, not a user's own `call`."""
        return self._record_ is not None

    _is_graph_network = is_graph_network

    # -- running

    def build(self, input_shape: Any = None) -> None:
        """Make all weights of a subclassed model for an input shape.

        Args:
            input_shape: Shape with the batch axis, `None` where unknown; a list or dict of shapes for several inputs.

        Raises:
            ValueError: no shape, or `call` cannot be run on inputs of it.
        """
        if self._record_ is not None:
            return
        if input_shape is None:
            raise ValueError(f"Model '{self.name}' needs a shape to be built: give input_shape, with the batch axis first, or call it on data.")
        several = isinstance(input_shape, list) and input_shape and isinstance(input_shape[0], (list, tuple))
        dtype = config.float_dtype()
        if isinstance(input_shape, Mapping):
            inputs: Any = {name: KerasTensor.placeholder(as_shape(shape), dtype) for name, shape in input_shape.items()}
        elif several:
            inputs = [KerasTensor.placeholder(as_shape(shape), dtype) for shape in input_shape]
        else:
            inputs = KerasTensor.placeholder(as_shape(input_shape), dtype)
        self._infer((inputs,), self.fill({}, None))
        self.built = True

    def build_now(self, input_shape: Any, device: torch.device | None = None) -> None:
        """Before the first call: run a `build` that the user wrote; layers inside make their weights as they are called."""
        if type(self).build is not Network.build:
            super().build_now(input_shape, device)
        self.built = True

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Run the graph.

        Args:
            inputs: A tensor, a list in the order of `inputs`, or a dict by input name.
            training: Mode of all layers for this call; `None`: the one they are in.
            mask: Mask(s) of the input(s).
        """
        record = self._graph()
        flat = self._flat_inputs(inputs)
        if self._plan is None:
            self._plan = Plan(record, self._modules)
        for number, dtype in enumerate(self._to_float):
            if dtype is not None and not flat[number].is_floating_point():
                flat[number] = flat[number].to(dtype)  # type: ignore[arg-type]
        if self._loss_layers and outside():  # within another model the losses of each call count
            self.clear_losses()
            with running(self.training if training is None else bool(training)):
                return self._run(flat, mask, training)
        return self._run(flat, mask, training)

    def _run(self, flat: list[Tensor], mask: Any, training: bool | None = None) -> Any:
        if training is not None:
            with self.mode(training):
                return self._run(flat, mask)
        plan = self._plan
        assert plan is not None
        if plan.masked or mask is not None:
            masks = mask if isinstance(mask, (list, tuple)) else [mask] * len(flat) if mask is None or len(flat) == 1 else [mask]
            return plan.run_masked(self._modules, flat, list(masks))
        return plan.run(self._modules, flat)

    def prepare(self, inputs: Any) -> None:
        super().prepare(inputs)
        if self._record_ is None and not all(layer.built for layer in self.sublayers()):
            run_trial(self._trial_call, (inputs,), self.fill({}, None), 0)  # layers inside make their weights
        if self._record_ is not None and self._plan is None:
            self._plan = Plan(self._record_, self._modules)

    def _is_prepared(self) -> bool:
        if self._record_ is None:
            return super()._is_prepared() and all(layer.built for layer in self.sublayers())
        return super()._is_prepared() and self._plan is not None

    def _flat_inputs(self, inputs: Any) -> list[Tensor]:
        record = self._graph()
        if isinstance(inputs, Tensor):
            flat = [inputs]
        elif isinstance(inputs, Mapping):
            names = self._input_names_in or self.input_names
            missing = [name for name in names if name not in inputs]
            if missing:
                raise ValueError(f"Model '{self.name}' needs the inputs {names}, but the dict has no {missing}. It has {sorted(inputs)}.")
            flat = [inputs[name] for name in names]
        else:
            flat = list(inputs)
        if len(flat) != len(record.inputs):
            raise ValueError(
                f"Model '{self.name}' has {len(record.inputs)} inputs ({', '.join(record.input_keys)}), but it was called with {len(flat)}."
            )
        return flat

    @property
    def _loss_layers(self) -> bool:
        found = self.__dict__.get("_has_loss_layers")
        if found is None:
            found = self.__dict__["_has_loss_layers"] = any(
                layer.activity_regularizer is not None or layer._call_losses or layer._call_metrics or _adds_by_itself(layer)
                for layer in self.sublayers()
            )
        return found

    @contextlib.contextmanager
    def mode(self, training: bool) -> Iterator[None]:
        """All layers in training or inference mode inside a `with` block."""
        modules = [module for module in self.modules() if module.training is not training]
        for module in modules:
            module.training = training
        try:
            yield
        finally:
            for module in modules:
                module.training = not training

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        if self._record_ is None:
            return None  # a user's own `call`: the masks that its layers hang on its outputs are there already
        output = self.call(inputs, mask=mask)
        return get_mask(output)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._masks_itself = False  # masks hang on the outputs
        if "call" in cls.__dict__ and "hangs_masks" not in cls.__dict__:  # a `call` of its own may leave masks out
            cls.hangs_masks = False

    # -- children

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:  # type: ignore[override]
        if self._record_ is not None or self._modules:
            fit_names(state_dict, prefix, self._modules)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _TOLD_BY_COMPILE:  # a torch loss is no layer of the model, though it is a module
            object.__setattr__(self, name, value)
            return
        if isinstance(value, nn.Module):
            self.__dict__["_plan"] = None  # another layer may be called in another way
        super().__setattr__(name, value)

    @property
    def layers(self) -> list[nn.Module]:
        """The layers in Keras' order."""
        if self._record_ is not None:
            return [self._modules[key] for key in self._record_.layer_keys]  # type: ignore[misc]
        found: list[nn.Module] = []
        for module in self.children():
            if isinstance(module, (nn.ModuleList, nn.ModuleDict)):
                found += list(module.children())
            elif not isinstance(module, Metric):
                found.append(module)
        return found

    def get_layer(self, name: str | None = None, index: int | None = None) -> nn.Module:
        """A layer by its name or its index in `layers`.

        Raises:
            ValueError: there is none.
        """
        layers = self.layers
        if index is not None:
            if not -len(layers) <= index < len(layers):
                raise ValueError(f"Was asked to retrieve layer at index {index} but model '{self.name}' only has {len(layers)} layers.")
            return layers[index]
        if name is None:
            raise ValueError("Provide either a layer name or layer index.")
        for layer in layers:
            if name_of(layer) == name:
                return layer
        raise ValueError(f"No such layer: {name!r} in model '{self.name}'. {nearest(name, map(name_of, layers))}")

    def _weighted_layers(self) -> list[Any]:
        if self._record_ is None:
            return super()._weighted_layers()
        found: dict[Any, None] = {}
        for layer in self.layers:
            for holder in layer._weighted_layers() if isinstance(layer, Layer) else holders(layer, name_of(layer)):
                found.setdefault(holder)
        return list(found)

    @property
    def stored_weights(self) -> list[Any]:
        """A view of each weight that is stored, in the order of Keras' files: what is trained now stands first."""
        return list({view.identity: view for view in super().stored_weights}.values())

    @property
    def weights(self) -> list[Any]:
        """Keras-layout views of all weights: layer by layer in tf.keras; in Keras 1 and 2 what is trained (but for `trainable = False` of the whole
        model) stands first, while `get_weights()` goes layer by layer."""
        if not self._trained_first:
            return self._in_order()
        return in_form_of_keras1(self.weights_as_frozen())

    def weights_as_frozen(self) -> list[Any]:
        """A view of each weight that is stored, in the order of weights-only files: to Keras 1 and 2 the layers of a model that is frozen as a
        whole are not frozen themselves."""
        if self._trainable or not self._trained_first:
            return self.stored_weights
        return [view for trained in (True, False) for part in self._weighted_layers() for view in part.own_weights(trainable=trained)]

    def _in_order(self, keras1: bool | None = None) -> list[Any]:
        found: dict[Any, Any] = {}
        for layer in self.layers:
            for view in self._of_layer(layer, keras1) if isinstance(layer, Layer) else weights_of(layer, name_of(layer)):
                found.setdefault(view.identity, view)
        if self._record_ is None:
            for view in in_form_of_keras1(self.stored_weights, keras1):
                found.setdefault(view.identity, view)
        return list(found.values())

    def _of_layer(self, layer: Layer, keras1: bool | None) -> list[Any]:
        if isinstance(layer, Network) and not layer._trained_first:
            return layer._in_order(keras1)
        return layer.weights if keras1 is None else in_form_of_keras1(layer.stored_weights, keras1)

    variables = weights

    @property
    def state_updates(self) -> list[Any]:
        """Always empty: layers change their state as they run."""
        return []

    @property
    def stateful(self) -> bool:  # type: ignore[override]
        """Whether any layer keeps a state across batches."""
        return any(getattr(layer, "stateful", False) for layer in self.layers)

    @stateful.setter
    def stateful(self, value: bool) -> None:
        pass  # set by Layer.__init__; a network is stateful through its layers

    def reset_states(self) -> None:
        """Forget the states of all stateful layers."""
        for layer in self.layers:
            if getattr(layer, "stateful", False) and hasattr(layer, "reset_states"):
                layer.reset_states()  # type: ignore[operator]

    def summary(self, line_length: int | None = None, positions: list[float] | None = None, print_fn: Callable[[str], Any] | None = None) -> None:
        """Print a table of the layers with their output shapes and numbers of parameters.

        Args:
            line_length: Width in characters; `None`: 65, or 98 where the graph branches.
            positions: Where the columns end, as fractions of the width or as characters.
            print_fn: Called with each line, instead of `print`.

        Raises:
            ValueError: the model is not built.
        """
        if not self.built:
            raise ValueError(f"Model '{self.name}' has not been built yet. Call it on data or by fit(), or give the first layer an input_shape.")
        print_summary(self, line_length, positions, print_fn)


_TOLD_BY_COMPILE = {"loss", "_compile_arguments"}


def _adds_by_itself(layer: Layer) -> bool:
    """Whether calls of a layer may add losses: those of users' classes may."""
    return layer.adds_losses or type(layer).__module__.split(".")[0] != __name__.split(".")[0]


def _takes_integers(module: nn.Module | None) -> bool:
    return isinstance(module, nn.Embedding) or bool(getattr(module, "accepts_integers", False))


def _input_layer_of(tensor: KerasTensor) -> InputLayer:
    """The input layer of a tensor; a new one where the graph is cut at what another layer made."""
    if tensor.keras_history is not None and isinstance(tensor.keras_history[0], InputLayer):
        return tensor.keras_history[0]
    layer = InputLayer(batch_input_shape=tuple(tensor.shape), dtype=tensor.dtype)
    layer.supports_masking = True
    return layer
