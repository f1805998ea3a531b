"""Data files of others: plain data is read, anything else is refused and nothing is called."""

import builtins
import io
import os
import pickle
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.datasets.conftest import lists_of
from torchkeras.datasets import npz
from torchkeras.datasets.npz import read_npz
from torchkeras.datasets.plain_pickle import UnsafeData, loads_plain

ROOT = Path(__file__).parents[2]

PLAIN = [
    None,
    [1, 2.5, True, "text", b"bytes", (1, (2,)), {"a": [1], b"b": None}],
    [list(range(10)), [], [-(2**70)]],
    np.arange(6, dtype="uint8").reshape(2, 3),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.arange(3, dtype=">i4"),
    np.array([True, False]),
    np.float32(2.5),
    {"x": lists_of([1, 2], [3]), "n": np.int64(4)},
    lists_of([1, 2], [3]),
    np.zeros((0, 3), "float16"),
]


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("value", PLAIN, ids=range(len(PLAIN)))
def test_plain_data_comes_back(value, protocol):
    np.testing.assert_equal(loads_plain(pickle.dumps(value, protocol), "the file"), value)


def test_names_of_both_numpys_are_known():
    content = pickle.dumps(np.arange(3), 2)
    for core in (b"numpy.core", b"numpy._core"):
        renamed = content.replace(b"numpy._core", core).replace(b"numpy.core.multiarray", core + b".multiarray")
        np.testing.assert_array_equal(loads_plain(renamed, "the file"), [0, 1, 2])


def test_texts_of_python_2_are_bytes_or_texts():
    old = b"(U\x03abcp0\nt."  # ("abc",) as Python 2 wrote it
    assert loads_plain(old, "the file") == (b"abc",)
    assert loads_plain(old, "the file", encoding="latin1") == ("abc",)


