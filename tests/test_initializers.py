"""Initial values: distributions and configs of genuine Keras, seeds, names."""

from __future__ import annotations

import copy
import json
import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.golden_cases import golden
from torchkeras import config, generations, initializers, registry

RANDOM = ["RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling", "Orthogonal"]
SCALED = ["glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_uniform", "lecun_normal"]


def make(case):
    return getattr(initializers, case["class"])(**case["kwargs"])


@pytest.mark.parametrize("case", golden("initializer"), ids=str)
def test_config_is_that_of_the_release(case, keras_version):
    initializer = make(case)
    assert initializer.get_config() == case["config"]
    written = json.loads(json.dumps(initializers.serialize(initializer)))
    again = initializers.deserialize(written)
    assert type(again) is type(initializer)
    assert again.get_config() == case["config"]


@pytest.mark.parametrize("case", golden("initializer"), ids=str)
def test_values_have_the_moments_of_genuine_ones(case, keras_version):
    shape = case["shape"]
    values = make(case)(shape)
    assert values.dtype == torch.float32
    assert tuple(values.shape) == tuple(shape)
    assert not values.requires_grad
    recorded, size = case["stats"], values.numel()
    # Two independent samples: the difference of their means has a standard error of std * sqrt(2 / size), that of their
    # standard deviations at most (normal) std * sqrt(1 / size). Five of them: one chance in a million.
    mean_error = 5 * recorded["std"] * math.sqrt(2 / size) + 1e-7
    std_error = 5 * recorded["std"] * math.sqrt(1 / size) + 1e-7
    assert values.double().mean().item() == pytest.approx(recorded["mean"], abs=mean_error)
    assert values.double().std(correction=0).item() == pytest.approx(recorded["std"], abs=std_error)
    if ("Normal" in case["class"] and "Truncated" not in case["class"]) or case["class"] == "Orthogonal":
        return
    # the other distributions are bounded, and so many values come within 2 % of the bounds (chance of none: 1e-13)
    assert values.min().item() == pytest.approx(recorded["min"], rel=0.02)
    assert values.max().item() == pytest.approx(recorded["max"], rel=0.02)


@pytest.mark.parametrize("case", [c for c in golden("initializer") if c.get("outputs")], ids=str)
def test_fixed_values_are_genuine(case, keras_version):
    torch.testing.assert_close(make(case)(case["shape"]), torch.from_numpy(case.arrays("outputs")[0]).float(), rtol=0, atol=0)


@pytest.mark.parametrize("case", golden("initializer", "Orthogonal"), ids=str)
def test_orthogonal_is_orthogonal(case, keras_version):
    gain = case["kwargs"]["gain"]
    flat = make(case)(case["shape"]).double().reshape(-1, case["shape"][-1])
    rows, columns = flat.shape
    gram = flat @ flat.mT if rows < columns else flat.mT @ flat
    # float32 keeps 6e-8 of each entry; sums of some hundred products of size gain**2 / 300 stay well under this
    torch.testing.assert_close(gram, gain**2 * torch.eye(len(gram), dtype=torch.float64), rtol=0, atol=3e-6)


def test_orthogonal_in_float64_is_exact_to_float64():
    matrix = initializers.Orthogonal(seed=1)((6, 4), dtype="float64")
    torch.testing.assert_close(matrix.mT @ matrix, torch.eye(4, dtype=torch.float64), rtol=0, atol=1e-14)
    assert initializers.Orthogonal()((3, 3), dtype="bfloat16").dtype == torch.bfloat16


def test_orthogonal_is_uniform_over_rotations():
    # without the sign correction the first entry of a 2 x 2 factor is always negative
    initializer = initializers.Orthogonal()
    positive = sum(initializer((2, 2))[0, 0].item() > 0 for _ in range(200))
    assert 65 < positive < 135  # five standard deviations of a fair coin


def test_orthogonal_needs_two_axes():
    with pytest.raises(ValueError, match=r"at least two axes, but got \(5,\)"):
        initializers.Orthogonal()((5,))


@pytest.mark.parametrize(("version", "gain"), [("1.2.2", 1.1), ("2.2.4", 1.0), ("2.4.0", 1.0)])
def test_orthogonal_gain_is_the_releases(version, gain):
    generations.set_keras_version(version)
    assert initializers.get("orthogonal").get_config()["gain"] == gain


@pytest.mark.parametrize("version", generations.VERSIONS)
@pytest.mark.parametrize("name", RANDOM + SCALED)
def test_a_seed_repeats_the_draw_at_every_call(name, version):
    # measured: Keras 2.2.4 gives two variables in one session the same numbers, tf.keras 2.4.0 two calls
    generations.set_keras_version(version)
    initializer = getattr(initializers, name)(seed=3)
    first = initializer((4, 5))
    assert torch.equal(initializer((4, 5)), first)
    assert torch.equal(getattr(initializers, name)(seed=3)((4, 5)), first)
    assert not torch.equal(getattr(initializers, name)(seed=4)((4, 5)), first)


