"""Rows out of HDF5 files."""

import builtins
import multiprocessing
import pickle
import sys

import h5py
import numpy as np
import pytest

from torchkeras.utils.io_utils import H5Dict, HDF5Matrix, ask_to_proceed_with_overwrite, load_array, save_array

ROWS = np.arange(60, dtype="float32").reshape(20, 3)


@pytest.fixture
def path(tmp_path):
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["group/x"] = ROWS
        file["scalar"] = 3
    return tmp_path / "data.h5"


def test_it_looks_like_the_array(path):
    matrix = HDF5Matrix(path, "group/x")
    assert matrix.shape == (20, 3) and len(matrix) == 20 and matrix.ndim == 2 and matrix.size == 60 and matrix.dtype == np.float32
    np.testing.assert_array_equal(np.asarray(matrix), ROWS)


@pytest.mark.parametrize(
    "key",
    [
        3,
        -1,
        np.int64(2),
        slice(2, 5),
        slice(None),
        slice(8, 100),
        slice(None, None, 3),
        slice(5, 1, -2),
        slice(4, 4),
        [4, 0, 4, -1],
        [],
        np.array([7, 2]),
    ],
    ids=str,
)
def test_rows_are_those_of_the_array(path, key):
    np.testing.assert_array_equal(HDF5Matrix(path, "group/x", start=5, end=17)[key], ROWS[5:17][key])


def test_a_mask_picks_rows(path):
    mask = np.arange(20) % 3 == 0
    np.testing.assert_array_equal(HDF5Matrix(path, "group/x")[mask], ROWS[mask])


def test_the_normalizer_sees_what_is_read(path):
    matrix = HDF5Matrix(path, "/group/x", normalizer=lambda rows: rows.astype("float64")[..., :2] / 2)
    assert matrix.shape == (20, 2) and matrix.dtype == np.float64
    np.testing.assert_array_equal(matrix[[3, 1]], ROWS[[3, 1], :2] / 2)


def test_it_can_be_pickled_and_copied(path):
    matrix = pickle.loads(pickle.dumps(HDF5Matrix(path, "group/x", 2, 4)))
    np.testing.assert_array_equal(matrix[:], ROWS[2:4])


def _answer(matrix, pipe):
    pipe.send(matrix[7].tolist())


@pytest.mark.skipif(sys.platform != "linux", reason="needs fork")
def test_a_forked_process_opens_the_file_anew(path):
    matrix = HDF5Matrix(path, "group/x")
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=_answer, args=(matrix, there))
    process.start()
    assert here.poll(30) and here.recv() == ROWS[7].tolist()
    process.join()


@pytest.mark.parametrize("key", [20, -21, [0, 20], [0.5], (0, 1, [2]), "x"])
def test_rows_that_are_not_there_are_named(path, key):
    with pytest.raises((IndexError, ValueError), match=r"20 rows|list of row numbers|inhomogeneous"):
        HDF5Matrix(path, "group/x")[key]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("group/y",), r"no 'y' among \['x'\]"),
        (("group",), r"is a group of \['x'\]"),
        (("group/x/z",), "no 'z' among"),
        (("group/x", 5, 30), "rows 5 to 30 of 'group/x', which has 20"),
        (("group/x", -1), "rows -1 to 20"),
        (("scalar", 0, 1), "rows 0 to 1 of 'scalar', which has 0"),
    ],
)
def test_data_that_is_not_there_is_named(path, arguments, message):
    with pytest.raises(ValueError, match=message):
        HDF5Matrix(path, *arguments)


def test_a_file_that_is_no_hdf5_is_named(tmp_path):
    (tmp_path / "no.h5").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"cannot read .*no\.h5"):
        HDF5Matrix(tmp_path / "no.h5", "x")


def test_no_link_or_layout_leads_to_another_file(path, tmp_path):
    layout = h5py.VirtualLayout((20, 3), "float32")
    layout[:] = h5py.VirtualSource(path, "group/x", (20, 3))
    (tmp_path / "raw").write_bytes(bytes(240))
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["soft"] = h5py.SoftLink("/virtual")
        file["external"] = h5py.ExternalLink(str(path), "group/x")
        file.create_virtual_dataset("virtual", layout)
        file.create_dataset("outside", (20, 3), "float32", external=[(str(tmp_path / "raw"), 0, h5py.h5f.UNLIMITED)])
    for name, message in (("soft", "follow the link"), ("external", "follow the link"), ("virtual", "other files"), ("outside", "other files")):
        with pytest.raises(ValueError, match=message):
            HDF5Matrix(tmp_path / "other.h5", name)


def test_arrays_are_saved_and_loaded(tmp_path):
    save_array(ROWS, tmp_path / "a.h5")
    np.testing.assert_array_equal(load_array(tmp_path / "a.h5"), ROWS)


def test_h5dict_tells_what_to_use():
    with pytest.raises(RuntimeError, match=r"h5py\.File"):
        H5Dict("x.h5")


def test_the_question_is_asked_until_it_is_answered(monkeypatch, capsys):
    answers = iter(["what", "y", "n"])
    monkeypatch.setattr(builtins, "input", lambda prompt: next(answers))
    assert ask_to_proceed_with_overwrite("x.h5")
    assert "overwrite=True" in capsys.readouterr().out
    assert not ask_to_proceed_with_overwrite("x.h5")
