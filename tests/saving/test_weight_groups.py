"""Keras' layout of weights: genuine files of each release are read, and files are written as genuine Keras writes them."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.golden_cases import golden
from torchkeras.saving.errors import ContentError, LimitError
from torchkeras.saving.hdf5 import open_safely
from torchkeras.saving.weight_groups import (
    Origin,
    origin,
    read_arrays,
    read_weight_groups,
    weights_group,
    write_arrays,
    write_names,
    write_text,
    write_weight_groups,
)
from torchkeras.utils.atomic import atomic_hdf5

VERSIONS = ("1.2.2", "2.2.4", "2.4.0")
CASES = golden("saved", versions=VERSIONS)
FILES = [
    (case, case[field]) for case in golden("saved", versions=(*VERSIONS, "3.15.1")) for field in ("model_file", "weights_file") if field in case.info
]
FILES = [pytest.param(case, file, id=f"{case}-{file}") for case, file in FILES if file.endswith(".h5") and case.version != "3.15.1"]


def arrays_of(path: Path) -> list[np.ndarray]:
    with open_safely(path) as file:
        return [array.read(array.shape, "f") for _, arrays in read_weight_groups(weights_group(file)) for _, array in arrays]


@pytest.mark.parametrize(("case", "file"), FILES)
def test_genuine_files_hold_the_recorded_arrays(case, file):
    """The file's order is that of the layers; the recorded one may put what is not trained last, so arrays are matched in any order."""
    read, recorded = arrays_of(case.folder / file), case.arrays("weights")
    assert len(read) == len(recorded)
    key = lambda array: (array.shape, array.tobytes())  # noqa: E731
    for mine, wanted in zip(sorted(read, key=key), sorted(recorded, key=key), strict=True):
        np.testing.assert_array_equal(mine, wanted)


@pytest.mark.parametrize("case", [case for case in CASES if case["class"] == "Model" and "weight_names" in case.info], ids=str)
def test_genuine_names_are_those_recorded(case):
    with open_safely(case.folder / case["model_file"]) as file:
        names = [name for _, arrays in read_weight_groups(weights_group(file)) for name, _ in arrays]
    assert sorted(names) == sorted(case["weight_names"])


@pytest.mark.parametrize("case", CASES, ids=str)
def test_genuine_optimizer_states_are_the_recorded_ones(case):
    with open_safely(case.folder / case["model_file"]) as file:
        read = [array.read(array.shape, "fiu") for _, array in read_arrays(file.group("optimizer_weights"))]
    recorded = case.arrays("optimizer_weights")
    assert len(read) == len(recorded) > 0
    for mine, wanted in zip(read, recorded, strict=True):
        np.testing.assert_array_equal(mine, wanted)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_genuine_files_say_where_they_come_from(case):
    wanted = Origin("1", None) if case.version == "1.2.2" else Origin(case.version, "tensorflow")
    with open_safely(case.folder / case["model_file"]) as file:
        assert origin(weights_group(file)) == wanted
        assert file.text("keras_version") == case.version


@pytest.mark.parametrize("case", golden("saved", versions=("3.15.1",)), ids=str)
def test_old_style_files_of_keras_3_are_read(case):
    read = arrays_of(case.folder / case["legacy_h5_file"])
    recorded = {array.tobytes() for array in case.arrays("weights")}
    assert {array.tobytes() for array in read} == recorded


def contents(group: h5py.Group) -> dict[str, object]:
    """Everything in a group: attributes with their stored types, arrays with theirs."""
    found: dict[str, object] = {}

    def note(path: str, item: h5py.Group | h5py.Dataset) -> None:
        for name in item.attrs:
            stored = h5py.h5a.open(item.id, name.encode())
            kind = stored.get_type()
            text = isinstance(kind, h5py.h5t.TypeStringID)
            form = (kind.is_variable_str(), kind.get_cset()) if text else kind.dtype
            found[f"{path}@{name}"] = (form, stored.shape, np.asarray(item.attrs[name]).tolist())
        if isinstance(item, h5py.Dataset):
            found[path] = (item.dtype, item.shape, item.chunks, item[()].tobytes())
        else:
            found[path] = sorted(item)

    note("", group)
    group.visititems(note)
    return found


