"""The HDF5 reader: what it refuses and why, and what it reads."""

from __future__ import annotations

import io
import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.saving import hostile
from torchkeras.saving.errors import (
    ContentError,
    DamagedFileError,
    FileError,
    FolderError,
    LimitError,
    MissingFileError,
    NoPermissionError,
)
from torchkeras.saving.hdf5 import SafeGroup, open_safely
from torchkeras.saving.hdf5_arrays import SafeArray
from torchkeras.saving.limits import using_limits
from torchkeras.saving.weight_groups import origin, read_weight_groups, weights_group


def read_all(path: Path | bytes) -> list[np.ndarray]:
    with open_safely(path) as file:
        origin(weights_group(file))
        return [array.read(None) for _, arrays in read_weight_groups(weights_group(file)) for _, array in arrays]


def test_the_good_file_is_read(tmp_path):
    hostile.good(tmp_path / "a.h5").close()
    np.testing.assert_array_equal(read_all(tmp_path / "a.h5"), [np.zeros(4)])
    np.testing.assert_array_equal(read_all((tmp_path / "a.h5").read_bytes()), [np.zeros(4)])


@pytest.mark.parametrize("what", hostile.FILES)
def test_hostile_files_are_refused(tmp_path, what):
    make, reason = hostile.FILES[what]
    path = tmp_path / "model.h5"
    make(path)
    assert path.stat().st_size < 8_000_000
    with pytest.raises(FileError, match=reason) as caught:
        read_all(path)
    assert "model.h5" in str(caught.value), "the message names the file"
    with pytest.raises(FileError, match=reason):  # and the same from memory, as out of an archive
        read_all(path.read_bytes())


@pytest.mark.parametrize("what", [name for name in hostile.FILES if "link" in name or "storage" in name or "virtual" in name])
def test_hostile_files_would_have_worked_with_plain_h5py(tmp_path, what):
    """The attack is real: h5py itself follows where the file leads."""
    path = tmp_path / "model.h5"
    hostile.FILES[what][0](path)
    with h5py.File(path) as file:
        root = file.get("model_weights", file)
        stolen = "external" in what or "another file" in what
        assert what == "soft link as the weights group" or root["dense/dense/kernel:0"][()].tolist() == (
            hostile.SECRET.tolist() if stolen else [0] * 4
        )


def test_errors_are_both_kinds_that_keras_programs_catch(tmp_path):
    with pytest.raises(ValueError, match="There is no file"):
        read_all(tmp_path / "a.h5")
    with pytest.raises(OSError, match="There is no file"):
        read_all(tmp_path / "a.h5")


def test_a_missing_file_or_folder_is_named(tmp_path):
    with pytest.raises(MissingFileError, match=r"There is no file '.*a\.h5'\."):
        read_all(tmp_path / "a.h5")
    with pytest.raises(FileNotFoundError, match=r"the folder '.*missing' does not exist"):
        read_all(tmp_path / "missing" / "a.h5")


def test_a_name_with_a_null_character_is_no_file():
    with pytest.raises(MissingFileError, match="There is no file"):
        read_all("a\0b")  # type: ignore[arg-type]


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(FolderError, match=r"is a folder\. Give the file in it"):
        read_all(tmp_path)


def test_tensorflow_folders_and_checkpoints_tell_how_to_turn_them_into_h5(tmp_path):
    (tmp_path / "saved_model.pb").touch()
    with pytest.raises(IsADirectoryError, match=r"SavedModel folder.*tf\.keras\.models\.load_model\('.*'\).*model\.save\('model\.h5'\)"):
        read_all(tmp_path)
    (tmp_path / "ckpt.index").touch()
    with pytest.raises(MissingFileError, match=r"TensorFlow checkpoint.*load_weights\('.*ckpt'\).*save_weights"):
        read_all(tmp_path / "ckpt")
    (tmp_path / "saved_model.pb").unlink()
    (tmp_path / "checkpoint").touch()
    with pytest.raises(FolderError, match="folder of TensorFlow checkpoints"):
        read_all(tmp_path)