class Calls:
    """Asks for a call when it is unpickled."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


class Holder:
    pass


HOSTILE = {
    "os.system": Calls(os.system, "touch /tmp/evil"),
    "eval": Calls(builtins.eval, "1"),
    "getattr": Calls(getattr, "text", "join"),
    "numpy.load": Calls(np.load, "x"),
    "frombuffer": Calls(np.frombuffer, b"x"),
    "within a list": [1, [Calls(os.getcwd)]],
    "an object": Holder(),
    "a class": Holder,
    "a set": {1, 2},
    "objects in an array": lists_of([Calls(os.getcwd)]),
    "texts in an array": np.array(["a"]),
    "a structured array": np.zeros(2, "i4,f8"),
    "a date": np.array(["2020-01-01"], dtype="M8[D]"),
    "complex numbers": np.array([1j]),
    "a plain dtype": np.dtype("f4"),
}


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_anything_else_is_refused(value, protocol):
    with pytest.raises(UnsafeData, match=r"the file is (refused|broken)"):
        loads_plain(pickle.dumps(value, protocol), "the file")


CRAFTED = {
    "a name alone": b"cnumpy\nndarray\n.",
    "an array without contents": b"cnumpy.core.multiarray\n_reconstruct\n)R.",
    "a name that is called": b"cnumpy\nndarray\n)R.",
    "a name that is changed": b"cnumpy.core.multiarray\n_reconstruct\n}b.",
    "attributes of a name": b"cnumpy.core.multiarray\n_reconstruct\nN}\x94S'name'\nS'x'\ns\x86b.",
    "a new object of a name": b"\x80\x02cnumpy\nndarray\n)\x81.",
    "a persistent id": b"Px\n.",
    "an extension": b"\x80\x02\x82\x01.",
    "wrong length": pickle.dumps(np.arange(4, dtype="u1"), 2).replace(b"\x01K\x04\x85", b"\x01K\x05\x85"),
    "an unknown byte order": pickle.dumps(np.arange(4, dtype="<i4"), 2).replace(b"X\x01\x00\x00\x00<", b"X\x01\x00\x00\x00!"),
    "bytes in another encoding": b"c_codecs\nencode\n(Va\nVrot13\ntR.",
    "nothing": b"",
    "a cut": pickle.dumps([1, 2, 3])[:-2],
    "an unhashable key": b"}]Ns.",
}


@pytest.mark.parametrize("content", CRAFTED.values(), ids=CRAFTED)
def test_crafted_pickles_are_refused(content):
    with pytest.raises(UnsafeData, match=r"the file is (refused|broken)"):
        loads_plain(content, "the file")


def test_a_list_that_stands_in_many_places_is_looked_through_once():
    value = [1.5]
    for _ in range(200):
        value = [value, value]
    assert loads_plain(pickle.dumps(value), "the file")[0] is not None


def test_a_list_without_end_is_refused():
    value = []
    value.append(value)
    with pytest.raises(UnsafeData, match="asks for too much: RecursionError"):
        loads_plain(pickle.dumps(value), "the file")


# npz


def test_arrays_come_out_of_npz_files(tmp_path):
    arrays = {"x": np.arange(6.0).reshape(2, 3), "y": np.asfortranarray(np.arange(6).reshape(2, 3)), "z": lists_of([1, 2], [3])}
    np.savez_compressed(tmp_path / "a.npz", **arrays)
    for name, value in read_npz(tmp_path / "a.npz", arrays).items():
        np.testing.assert_array_equal(value, arrays[name])
        assert value.flags.writeable


def npz_of(path, name, content):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return path


def npy_of(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def test_npz_files_that_lie_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    big = npy_of(np.zeros(3)).replace(b"(3,), ", b"(3000,),")
    for name, content, message in (
        ("x.npy", big, "says that it has 24000 bytes, but only"),
        ("x.npy", npy_of(np.array(["a"])), "holds <U1, not numbers"),
        ("x.npy", npy_of(np.zeros(2, "i4,f8")), "not numbers"),
        ("x.npy", b"\x93NUMPY\x07\x00", "unknown version"),
        ("x.npy", b"what", "is broken"),
        ("y.npy", npy_of(np.zeros(1)), r"has no array 'x'; it has \['y\.npy'\]"),
    ):
        with pytest.raises(UnsafeData, match=message):
            read_npz(npz_of(path, name, content), ["x"])


def test_npz_bombs_are_refused_by_their_proportion(tmp_path, monkeypatch):
    monkeypatch.setattr(npz, "ALLOWANCE", 1000)
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros(10**6))
    with pytest.raises(UnsafeData, match="out of all proportion"):
        read_npz(tmp_path / "a.npz", ["x"])


def test_hostile_objects_in_npz_files_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", x=lists_of([Calls(os.getcwd)]))
    with pytest.raises(UnsafeData, match=r"a\.npz is refused: it names (posix|nt)\.getcwd"):
        read_npz(tmp_path / "a.npz", ["x"])
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": (3,)})
    npz_of(tmp_path / "a.npz", "x.npy", file.getvalue() + pickle.dumps([1, 2, 3]))
    with pytest.raises(UnsafeData, match=r"does not have the shape \(3,\)"):
        read_npz(tmp_path / "a.npz", ["x"])


FUZZ = """
    import random, resource, sys, warnings
    from pathlib import Path
    resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
    warnings.simplefilter("ignore")
    from torchkeras.datasets.cifar import load_batch
    from torchkeras.datasets.idx import read_idx
    from torchkeras.datasets.npz import read_npz
    from torchkeras.datasets.plain_pickle import UnsafeData
    folder = Path(sys.argv[1])
    draw = random.Random(3)
    readers = {
        "a.npz": lambda path: read_npz(path, ["x", "y"]),
        "b.pkl": load_batch,
        "c.idx": lambda path: read_idx(path, 3),
        "d.npz": lambda path: read_npz(path, ["x"]),
    }
    fine = refused = 0
    for name, read in readers.items():
        content = (folder / name).read_bytes()
        for _ in range(150):
            changed = bytearray(content)
            kind = draw.randrange(3)
            if kind == 0:
                for _ in range(draw.randrange(1, 8)):
                    changed[draw.randrange(min(len(changed), 600))] ^= 1 << draw.randrange(8)
            elif kind == 1:
                del changed[draw.randrange(len(changed)):]
            else:
                i, j = sorted(draw.randrange(len(changed)) for _ in range(2))
                changed[i:j] = changed[j : j + (j - i)]
            path = folder / ("bad" + name)
            path.write_bytes(changed)
            try:
                read(path)
                fine += 1
            except UnsafeData:
                refused += 1
    print(fine, refused)
"""


def test_damaged_files_raise_only_our_own_error(tmp_path):
    np.savez(tmp_path / "a.npz", x=lists_of(*[range(number) for number in range(30)]), y=np.arange(30))
    (tmp_path / "b.pkl").write_bytes(pickle.dumps({b"data": np.zeros((2, 3072), "uint8"), b"labels": [1, 2]}, protocol=2))
    (tmp_path / "c.idx").write_bytes(b"\x00\x00\x08\x03" + b"\x00\x00\x00\x02" * 3 + bytes(8))
    np.savez_compressed(tmp_path / "d.npz", x=np.arange(500.0))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", textwrap.dedent(FUZZ), str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert ran.returncode == 0, ran.stderr
    fine, refused = map(int, ran.stdout.split())
    assert fine + refused == 600 and refused > 200, ran.stdout