@pytest.mark.parametrize("case", golden("saved"), ids=str)
def test_files_are_written_as_genuine_keras_writes_them(case, tmp_path):
    """Same groups, arrays, attributes and stored types, down to the bytes."""
    genuine = case.folder / case["weights_file"]
    with open_safely(genuine) as file, atomic_hdf5(tmp_path / "mine.h5") as mine:
        layers = [(layer, [(name, array.read(array.shape)) for name, array in arrays]) for layer, arrays in read_weight_groups(file)]
        write_weight_groups(mine, layers, *origin(file))
    with h5py.File(genuine) as wanted, h5py.File(tmp_path / "mine.h5") as mine:
        assert contents(mine) == contents(wanted)


@pytest.mark.parametrize("case", golden("saved"), ids=str)
def test_optimizer_states_are_written_as_genuine_keras_writes_them(case, tmp_path):
    genuine = case.folder / case["model_file"]
    with open_safely(genuine) as file, atomic_hdf5(tmp_path / "mine.h5") as mine:
        write_arrays(mine, [(name, array.read(array.shape)) for name, array in read_arrays(file.group("optimizer_weights"))])
    with h5py.File(genuine) as wanted, h5py.File(tmp_path / "mine.h5") as mine:
        assert contents(mine) == contents(wanted["optimizer_weights"])


def round_trip(path: Path, layers: list) -> list:
    with atomic_hdf5(path) as file:
        write_weight_groups(file, layers, "2.4.0")
    with open_safely(path) as file:
        return [(layer, [(name, array.read(array.shape)) for name, array in arrays]) for layer, arrays in read_weight_groups(file)]


def test_all_types_and_shapes_come_back(tmp_path):
    values = [np.float32(3.5), np.zeros((0, 2)), np.arange(6).reshape(2, 3).T, np.ones(3, np.float16), np.array([True, False]), np.int64(7)]
    layers = [("all", [(f"w{number}:0", value) for number, value in enumerate(values)]), ("empty", [])]
    (_, arrays), (_, none) = round_trip(tmp_path / "a.h5", layers)
    assert none == []
    for value, (_, read) in zip(values, arrays, strict=True):
        assert read.dtype == value.dtype
        np.testing.assert_array_equal(read, value)


def test_layers_keep_their_order(tmp_path):
    names = ["z", "a", "m", "b_10", "b_2"]
    assert [name for name, _ in round_trip(tmp_path / "a.h5", [(name, []) for name in names])] == names


@pytest.mark.parametrize("name", ["a/b", "../../x", "..", "größe", "a b", "a:0", "a\\b", "x" * 300, "C:\\x"])
def test_any_name_of_a_layer_stays_inside_the_file(tmp_path, name):
    """Genuine names have slashes, hostile ones climb: all are plain names in HDF5, and no file but the one asked for is written."""
    folder = tmp_path / "deep" / "er"
    folder.mkdir(parents=True)
    value = np.arange(3.0)
    assert [layer for layer, _ in round_trip(folder / "a.h5", [(name, [("kernel:0", value)])])] == [name]
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [folder / "a.h5"]


def test_layers_inside_each_others_names_do_not_mix(tmp_path):
    layers = [("a/b", [("kernel:0", np.ones(2))]), ("a", [("a/kernel:0", np.zeros(3))]), ("a/b/c", [])]
    read = round_trip(tmp_path / "a.h5", layers)
    assert [name for name, _ in read] == ["a/b", "a", "a/b/c"]
    np.testing.assert_array_equal(read[0][1][0][1], np.ones(2))
    np.testing.assert_array_equal(read[1][1][0][1], np.zeros(3))