def test_no_permission_is_said(tmp_path, monkeypatch):
    hostile.good(tmp_path / "a.h5").close()
    monkeypatch.setattr(os, "access", lambda *args, **options: False)
    with pytest.raises(NoPermissionError, match=r"No permission to read '.*a\.h5'"):
        read_all(tmp_path / "a.h5")


def test_a_pipe_does_not_hang_the_reader(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileError, match="is a device or a pipe"):
        read_all(tmp_path / "pipe")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"PK\x03\x04 and so on", r"it looks like a zip archive \(a \.keras file"),
        (b"\x80\x05 pickle", "it looks like a Python pickle"),
        (b'{"class_name": "Model"}', "it looks like a JSON text"),
        (b"<!DOCTYPE html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        (b"nonsense", "it begins with b'nonsense'"),
        (b"\x89HDF\r\n\x1a\n", "the file is cut short or damaged"),
    ],
)
def test_other_kinds_of_files_are_recognized(tmp_path, content, reason):
    (tmp_path / "a.h5").write_bytes(content)
    with pytest.raises(DamagedFileError, match=f"cannot be read as an HDF5 file: .*{reason}"):
        read_all(tmp_path / "a.h5")


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.999])
def test_a_file_that_was_cut_short_is_recognized(tmp_path, part):
    hostile.good(tmp_path / "a.h5").close()
    content = (tmp_path / "a.h5").read_bytes()
    (tmp_path / "a.h5").write_bytes(content[: int(part * len(content))])
    with pytest.raises(DamagedFileError, match=r"cut short or damaged.*truncated|cut short or damaged"):
        read_all(tmp_path / "a.h5")


def make(path: Path, **arrays: object) -> None:
    with h5py.File(path, "w") as file:
        for name, value in arrays.items():
            file[name] = value


def test_shape_and_type_are_compared_before_reading(tmp_path):
    make(tmp_path / "a.h5", x=np.zeros((3, 4), np.float32), n=np.arange(3), big=np.zeros(3, ">f8"), flag=np.array([True, False]))
    with open_safely(tmp_path / "a.h5") as file:
        assert file.array("x").shape == (3, 4)
        assert file.read("x", (3, 4), "f").dtype == np.float32
        with pytest.raises(ContentError, match=r"/x has the shape \(3, 4\), but \(4, 3\) is needed"):
            file.read("x", (4, 3))
        with pytest.raises(ContentError, match=r"/n holds integer numbers \(int64\), but floating point is needed"):
            file.read("n", (3,), "f")
        assert file.read("big", (3,)).dtype == np.dtype("=f8")
        np.testing.assert_array_equal(file.read("flag", (2,), "b"), [True, False])


@pytest.mark.parametrize("dtype", ["f2", "f4", ">f4", "f8", "i1", "u2", ">i4", "i8", "?"])
@pytest.mark.parametrize("packing", [{}, {"chunks": (2, 3)}, {"chunks": (2, 3), "compression": "gzip", "shuffle": True, "fletcher32": True}], ids=str)
def test_every_type_and_packing_is_read_as_h5py_reads_it(tmp_path, dtype, packing):
    value = (np.arange(35).reshape(5, 7) % 11 - 3).astype(dtype)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=value, **packing)
    with open_safely(tmp_path / "a.h5") as file:
        read = file.read("x", (5, 7))
    np.testing.assert_array_equal(read, value)
    assert read.dtype == value.dtype.newbyteorder("=")