@pytest.mark.parametrize("name", RANDOM + SCALED)
def test_without_a_seed_draws_differ_and_torch_fixes_them(name):
    initializer = getattr(initializers, name)()
    torch.manual_seed(2)
    first, second = initializer((4, 5)), initializer((4, 5))
    assert not torch.equal(first, second)
    torch.manual_seed(2)
    assert torch.equal(initializer((4, 5)), first)


def test_keras_2_initial_values_are_fixed_by_numpy():
    generations.set_keras_version("2.2.4")
    initializer = initializers.get("glorot_uniform")
    np.random.seed(1)
    first = initializer((4, 5))
    np.random.seed(1)
    assert torch.equal(initializer((4, 5)), first)


def test_a_seed_is_a_whole_number():
    assert initializers.GlorotUniform(seed=np.int64(3)).get_config() == {"seed": 3}
    with pytest.raises(TypeError, match=r"GlorotUniform takes a whole number or None as seed, but got 'a'"):
        initializers.GlorotUniform(seed="a")


@pytest.mark.parametrize(
    ("version", "shape", "fans"),
    [
        ("2.4.0", (2, 3), (2, 3)),
        ("2.4.0", (5, 3, 4), (15, 20)),
        ("2.4.0", (3, 3, 30, 50), (270, 450)),
        ("2.4.0", (7,), (7, 7)),
        ("2.4.0", (), (1, 1)),
        ("2.4.0", (2, 2, 2, 2, 2, 3), (32, 48)),
        ("2.2.4", (3, 3, 30, 50), (270, 450)),
        ("2.2.4", (7,), (math.sqrt(7), math.sqrt(7))),
        ("2.2.4", (2, 2, 2, 2, 2, 3), (math.sqrt(96), math.sqrt(96))),
    ],
)
def test_fans_are_the_releases(version, shape, fans):
    generations.set_keras_version(version)
    assert initializers.compute_fans(shape) == pytest.approx(fans)


@given(
    shape=st.lists(st.integers(1, 4), min_size=2, max_size=4),
    mode=st.sampled_from(["fan_in", "fan_out", "fan_avg"]),
    scale=st.floats(0.1, 4),
)
def test_a_uniform_never_leaves_its_limit(shape, mode, scale):
    fan_in, fan_out = initializers.compute_fans(shape)
    fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[mode]
    values = initializers.VarianceScaling(scale, mode, "uniform")(shape, dtype="float64")
    assert values.abs().max().item() <= math.sqrt(3 * scale / fan)


def test_keras_1_normals_are_not_truncated():
    generations.set_keras_version("1.2.2")
    values = initializers.get("he_normal")((200, 300))
    assert values.std().item() == pytest.approx(0.1, rel=0.02)
    assert values.abs().max().item() > 0.3


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"scale": 0}, r"scale above 0, but got 0"),
        ({"mode": "fan"}, r"mode 'fan_in', .*but got 'fan'"),
        ({"distribution": "cauchy"}, r"distribution 'uniform', .*but got 'cauchy'"),
    ],
)
def test_variance_scaling_checks_its_arguments(argument, message):
    with pytest.raises(ValueError, match=message):
        initializers.VarianceScaling(**argument)


@pytest.mark.parametrize(
    ("version", "shape", "expected"),
    [
        ("2.4.0", (2, 4), [[2, 0, 0, 0], [0, 2, 0, 0]]),
        ("2.2.4", (2, 4), [[2, 0, 2, 0], [0, 2, 0, 2]]),
        ("2.2.4", (4, 2), [[2, 0], [0, 2], [2, 0], [0, 2]]),
    ],
)
def test_identity_that_is_not_square(version, shape, expected):
    generations.set_keras_version(version)
    assert initializers.Identity(2.0)(shape).tolist() == expected


def test_identity_checks_its_shape():
    with pytest.raises(ValueError, match=r"matrices only, but got the shape \(2, 2, 2\)"):
        initializers.Identity()((2, 2, 2))
    generations.set_keras_version("2.2.4")
    with pytest.raises(ValueError, match=r"multiple of the short one, but got the shape \(2, 3\)"):
        initializers.Identity()((2, 3))


def test_constant_takes_arrays():
    values = np.arange(6.0)
    assert torch.equal(initializers.Constant(values)((2, 3)), torch.arange(6.0).reshape(2, 3))
    assert initializers.Constant(0.1)((1,), dtype="float64").item() == 0.1
    with pytest.raises(ValueError, match=r"has 6 values, but the weight of shape \(2, 2\) needs 4"):
        initializers.Constant(values)((2, 2))


def test_constant_shares_no_memory_with_its_array():
    values = np.zeros(2, dtype=np.float32)
    initializers.Constant(values)((2,)).fill_(1)
    assert values.tolist() == [0, 0]


