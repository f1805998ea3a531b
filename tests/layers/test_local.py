"""Locally connected layers, in the three forms that their kernels can have."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tests.golden_cases import golden
from tests.layers.golden_layer import check_golden_layer
from tests.layers.harness import check_dynamic_export, check_layer
from torchkeras import generations, layers

CASES = golden("layer", "LocallyConnected1D", "LocallyConnected2D")
CLASSES = [layers.LocallyConnected1D, layers.LocallyConnected2D]
SIZES = {1: (6,), 2: (5, 4)}


def shape_for(cls, data_format: str = "channels_last", channels: int = 2) -> tuple[int, ...]:
    return (3, *SIZES[cls.rank], channels) if data_format == "channels_last" else (3, channels, *SIZES[cls.rank])


@pytest.mark.parametrize("case", CASES, ids=str)
def test_locally_connected_matches_keras(case, keras_version):
    check_golden_layer(case)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("implementation", [1, 2, 3])
@pytest.mark.parametrize("cls", CLASSES)
def test_locally_connected_layers_are_ordinary_layers(cls, implementation, data_format):
    arguments = {"filters": 2, "kernel_size": 2, "strides": 2, "activation": "tanh", "data_format": data_format, "implementation": implementation}
    check_dynamic_export(check_layer(cls, arguments, shape_for(cls, data_format)))


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("implementation", [1, 2, 3])
@pytest.mark.parametrize("cls", CLASSES)
def test_a_state_dict_builds_a_locally_connected_layer(cls, implementation, use_bias, padding):
    if implementation == 1 and padding == "same":
        return  # there is none
    arguments = {"filters": 2, "kernel_size": 2, "implementation": implementation, "use_bias": use_bias, "padding": padding}
    layer, new, x = cls(**arguments), cls(**arguments), torch.randn(shape_for(cls))
    y = layer(x)
    new.load_state_dict(layer.state_dict())
    torch.testing.assert_close(new(x), y)
    # a state dict without the size fits a layer that is built
    state = {name: value for name, value in layer.state_dict().items() if name != "input_size"}
    built = cls(**arguments)
    built(x)
    built.load_state_dict(state)
    torch.testing.assert_close(built(x), y)


def whole_matrix(layer, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Which input each output sees, (outputs, inputs), and the layer's matrix, found by feeding it one input at a time. No bias."""
    size = math.prod(shape[1:])
    columns = layer(torch.eye(size).reshape(size, *shape[1:])).detach().flatten(1).T.numpy()
    return columns != 0, columns


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("strides", [1, 2, 3])
@pytest.mark.parametrize("window", [1, 2, 3])
@pytest.mark.parametrize("cls", CLASSES)
def test_the_forms_of_the_kernel_agree(cls, window, strides, padding, data_format):
    arguments = {"filters": 3, "kernel_size": window, "strides": strides, "padding": padding, "data_format": data_format, "use_bias": False}
    shape = shape_for(cls, data_format)
    x = torch.randn(shape)
    whole = cls(implementation=2, kernel_initializer="uniform", **arguments)
    outputs = whole(x)
    seen, matrix = whole_matrix(whole, shape)
    # form 2 is the whole matrix, from inputs to outputs
    np.testing.assert_allclose(whole.get_weights()[0].reshape(matrix.shape[1], matrix.shape[0])[seen.T], matrix.T[seen.T], rtol=1e-6)
    # form 3 lists the entries that count, by output and then by input
    listed = cls(implementation=3, weights=[matrix[np.nonzero(seen)]], **arguments)
    torch.testing.assert_close(listed(x), outputs)
    if padding == "same":
        # the window's middle lies on the input, the further half on the near side
        reached = [position for position in range(-(window // 2), window - window // 2) if position >= 0]
        first = seen.reshape(outputs[0].numel(), *shape[1:])[0]
        assert first.sum() == 2 * len(reached) ** cls.rank
        return
    # form 1 has one matrix for each place
    kernels = np.zeros((math.prod(SIZES[cls.rank]), 1, 1))
    plain = cls(**arguments)
    plain(x)
    kernels = plain.get_weights()[0]
    for number, name in enumerate(np.ndindex(*kernels.shape)):
        kernels[name] = number + 1
    plain.set_weights([kernels])
    seen, matrix = whole_matrix(plain, shape)
    listed.set_weights([matrix[np.nonzero(seen)]])
    torch.testing.assert_close(listed(x), plain(x))
    assert sorted(matrix[seen]) == sorted(kernels.ravel())


@pytest.mark.parametrize("cls", CLASSES)
def test_the_kernel_differs_from_place_to_place(cls):
    layer = cls(1, 2)
    outputs = layer(torch.ones(1, *SIZES[cls.rank], 1))
    assert outputs.detach().numpy().std() > 0.01


@pytest.mark.parametrize("cls", CLASSES)
def test_bad_arguments_are_refused(cls):
    for arguments, message in (
        ({"filters": 0}, "`filters` a whole number of at least 1, but got 0"),
        ({"kernel_size": 0}, "`kernel_size` a whole number of at least 1.*got 0"),
        ({"strides": (1, 2, 3)}, r"`strides` a whole number of at least 1.*got \(1, 2, 3\)"),
        ({"padding": "causal"}, "`padding` one of .* but got 'causal'"),
        ({"padding": "same"}, "padding='valid' only with implementation=1, but got 'same'. Use implementation=2 or 3"),
        ({"implementation": 4}, "`implementation` 1, 2 or 3, but got 4"),
        ({"data_format": "HW"}, "data_format must be one of .* but got 'HW'"),
    ):
        with pytest.raises(ValueError, match=message):
            cls(**{"filters": 2, "kernel_size": 2, **arguments})


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("implementation", [1, 2, 3])
def test_bad_inputs_are_refused(cls, implementation):
    rank = cls.rank
    with pytest.raises(ValueError, match=f"expected ndim={rank + 2}, found ndim=2"):
        cls(2, 2, implementation=implementation)(torch.zeros(2, 3))
    with pytest.raises(ValueError, match=r"does not fit into an input of shape \(2, 2"):
        cls(2, 3, implementation=implementation)(torch.zeros(2, *(2,) * rank, 4))
    with pytest.raises(ValueError, match="needs every axis of space known"):
        cls(2, 3, implementation=implementation)(layers.Input((*(None,) * rank, 4)))
    layer = cls(2, 2, implementation=implementation)
    layer(torch.zeros(2, *(5,) * rank, 4))
    with pytest.raises(ValueError, match="value 4, found 3"):
        layer(torch.zeros(2, *(5,) * rank, 3))
    with pytest.raises(ValueError, match=r"was built for an output of size|to have value 5, found 6"):
        layer(torch.zeros(2, *(6,) * rank, 4))


def test_keras_2_ignores_the_data_format_of_1d():
    with generations.using_keras_version("2.2.4"):
        layer = layers.LocallyConnected1D(2, 3, data_format="channels_first")
        assert layer(torch.zeros(1, 5, 4)).shape == (1, 3, 2)
        assert "data_format" not in layer.get_config()
        assert layers.LocallyConnected2D(2, 3, implementation=2).get_config()["implementation"] == 2
    assert layers.LocallyConnected1D(2, 3, data_format="channels_first")(torch.zeros(1, 5, 4)).shape == (1, 2, 2)