@pytest.mark.parametrize("name", ["", "/a", "a/", "a//b", ".", "a/./b", "a\0b"])
def test_names_that_hdf5_would_change_are_refused(tmp_path, name):
    for layers, kind in (([(name, [])], "layer"), ([("dense", [(name, np.ones(1))])], "weight")):
        with pytest.raises(ValueError, match=f"A {kind} called .* cannot be written to HDF5"):
            round_trip(tmp_path / "a.h5", layers)
    assert list(tmp_path.iterdir()) == []


def test_names_that_collide_are_refused(tmp_path):
    with pytest.raises(ValueError, match="Two layers are called 'a'"):
        round_trip(tmp_path / "a.h5", [("a", []), ("a", [])])
    with pytest.raises(ValueError, match="Layer 'a/b' cannot have a group"):
        round_trip(tmp_path / "a.h5", [("a", [("b", np.ones(1))]), ("a/b", [])])
    with pytest.raises(ValueError, match="Weight 'b' of layer 'a' cannot be written"):
        round_trip(tmp_path / "a.h5", [("a/b", []), ("a", [("b", np.ones(1))])])


def test_equal_weight_names_are_told_apart(tmp_path):
    ((_, arrays),) = round_trip(tmp_path / "a.h5", [("a", [("w", np.full(1, number)) for number in range(4)])])
    assert [name for name, _ in arrays] == ["w", "w_1", "w_2", "w_3"]
    assert [array.item() for _, array in arrays] == [0, 1, 2, 3]


@pytest.mark.parametrize("count", [2_000, 5_000])
def test_long_lists_of_names_are_cut_into_pieces(tmp_path, count):
    layers = [(f"layer_{number:0>40}", []) for number in range(count)]
    assert round_trip(tmp_path / "a.h5", layers) == layers
    with h5py.File(tmp_path / "a.h5") as file:
        pieces = [name for name in file.attrs if name.startswith("layer_names")]
        assert pieces[:2] == ["layer_names0", "layer_names1"]
        assert sum(len(file.attrs[piece]) for piece in pieces) == count


def test_names_and_texts_that_hdf5_cannot_hold_are_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        with pytest.raises(ValueError, match="is 70,000 bytes long; an attribute of HDF5 has room for 64,512"):
            write_names(file, "layer_names", ["x" * 70_000])
        with pytest.raises(ValueError, match="'model_config' must not contain a null character"):
            write_text(file, "model_config", "a\0b")


def test_a_long_architecture_comes_back(tmp_path):
    text = '{"config": "' + "ä" * 500_000 + '"}'
    with h5py.File(tmp_path / "a.h5", "w") as file:
        write_text(file, "model_config", text)
    with open_safely(tmp_path / "a.h5") as file:
        assert file.text("model_config") == text


def test_files_of_the_first_releases_are_read(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["nb_layers"] = 2
        for number in range(2):
            layer = file.create_group(f"layer_{number}")
            layer.attrs["nb_params"] = number
            for index in range(number):
                layer[f"param_{index}"] = np.full(2, index)
    with open_safely(tmp_path / "a.h5") as file:
        layers = read_weight_groups(weights_group(file))
        assert [(name, [weight for weight, _ in arrays]) for name, arrays in layers] == [("layer_0", []), ("layer_1", ["param_0"])]
        assert origin(file) == Origin("1", None)


@pytest.mark.parametrize("count", [-1, 2.5, "two", 10**12])
def test_a_count_that_is_none_is_refused(tmp_path, count):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["nb_layers"] = count
    with open_safely(tmp_path / "a.h5") as file, pytest.raises((ContentError, LimitError), match="'nb_layers' of / should be a count"):
        read_weight_groups(file)


def test_an_hdf5_file_without_weights_is_recognized(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = 1
    with open_safely(tmp_path / "a.h5") as file, pytest.raises(ContentError, match=r"without weights of Keras.*Its members are: x"):
        weights_group(file)