def test_values_are_floatx_on_the_cpu_without_a_graph():
    config.set_floatx("float64")
    source = torch.ones(3, 3, requires_grad=True)
    for name in ("zeros", "ones", "identity", *SCALED, *RANDOM):
        values = initializers.get(name)((3, 3))
        assert (values.dtype, values.device.type, values.grad_fn, values.is_contiguous()) == (torch.float64, "cpu", None, True)
    assert not initializers.Constant(source)((3, 3)).requires_grad


NAMES = {
    initializers.Zeros: ["Zeros", "zeros", "zero", "ZerosV2"],
    initializers.Ones: ["Ones", "ones", "one", "OnesV2"],
    initializers.Constant: ["Constant", "constant", "ConstantV2"],
    initializers.RandomNormal: ["RandomNormal", "random_normal", "normal", "RandomNormalV2"],
    initializers.RandomUniform: ["RandomUniform", "random_uniform", "uniform", "RandomUniformV2"],
    initializers.TruncatedNormal: ["TruncatedNormal", "truncated_normal", "TruncatedNormalV2"],
    initializers.VarianceScaling: ["VarianceScaling", "variance_scaling", "VarianceScalingV2"],
    initializers.Orthogonal: ["Orthogonal", "orthogonal", "OrthogonalV2"],
    initializers.Identity: ["Identity", "identity", "IdentityV2"],
    initializers.GlorotUniform: ["GlorotUniform", "glorot_uniform", "GlorotUniformV2", "glorot_uniformV2"],
    initializers.GlorotNormal: ["GlorotNormal", "glorot_normal", "GlorotNormalV2", "glorot_normalV2"],
    initializers.HeUniform: ["HeUniform", "he_uniform", "HeUniformV2", "he_uniformV2"],
    initializers.HeNormal: ["HeNormal", "he_normal", "HeNormalV2", "he_normalV2"],
    initializers.LecunUniform: ["LecunUniform", "lecun_uniform", "LecunUniformV2", "lecun_uniformV2"],
    initializers.LecunNormal: ["LecunNormal", "lecun_normal", "LecunNormalV2", "lecun_normalV2"],
}


@pytest.mark.parametrize(("cls", "name"), [(cls, name) for cls, names in NAMES.items() for name in names])
def test_every_name_is_known(cls, name):
    assert type(initializers.get(name)) is cls
    if "V2" not in name:
        assert getattr(initializers, name) is cls


def test_keras_2_reads_what_tf_keras_wrote_and_the_reverse():
    tf = {"class_name": "HeNormal", "config": {"seed": 4}}
    two = {"class_name": "VarianceScaling", "config": {"scale": 2.0, "mode": "fan_in", "distribution": "normal", "seed": 4}}
    expected = initializers.get(tf)((3, 4))
    assert torch.equal(initializers.get(two)((3, 4)), expected)
    generations.set_keras_version("2.2.4")
    assert initializers.serialize(initializers.get(tf)) == two
    assert torch.equal(initializers.get(two)((3, 4)), expected)
    two["config"]["distribution"] = "truncated_normal"
    assert initializers.get(two).get_config()["distribution"] == "normal"


def test_configs_of_tensorflow_1_and_keras_3_are_read_and_left_alone():
    first = {"class_name": "GlorotUniform", "config": {"seed": 2, "dtype": "float32"}}
    third = {"module": "keras.initializers", "class_name": "GlorotUniform", "config": {"seed": 2}, "registered_name": None}
    assert initializers.get(first).get_config() == initializers.get(third).get_config() == {"seed": 2}
    assert first["config"] == {"seed": 2, "dtype": "float32"}


def test_get_takes_instances_classes_functions_and_none():
    instance = initializers.Zeros()

    def own(shape, dtype=None):
        return torch.zeros(shape)

    assert initializers.get(instance) is instance
    assert type(initializers.get(initializers.Ones)) is initializers.Ones
    assert initializers.get(own) is own
    assert initializers.serialize(own) == "own"
    assert initializers.get(None) is initializers.serialize(None) is None
    with registry.custom_object_scope({"own": own}):
        assert initializers.get("own") is own


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match=r"Unknown initializer: 'glorot_unifrom'\. Did you mean 'glorot_uniform'"):
        initializers.get("glorot_unifrom")
    with pytest.raises(ValueError, match=r"Could not read 3 as an? initializer"):
        initializers.get(3)


@pytest.mark.parametrize("version", generations.VERSIONS)
def test_initializers_are_copied_and_pickled_under_any_release(version):
    initializer = initializers.HeUniform(seed=5)
    values = initializer((3, 4))
    generations.set_keras_version(version)
    for again in (copy.deepcopy(initializer), pickle.loads(pickle.dumps(initializer))):
        assert torch.equal(again((3, 4)), values)


def test_the_base_class_must_be_filled_in():
    with pytest.raises(NotImplementedError, match="Initializer must define __call__"):
        initializers.Initializer()((1,))
