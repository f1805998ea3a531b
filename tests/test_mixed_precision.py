"""The policy of half floats: names, types, what compile() takes of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from torchkeras import config, mixed_precision
from torchkeras.layers import Dense
from torchkeras.mixed_precision import Policy, get_layer_policy, global_policy, set_policy
from torchkeras.models import Sequential


def test_a_policy_names_its_types():
    assert (Policy("mixed_float16").compute_dtype, Policy("mixed_float16").variable_dtype) == ("float16", "float32")
    assert (Policy("float64").compute_dtype, Policy("float64").variable_dtype) == ("float64", "float64")
    assert Policy.from_config(Policy("mixed_bfloat16").get_config()).name == "mixed_bfloat16"
    assert repr(Policy("float32")) == "<Policy 'float32'>"


def test_at_first_it_is_that_of_floatx():
    assert global_policy().name == "float32"
    config.set_floatx("float64")
    assert global_policy().name == "float64"


def test_compile_takes_it():
    set_policy("mixed_bfloat16")
    model = Sequential([Dense(4, input_shape=(3,))])
    assert get_layer_policy(model.layers[0]).name == "mixed_bfloat16"
    seen = []
    model.layers[0].register_forward_hook(lambda layer, inputs, output: seen.append(output.dtype))
    model.compile("sgd", "mse")
    model.fit(np.ones((2, 3), "float32"), np.ones((2, 4), "float32"), epochs=1, verbose=0)
    assert torch.bfloat16 in seen
    assert model.layers[0].weight.dtype == torch.float32
    seen.clear()
    model.compile("sgd", "mse", mixed_precision="float32")
    model.fit(np.ones((2, 3), "float32"), np.ones((2, 4), "float32"), epochs=1, verbose=0)
    assert set(seen) == {torch.float32}


def test_the_experimental_names_are_the_same():
    assert mixed_precision.experimental.set_policy is set_policy
    assert mixed_precision.set_global_policy is set_policy


def test_other_policies_are_refused():
    with pytest.raises(ValueError, match=r"Policy takes one of .* but got 'half'"):
        Policy("half")
    with pytest.raises(ValueError, match="takes no loss_scale, but got 128"):
        Policy("mixed_float16", loss_scale=128)
    with pytest.raises(ValueError, match=r"set_policy\('float64'\) does not go with floatx\(\) 'float32'"):
        set_policy("float64")
