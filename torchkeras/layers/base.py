"""`Layer`: an nn.Module that finds its own input shape and speaks Keras at the border."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.compiler import is_compiling
from typing_extensions import Self

from torchkeras import config, generations, regularizers
from torchkeras.layers.border import KerasBorder
from torchkeras.layers.building import built_by_hand
from torchkeras.layers.casting import holds_text, no_data, to_tensors
from torchkeras.layers.config import admitted, base_config, signature_config
from torchkeras.layers.history import History
from torchkeras.layers.input_spec import check_inputs
from torchkeras.layers.late_calls import in_late_call
from torchkeras.layers.legacy import keras1_arguments
from torchkeras.layers.loss_collector import LossCollector, Transient, losses_count
from torchkeras.layers.masks import get_mask, has_mask, set_mask, symbolic_masks
from torchkeras.layers.naming import snake_case, unique_name
from torchkeras.layers.nodes import Node
from torchkeras.layers.phase import fixed, mode_for, outside, running, with_phase
from torchkeras.layers.raw_modules import watch_modules
from torchkeras.layers.scopes import Scopes
from torchkeras.layers.symbolic import KerasTensor, real_tensors, run_trials, shape_of, shapes_text, symbolic_leaves
from torchkeras.layers.under_way import told
from torchkeras.layers.unhooked import is_unhooked
from torchkeras.ops.whole_batch import whole
from torchkeras.registry import Registry, nearest
from torchkeras.shapes import Shape, as_shape

layer_registry = Registry("layer")
_module_call = nn.Module.__call__
_BASE_ARGUMENTS = ("input_shape", "batch_input_shape", "batch_size", "input_dim", "weights", "activity_regularizer", "input_dtype")


class Layer(History, LossCollector, KerasBorder, Scopes):
    """Base of all layers: an nn.Module with lazy building, Keras weights, masks and configs.

    Subclasses write `__init__` (check and store), `build(input_shape)` (make weights) and `call(inputs, ...)` (compute);
    `forward` is the same function as `call`.

    Args:
        trainable: Whether its weights are trained.
        name: Unique name; `None`: made from the class name.
        dtype: Float type of its weights; `None`: `floatx()`.
        dynamic: Accepted for Keras' sake: all layers run eagerly.
        **kwargs: `input_shape`, `batch_input_shape`, `batch_size`, `input_dim` (the shape of the first layer's input),
            `weights` (initial values, in the order of `get_weights()`), `activity_regularizer`.

    Source: Keras 2.2.4 `keras.engine.Layer`, tf.keras 2.4.0 `Layer`.
    """

    supports_masking: bool = False
    # what the class says of itself
    accepts_integers: ClassVar[bool] = False  # integer inputs are meant as they are (token ids); otherwise they are cast to floats
    resolves_training: ClassVar[bool] = False  # `call` replaces training=None by self.training itself
    hangs_masks: ClassVar[bool] = False  # `call` hangs the masks on its outputs itself
    masks_inputs: bool = False  # `compute_mask` makes a mask of one input that has none, and `call` needs none
    masks_follow_masks: ClassVar[bool] = False  # `compute_mask` makes no mask where none came, although the class overrides it
    runs_chain: ClassVar[Callable[..., Any] | None] = None  # runs several layers in a row at once; such a layer can be one of them
    heads_chain: ClassVar[bool] = False  # such a layer can stand before them
    config_omits: ClassVar[tuple[str, ...]] = ()  # arguments of __init__ that are not in the config
    _builds: bool = False  # whether `build` is under way
    # found out when a class is made
    _takes_training: ClassVar[bool] = False
    _takes_mask: ClassVar[bool] = False
    _masks_itself: ClassVar[bool] = False
    _checks_inputs: ClassVar[bool] = False  # a user's code need not fail where the input does not fit `input_spec`
    call: Callable[..., Any]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = cls.__dict__
        foreign = cls.__module__.split(".")[0] != __name__.split(".")[0]
        written = own.get("forward", own.get("call"))
        if "forward" in own and "call" not in own:
            cls.call = own["forward"]
        if written is not None:
            # a user's code may ask for the learning phase instead of taking `training`
            cls.forward = with_phase(written) if foreign else written  # type: ignore[method-assign]
        function = getattr(cls, "call", None)
        if function is not None:
            parameters = inspect.signature(function).parameters
            cls._takes_training = "training" in parameters
            cls._takes_mask = "mask" in parameters
        cls._masks_itself = cls.compute_mask is not Layer.compute_mask and not cls.masks_follow_masks
        if not foreign:
            keras1_arguments(cls)
            if "build" in own and cls.__module__.split(".")[1] == "layers":
                cls.build = built_by_hand(own["build"])  # type: ignore[method-assign]
        if foreign:
            cls.resolves_training = own.get("resolves_training", False)
            if cls.hangs_masks and "hangs_masks" not in own and (written is not None or "compute_mask" in own):
                cls.hangs_masks = False  # what was written anew may leave the masks out, or make others
            cls._tracks_containers = cls._checks_inputs = True
            cls.clears_losses = True

    def __init__(self, trainable: bool = True, name: str | None = None, dtype: Any = None, dynamic: bool = False, **kwargs: Any) -> None:
        unknown = sorted(set(kwargs) - set(_BASE_ARGUMENTS))
        if unknown:
            known = [p for p in inspect.signature(type(self).__init__).parameters if p not in ("self", "kwargs", "args")] + list(_BASE_ARGUMENTS)
            raise TypeError(f"{type(self).__name__} got an unexpected keyword argument {unknown[0]!r}. {nearest(unknown[0], known)}")
        super().__init__()
        self.training = False  # as in Keras: inference until fit() or train() says otherwise
        self.name = name or unique_name(snake_case(type(self).__name__))
        self.built = False
        self.dynamic = dynamic
        self.stateful = False
        self.input_spec: Any = None
        self._trainable = bool(trainable)
        self._dtype = dtype
        self._weight_specs = {}
        self._build_device = None
        self._direct = False
        self._ndim: int | None = None
        self._call_losses = Transient()
        self._callable_losses = []
        self._call_metrics = Transient()
        self._initial_weights = kwargs.get("weights")
        self._refuses_masks = generations.choose("mask.unsupported") == "raise"
        if generations.choose("weights.keras1_form"):
            self._keras1_form = True
        self._activity_by_batch = generations.choose("activity.divide_by_batch")
        self._call_losses_first = generations.choose("losses.call_first")
        self._batch_input_shape = _batch_input_shape(kwargs)
        self.activity_regularizer = regularizers.get(kwargs.get("activity_regularizer"))
        if self.activity_regularizer is not None:
            self.register_forward_hook(_add_activity_loss)

    # -- what subclasses write

    @built_by_hand
    def build(self, input_shape: Any) -> None:
        """Make the weights. Called once, before the first call; a layer that holds others may call theirs.

        Args:
            input_shape: Shape of the input with its batch axis (`None`: unknown), or a list of shapes.
        """

    def call(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:  # type: ignore[no-redef]
        """Compute the output."""
        return inputs

    forward = call  # type: ignore[assignment]

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The mask that goes on with the output.

        Raises:
            TypeError: a mask came to a layer that does not support masking (Keras 1 and 2; tf.keras drops it).
        """
        if self.supports_masking:
            return mask
        if has_mask(mask) and self._refuses_masks:
            raise TypeError(
                f"Layer '{self.name}' does not support masking, but was passed an input mask. Remove the mask with a Lambda layer before it."
            )
        return None

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Shape of the output for a shape (or list of shapes) of the input, `None` where unknown."""
        layer = self if self.built else copy.deepcopy(self)
        several = isinstance(input_shape, list) and input_shape and isinstance(input_shape[0], (list, tuple))
        shapes = [as_shape(shape) for shape in (input_shape if several else [input_shape])]
        dtype = torch.int64 if self.accepts_integers else config.float_dtype()
        placeholders = [KerasTensor.placeholder(shape, dtype) for shape in shapes]
        inputs = placeholders if several else placeholders[0]
        layer.ensure_built(inputs)
        return shape_of(run_trials(layer._trial_call, (inputs,), {}))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this layer again, as plain data."""
        return {**base_config(self), **signature_config(self)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        """Make a layer from `get_config()`.

        Raises:
            UnsafeConfigError: the config brings code, or names an object that is neither the library's nor the caller's.
        """
        return cls(**admitted(config))

    # -- the door

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        state = self.__dict__  # nn.Module has a __getattr__, which makes each look-up by `self` three times as long
        if state.get("_direct") and len(args) == 1 and not kwargs and fixed[0] is None:
            inputs = args[0]
            if (type(inputs) is Tensor and inputs.dim() == state["_ndim"] and getattr(inputs, "_keras_mask", None) is None) or (
                type(inputs) is list and state["_ndim"] is None and _all_plain(inputs)
            ):
                if self._checks_inputs and self.input_spec is not None:
                    check_inputs(self.name, self.input_spec, shape_of(inputs))
                try:
                    output = self.forward(inputs) if is_unhooked(state) else _module_call(self, inputs)
                except (RuntimeError, IndexError):
                    check_inputs(self.name, self.input_spec, shape_of(inputs))
                    raise
                if self.masks_inputs:
                    output._keras_mask = self.compute_mask(inputs)
                return output
        return self._enter(args, kwargs)

    def _enter(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if "training" in kwargs and not self._takes_training:
            return self._enter_in_mode(args, **kwargs)
        if fixed[0] is not None and kwargs.get("training") is None and outside():
            return self._enter_in_mode(args, **{**kwargs, "training": bool(fixed[0])})
        if symbolic_leaves((args, kwargs)):
            late = in_late_call(self.__call__, args, kwargs)
            return self._record(args, kwargs) if late is None else late[0]
        args = tuple(to_tensors(arg, keep_integers=self.accepts_integers) for arg in args)
        if kwargs.get("mask") is not None:
            kwargs["mask"] = to_tensors(kwargs["mask"], keep_integers=True)
        inputs = args[0] if args else next(iter(kwargs.values()), None)
        if inputs is None and self.input_spec is not None:
            raise TypeError(f"Layer '{self.name}' ({type(self).__name__}) needs an input, but got {None if args else 'nothing'}.")
        self.ensure_built(inputs)
        if not is_compiling():
            self._direct = self._goes_straight(inputs)
        check_inputs(self.name, self.input_spec, shape_of(inputs) if self.input_spec is not None else None)
        masks = kwargs.get("mask")
        if "mask" not in kwargs and (self.supports_masking or self._masks_itself or self._refuses_masks):
            masks = get_mask(inputs)
        output = _module_call(self, *args, **self.fill(kwargs, masks))
        if has_mask(masks) or self._masks_itself:
            self._hand_on_mask(output, inputs, masks)
        return output

    def _enter_in_mode(self, args: tuple[Any, ...], training: bool | None, **kwargs: Any) -> Any:
        """`training` for a `call` that does not take it, or that nobody gave: as in tf.keras, it is the mode of the layers inside."""
        if self.clears_losses and outside():
            self.clear_losses()
        modules = [] if training is None else [module for module in self.modules() if module.training is not bool(training)]
        for module in modules:
            module.training = bool(training)
        try:
            with running(self.training):
                return self._enter(args, kwargs)
        finally:
            for module in modules:
                module.training = not training

    def _hand_on_mask(self, output: Any, inputs: Any, masks: Any) -> None:
        if self.hangs_masks:  # it is done; a model would run a second time to tell
            return
        if not has_mask(get_mask(output)) or output is inputs:  # a layer inside may have hung one there
            set_mask(output, self.compute_mask(inputs, masks))

    def train(self, mode: bool = True) -> Self:
        """Switch this layer and all inside to training or inference mode; in Keras 1 and 2, a phase fixed by K.set_learning_phase stays."""
        mode = mode_for(mode)
        if self._modules or not isinstance(mode, bool):
            return super().train(mode)
        object.__setattr__(self, "training", mode)  # most layers hold no others, and a fit comes here three times for each
        return self

    def fill(self, kwargs: dict[str, Any], masks: Any) -> dict[str, Any]:
        """The keyword arguments of `call` with `mask` and `training` filled in where the caller left them out."""
        filled = dict(kwargs)
        if self._takes_mask and "mask" not in filled and has_mask(masks):
            filled["mask"] = masks
        if self._takes_training and not self.resolves_training and filled.get("training") is None:
            filled["training"] = self.training
        return filled

    def _may_go_straight(self) -> bool:
        """Whether a call on one plain tensor, or on a list of them, needs nothing but the kernel."""
        return self.built and (self.masks_inputs or not self._masks_itself) and (self.resolves_training or not self._takes_training)

    def _goes_straight(self, inputs: Any) -> bool:
        return self._may_go_straight() and (self._ndim is not None or isinstance(inputs, list))

    def ensure_built(self, inputs: Any) -> None:
        """Make the weights for these inputs, unless that was done.

        Raises:
            ValueError: the input does not fit `input_spec`.
            TypeError: the input is no data, but a text, say.
        """
        if self.built:
            if self._ndim is None and isinstance(inputs, Tensor):
                self._ndim = inputs.dim()
            elif not self._checks_inputs and holds_text(inputs):  # a user's class may take them
                raise no_data(self.name, inputs)
            return
        try:
            shapes = shape_of(inputs) if inputs is not None else None
        except AttributeError:
            raise no_data(self.name, inputs) from None
        check_inputs(self.name, self.input_spec, shapes)
        leaves = [leaf for leaf in (inputs if isinstance(inputs, (list, tuple)) else [inputs]) if isinstance(leaf, Tensor)]
        device = next((leaf.device for leaf in leaves if leaf.device.type != "meta"), None)
        self.build_now(shapes, device)
        self._ndim = inputs.dim() if isinstance(inputs, Tensor) else None

    def prepare(self, inputs: Any) -> None:
        """Do all that the first call does beside computing."""
        self.ensure_built(inputs)
        self._direct = self._goes_straight(inputs)

    def _is_prepared(self) -> bool:
        return self.built and (self._direct or not self._may_go_straight())

    def _infer_parameters(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None) -> None:
        """Of torch's protocol for lazy modules: torch.compile calls it before it traces."""
        self.prepare(args[0] if args else next(iter((kwargs or {}).values()), None))

    def build_now(self, input_shape: Any, device: torch.device | None = None) -> None:
        """Run `build` and put in the initial weights, on a device (`None`: the default one)."""
        self._build_device, self._builds = device, True
        try:
            with real_tensors():
                self.build(input_shape)
        finally:
            self._builds = False
        self._now_built()

    def _now_built(self) -> None:
        self.built = True
        if self._initial_weights is not None:
            self.set_weights(self._initial_weights)
            self._initial_weights = None

    def _record(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call on symbolic tensors: build, find the output's shape, remember the node."""
        inputs = args[0] if args else next(iter(kwargs.values()), None)
        self.ensure_built(inputs)
        check_inputs(self.name, self.input_spec, shape_of(inputs) if self.input_spec is not None else None)
        masks = kwargs["mask"] if "mask" in kwargs else symbolic_masks(inputs)
        structure = self._infer(args, self.fill(kwargs, masks))
        if not symbolic_leaves(structure):
            raise ValueError(
                f"call() of layer '{self.name}' ({type(self).__name__}) gave {structure!r:.80} for a symbolic input; a graph needs tensors. "
                "Does it return its result?"
            )
        Node(self, args, kwargs, structure)
        watch_modules(symbolic_leaves(structure))
        if (has_mask(masks) or self._masks_itself) and not has_mask([leaf.keras_mask for leaf in symbolic_leaves(structure)]):
            set_mask(structure, run_trials(self.compute_mask, (inputs, masks), {}))
        return structure

    def _declares_shape(self) -> bool:
        """Whether the class has a `compute_output_shape` of its own, for where its code cannot be run on meta tensors."""
        return type(self).compute_output_shape is not Layer.compute_output_shape

    def _infer(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        try:
            return run_trials(self._trial_call, args, kwargs)
        except Exception as error:
            if self._declares_shape():
                shape = self.compute_output_shape(shape_of(args[0]))
                if shape is not None:
                    several = isinstance(shape, list) and shape and isinstance(shape[0], (list, tuple))
                    made = [KerasTensor.placeholder(as_shape(one), config.float_dtype()) for one in (shape if several else [shape])]
                    return made if several else made[0]
            if isinstance(error, (ValueError, TypeError)):
                raise
            raise ValueError(
                f"Layer '{self.name}' ({type(self).__name__}) could not be run on inputs of shape {shapes_text((args, kwargs))}: "
                f"{told(error, self)}. Check the shapes; where call() needs real values, write compute_output_shape()."
            ) from error

    def _trial_call(self, *args: Any, **kwargs: Any) -> Any:
        was = self.training
        self.training = False
        try:
            return _module_call(self, *args, **kwargs)
        finally:
            self.training = was

    def __getattr__(self, name: str) -> Any:
        state = self.__dict__
        # the order of likelihood: this runs at every `self.weight`
        for table in ("_parameters", "_modules", "_buffers"):
            if table in state and name in state[table]:
                return state[table][name]
        spec = state.get("_weight_specs", {}).get(name)
        if spec is not None and spec.attribute != name:
            return self.keras_view(name)
        if name == "_initialize_hook" and not self._is_prepared():
            return True  # torch's protocol for lazy modules
        descriptor = inspect.getattr_static(type(self), name, None)
        if isinstance(descriptor, property) and descriptor.fget is not None:
            return descriptor.fget(self)  # raised AttributeError before: again, for its message
        return super().__getattr__(name)

    def extra_repr(self) -> str:
        return f"name={self.name!r}"


def _all_plain(inputs: list[Any]) -> bool:
    """Whether all are tensors that carry no mask."""
    for one in inputs:  # noqa: SIM110 - a generator takes longer to set up than to run
        if type(one) is not Tensor or getattr(one, "_keras_mask", None) is not None:
            return False
    return True


def _batch_input_shape(kwargs: Mapping[str, Any]) -> Shape | None:
    if kwargs.get("batch_input_shape") is not None:
        return as_shape(kwargs["batch_input_shape"])
    shape = kwargs.get("input_shape")
    if shape is None and kwargs.get("input_dim") is not None:
        shape = (kwargs["input_dim"],)
    return None if shape is None else (kwargs.get("batch_size"), *as_shape(shape))


def _add_activity_loss(layer: nn.Module, args: Any, output: Any) -> None:
    if not losses_count() or not isinstance(layer, Layer) or layer.activity_regularizer is None:
        return
    if not layer.clears_losses and outside():  # else its `call` did so
        layer._call_losses.clear()
    for part in output if isinstance(output, (list, tuple)) else [output]:
        loss = layer.activity_regularizer(part)
        layer._call_losses.append(loss / part.shape[0] if layer._activity_by_batch else loss * whole.scale if whole.active else loss)


__all__ = ["Layer", "get_mask", "has_mask", "layer_registry", "set_mask"]