def test_chunks_that_were_never_written_hold_the_fill_value(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        array = file.create_dataset("x", shape=(6,), dtype="f4", chunks=(2,), fillvalue=7.5, compression="gzip")
        array[2:4] = 1
    with open_safely(tmp_path / "a.h5") as file:
        assert file.read("x", (6,)).tolist() == [7.5, 7.5, 1, 1, 7.5, 7.5]


def test_bfloat16_of_keras_3_is_read_as_float32(tmp_path):
    value = np.array([[1.0, -2.5], [0.0, 3e38]], np.float32)
    upper = (value.view(np.uint32) >> 16).astype(np.uint16)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, packing in (("x", {}), ("packed", {"chunks": (1, 2), "compression": "gzip"})):
            array = file.create_dataset(name, data=upper.view("V2"), **packing)
            array.attrs["dtype"] = "bfloat16"
    with open_safely(tmp_path / "a.h5") as file:
        for name in ("x", "packed"):
            read = file.read(name, (2, 2), "f")
            np.testing.assert_array_equal(read, (upper.astype(np.uint32) << 16).view(np.float32))


def test_scalars_and_empty_arrays_are_read(tmp_path):
    make(tmp_path / "a.h5", scalar=np.float32(2.5), empty=np.zeros((0, 3), np.float32))
    with open_safely(tmp_path / "a.h5") as file:
        assert file.read("scalar", ()) == 2.5
        assert file.read("empty", (0, 3)).shape == (0, 3)


def test_members_are_found_by_path(tmp_path):
    make(tmp_path / "a.h5", **{"a/b/c": np.ones(2)})
    with open_safely(tmp_path / "a.h5") as file:
        assert "a/b/c" in file
        assert "a/x/c" not in file
        assert "a/b/c/d" not in file
        assert file.get("x") is None
        assert list(file.group("a")) == ["b"]
        assert isinstance(file.get("a/b"), SafeGroup)
        assert [type(member) for member in file.walk()] == [SafeGroup, SafeGroup, SafeArray]
        assert repr(file.array("a/b/c")).startswith("<array /a/b/c of ")
        with pytest.raises(ContentError, match=r"nothing is called 'x/y' in /\. Its members are: a"):
            file.array("x/y")


def test_a_group_inside_itself_ends_the_walk(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        group = file.create_group("a")
        group["again"] = group
    with open_safely(tmp_path / "a.h5") as file, pytest.raises(LimitError, match="limits names and depth"):
        list(file.walk())


def test_attributes_of_all_kinds_are_read(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["bytes"] = "größe".encode()
        file.attrs["text"] = "größe"
        file.attrs["fixed"] = np.bytes_(b"fixed")
        file.attrs["list"] = ["a", "bc"]
        file.attrs["fixed_list"] = np.array([b"a", b"bc"])
        file.attrs["number"] = 3
        file.attrs["numbers"] = np.array([1.5, 2.5])
        file.attrs["nothing"] = h5py.Empty("f4")
        file.attrs["record"] = np.zeros(1, hostile.RECORD)
        file.attrs["one"] = ["only"]
    with open_safely(tmp_path / "a.h5") as file:
        assert [file.text(name) for name in ("bytes", "text", "fixed")] == ["größe", "größe", "fixed"]
        assert [file.names(name) for name in ("list", "fixed_list", "one", "nothing")] == [["a", "bc"], ["a", "bc"], ["only"], []]
        assert file.attribute("number") == 3
        assert file.attribute("numbers").tolist() == [1.5, 2.5]
        assert not file.has_attribute("other")
        with pytest.raises(ContentError, match="attribute 'number' of / should be a text, but is int"):
            file.text("number")
        with pytest.raises(ContentError, match="attribute 'text' of / should be a list of names, but is str"):
            file.names("text")
        with pytest.raises(ContentError, match="attribute 'other' of / is missing"):
            file.text("other")
        with pytest.raises(ContentError, match="attribute 'record' of / is neither a text nor a number"):
            file.attribute("record")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"names": 3}, "attribute 'layer_names' of / has 5 elements, more than the limit names=3"),
        ({"attribute_bytes": 10}, "attribute 'layer_names' of / takes 35 bytes, more than the limit attribute_bytes=10"),
        ({"array_bytes": 100}, r"/layer_0/x declares the shape \(50,\), 200 bytes, more than the limit array_bytes=100"),
        ({"total_bytes": 700}, "/layer_3/x .* with it the file comes to more than the limit total_bytes=700"),
        ({"depth": 1}, r"the name 'x/y'\.\.\. has 2 parts, more than the limit depth=1"),
        ({"free_bytes": 10, "expansion": 1}, None),
    ],
    ids=str,
)
def test_limits_hold_and_can_be_changed(tmp_path, change, reason):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["layer_names"] = np.array([f"layer_{n}".encode() for n in range(5)])
        for number in range(5):
            group = file.create_group(f"layer_{number}")
            group.attrs["weight_names"] = np.array([b"x"])
            group["x"] = np.zeros(50, np.float32)

    def read() -> None:
        with open_safely(tmp_path / "a.h5") as file:
            for _, arrays in read_weight_groups(file):
                for _, array in arrays:
                    array.read(None)
            file.get("x/y")

    read()
    with using_limits(**change):
        if reason is None:
            read()
        else:
            with pytest.raises(LimitError, match=reason):
                read()


