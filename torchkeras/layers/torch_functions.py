"""The torch functions that a recorded graph may name in a config: a closed table, in both directions.

All of them take tensors and give tensors, change nothing in place and reach no file, device or Python code, whatever arguments a
file gives them. Other functions are recorded all the same; only a config cannot say them.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from torchkeras.registry import nearest


def _words(text: str) -> list[str]:
    return text.split()


_POINTWISE = _words("""
abs absolute acos acosh add addcdiv addcmul angle asin asinh atan atan2 atanh bitwise_and bitwise_not bitwise_or bitwise_xor ceil clamp clamp_max
clamp_min clip conj copysign cos cosh deg2rad digamma div divide eq erf erfc erfinv exp exp2 expm1 fix float_power floor floor_divide fmax fmin
fmod frac ge greater greater_equal gt heaviside hypot isclose isfinite isinf isnan le lerp less less_equal lgamma log log10 log1p log2 logaddexp
logical_and logical_not logical_or logical_xor logit lt masked_fill maximum minimum mul multiply nan_to_num ne neg negative not_equal positive pow
rad2deg reciprocal relu remainder round rsqrt sigmoid sign signbit sin sinc sinh sqrt square sub subtract tan tanh true_divide trunc where xlogy
""")
_REDUCTIONS = _words("""
all amax amin aminmax any argmax argmin argsort count_nonzero cummax cummin cumprod cumsum diff dist kthvalue log_softmax logcumsumexp logsumexp
max mean median min mode nanmean nansum norm prod quantile softmax sort std sum topk var
""")
_SHAPES = _words("""
broadcast_to chunk clone diag diag_embed diagonal flatten flip fliplr flipud gather index_add index_copy index_fill index_put index_select
movedim moveaxis narrow permute ravel repeat_interleave reshape roll rot90 scatter scatter_add select split squeeze swapaxes swapdims t take
take_along_dim tensor_split tile transpose tril triu unbind unflatten unsqueeze detach
""")
_PRODUCTS = _words("addbmm addmm addmv baddbmm bmm cross dot inner kron matmul mm mv outer trace bernoulli multinomial")
_TORCH_ONLY = _words("""
atleast_1d atleast_2d atleast_3d block_diag broadcast_tensors bucketize cat cdist column_stack concat concatenate cosine_similarity dropout dstack
einsum empty_like full_like hstack meshgrid ones_like pairwise_distance rand_like randn_like rms_norm row_stack rsub searchsorted selu celu
stack std_mean tensordot var_mean vstack zeros_like group_norm layer_norm prelu pixel_shuffle pixel_unshuffle channel_shuffle
""")
_METHODS_ONLY = _words("""
__abs__ __add__ __and__ __div__ __eq__ __floordiv__ __ge__ __getitem__ __gt__ __invert__ __le__ __lt__ __matmul__ __mod__ __mul__ __ne__ __neg__
__or__ __pow__ __radd__ __rand__ __rdiv__ __rfloordiv__ __rmatmul__ __rmod__ __rmul__ __ror__ __rpow__ __rsub__ __rtruediv__ __rxor__ __sub__
__truediv__ __xor__ bfloat16 bool contiguous double expand expand_as float half int long new_full new_ones new_zeros new_empty repeat reshape_as
short sum_to_size to type_as unfold view view_as
""")
_FUNCTIONAL = _words("""
adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d alpha_dropout avg_pool1d
avg_pool2d avg_pool3d batch_norm celu conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d cosine_similarity dropout dropout1d
dropout2d dropout3d elu embedding feature_alpha_dropout fold gelu glu grid_sample group_norm gumbel_softmax hardshrink hardtanh
instance_norm interpolate layer_norm leaky_relu linear local_response_norm log_softmax logsigmoid lp_pool1d lp_pool2d max_pool1d
max_pool2d max_pool3d mish normalize one_hot pad pairwise_distance pixel_shuffle pixel_unshuffle prelu relu relu6 rms_norm rrelu
scaled_dot_product_attention selu silu softmax softmin softplus softshrink softsign tanhshrink threshold unfold
binary_cross_entropy binary_cross_entropy_with_logits cross_entropy huber_loss kl_div l1_loss mse_loss nll_loss smooth_l1_loss
""")
_LINALG = _words("cross det inv matmul matrix_norm multi_dot norm pinv slogdet solve svdvals vecdot vector_norm")
_FFT = _words("fft fft2 fftn fftshift hfft ifft ifft2 ifftn ifftshift ihfft irfft irfft2 irfftn rfft rfft2 rfftn")
_ATTRIBUTES = _words("T mT H mH real imag")
# methods that exist in place only, or do something else under the name without _: a graph runs them on a copy
_ON_COPIES = _words("__setitem__ bernoulli_ cauchy_ copy_ exponential_ fill_ fill_diagonal_ geometric_ log_normal_ normal_ random_ uniform_ zero_")

_BACKEND = "torchkeras.backend"  # its functions join the table when it is imported: `add_function`

_functions: dict[str, Callable[..., Any]] = {}
_names: dict[Callable[..., Any], str] = {}


def add_function(name: str, function: Callable[..., Any]) -> None:
    """Put a function into the table, under a name that no file can choose."""
    _functions[name] = function
    _names.setdefault(function, name)


@functools.cache
def _fill_table() -> None:
    both = [*_POINTWISE, *_REDUCTIONS, *_SHAPES, *_PRODUCTS]
    for prefix, owner, names in (
        ("torch", torch, [*both, *_TORCH_ONLY]),
        ("torch.Tensor", torch.Tensor, [*both, *_METHODS_ONLY]),
        ("torch.nn.functional", torch.nn.functional, _FUNCTIONAL),
        ("torch.linalg", torch.linalg, _LINALG),
        ("torch.fft", torch.fft, _FFT),
    ):
        for name in names:
            if hasattr(owner, name):
                add_function(f"{prefix}.{name}", getattr(owner, name))
    for name in _ATTRIBUTES:
        add_function(f"torch.Tensor.{name}", Attribute(name))
    for name in _ON_COPIES:
        add_function(f"torch.Tensor.{name}", OnCopy(name))


def name_of_function(function: Callable[..., Any]) -> str | None:
    """The name of a function in configs, or `None` where the table does not have it."""
    _fill_table()
    return _names.get(function)


def function_named(name: Any) -> Callable[..., Any]:
    """The function that a config names.

    Raises:
        ValueError: a name that is not in the table.
    """
    _fill_table()
    if isinstance(name, str) and name.startswith("K.") and name not in _functions:
        importlib.import_module(_BACKEND)
    if not isinstance(name, str) or name not in _functions:
        raise ValueError(
            f"A TorchOp can name the functions of its own table only, but the config names {name!r:.80}. {nearest(str(name), _functions)}"
        )
    return _functions[name]


def names() -> list[str]:
    """All names of the table."""
    _fill_table()
    return sorted(_functions)


@dataclass(frozen=True)
class Attribute:
    """The function that gives an attribute of a tensor, such as `x.T`."""

    __name__: str

    def __call__(self, tensor: Any) -> Any:
        return getattr(tensor, self.__name__)


@dataclass(frozen=True)
class OnCopy:
    """The function that runs a method, which changes its tensor, on a copy, and gives the copy."""

    __name__: str

    def __call__(self, tensor: Any, *args: Any, **kwargs: Any) -> Any:
        copy = tensor.clone()
        getattr(copy, self.__name__)(*args, **kwargs)
        return copy


def without_change(function: Any) -> tuple[Callable[..., Any], bool]:
    """What a graph runs instead of a function, so that no value of the graph is changed in place.

    Returns:
        The function, and whether the given one would have changed its first tensor.
    """
    name = getattr(function, "__name__", "")
    if name == "__get__":
        return Attribute(function.__self__.__name__), False
    if name == "__setitem__" or (name.endswith("_") and not name.endswith("__")):
        for owner in (torch.Tensor, torch.nn.functional) if name not in _ON_COPIES else ():
            if hasattr(owner, name[:-1]):
                return getattr(owner, name[:-1]), True
        return OnCopy(name), True
    return function, False