def test_an_array_that_the_model_has_room_for_needs_no_limit(tmp_path):
    make(tmp_path / "a.h5", x=np.zeros(1000))
    with using_limits(array_bytes=1, total_bytes=1, free_bytes=1, expansion=1), open_safely(tmp_path / "a.h5") as file:
        assert file.read("x", (1000,)).shape == (1000,)
        with pytest.raises(LimitError, match="array_bytes=1"):
            file.read("x", None)


def test_packed_zeros_of_a_genuine_array_are_read(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=np.zeros((3_000, 2_000), np.float32), compression="gzip")
    with open_safely(tmp_path / "a.h5") as file:
        assert not file.read("x", None).any()


@pytest.mark.parametrize("changes", [{"nonsense": 3}, {"names": 0}, {"names": "many"}], ids=str)
def test_limits_that_make_no_sense_are_refused(changes):
    with pytest.raises(ValueError, match=r"no limit 'nonsense'|whole numbers above 0"), using_limits(**changes):
        pass


def test_many_names_of_any_length_beside_a_long_config_are_read(tmp_path):
    """As Keras 3 writes old-style files: long enough that the look at the stored texts is needed."""
    names = [f"layer_{number}" for number in range(500)]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["model_config"] = "c" * 400_000
        file.attrs.create("layer_names", names, dtype=h5py.string_dtype())
    for source in (tmp_path / "a.h5", io.BytesIO((tmp_path / "a.h5").read_bytes())):
        with open_safely(source) as file:
            assert file.names("layer_names") == names
            assert len(file.text("model_config")) == 400_000


@pytest.mark.parametrize("form", [{}, {"libver": "latest"}, {"userblock_size": 512}, {"libver": ("v110", "v110")}], ids=str)
@pytest.mark.parametrize("count", [1, 5, 40])
def test_texts_are_found_in_every_form_of_a_file(tmp_path, form, count):
    """Old and new headers, one block or several, attributes kept apart, addresses that do not count from the start."""
    with h5py.File(tmp_path / "a.h5", "w", **form) as file:
        group = file.create_group("g", track_order=True)
        for number in range(count):
            group.attrs[f"text_{number}"] = f"value {number}" * 20
            group.attrs.create(f"list_{number}", [f"a{number}", "", "b"], dtype=h5py.string_dtype())
    with open_safely(tmp_path / "a.h5") as file:
        for number in range(count):
            assert file.group("g").text(f"text_{number}") == f"value {number}" * 20
            assert file.group("g").names(f"list_{number}") == [f"a{number}", "", "b"]


def test_an_attribute_that_was_changed_in_place_is_read(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["model_config"] = "old" * 5_000
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file.attrs["model_config"] = "new" * 9_000
        file.attrs.modify("model_config", "newest")
    with open_safely(tmp_path / "a.h5") as file:
        assert file.text("model_config") == "newest"
