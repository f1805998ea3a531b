"""Names, paths, archives and pickles that come from elsewhere: nothing is written or read outside of the place that the caller gave."""

from __future__ import annotations

import ast
import functools
import io
import os
import pickle
import re
import stat
import tarfile
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from tests.saving import attacks
from torchkeras import Sequential, callbacks, datasets, layers
from torchkeras.models import load_model
from torchkeras.saving.errors import DamagedFileError, UnsafeFileError
from torchkeras.utils import archives, get_file

ROOT = Path(__file__).parents[2]


class Command:
    """What a pickle runs when it is read without care."""

    def __reduce__(self):
        return exec, (f"import os; os.environ[{attacks.OWNED!r}] = 'yes'",)


@pytest.fixture(autouse=True)
def nothing_runs():
    yield
    assert attacks.OWNED not in os.environ


def named(name: str) -> Sequential:
    model = Sequential([layers.Embedding(5, 2, input_length=3, name=name), layers.Flatten(), layers.Dense(1)])
    model.compile("adam", "mse")
    return model


@pytest.mark.parametrize("name", ["../../x", "..", "../layers/y", "a/../../../b", "C:\\x", "~/x", "${HOME}"])
@pytest.mark.parametrize("ending", [".h5", ".keras", ".weights.h5"])
def test_the_name_of_a_layer_is_no_path_on_writing(tmp_path, name, ending):
    folder = tmp_path / "deep" / "deeper"
    folder.mkdir(parents=True)
    before = set(tmp_path.rglob("*"))
    model, file = named(name), folder / f"model{ending}"
    if ending == ".weights.h5":
        model.save_weights(file)
        again = named(name)
        again.load_weights(file)
    else:
        model.fit(np.ones((4, 3)), np.ones(4), verbose=0)
        model.save(file)
        again = load_model(file)
        assert again.layers[0].name == name
    for one, two in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    assert set(tmp_path.rglob("*")) - before == {file}
    if ending != ".keras":
        with h5py.File(file) as read:
            assert all("/x" not in key for key in read)


@pytest.mark.parametrize("name", ["/x", "a//b", "a/", "", "a\0b", "a/./b"])
def test_a_name_that_hdf5_would_take_for_another_place_is_refused(tmp_path, name):
    model = Sequential([layers.Dense(2, input_shape=(3,), name="first"), layers.Dense(2, name=name)])
    model.layers[1].name = name
    with pytest.raises(ValueError, match=r"A (layer|weight) called .* cannot be written to HDF5.*Rename it"):
        model.save_weights(tmp_path / "a.h5")
    assert not list(tmp_path.iterdir())


def test_callbacks_write_below_their_folder_whatever_layers_are_called(tmp_path):
    folder = tmp_path / "deep" / "logs"
    folder.mkdir(parents=True)
    board = callbacks.TensorBoard(str(folder), histogram_freq=1, embeddings_freq=1)
    keep = callbacks.ModelCheckpoint(str(folder / "{epoch}.h5"))
    named("../../x").fit(np.ones((4, 3)), np.ones(4), verbose=0, callbacks=[board, keep])
    assert [path for path in tmp_path.rglob("*") if path.is_file() and folder not in path.parents] == []


def tar_of(member: tarfile.TarInfo, before: tarfile.TarInfo | None = None) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for info in [*([before] if before else []), member]:
            info.size = 1 if info.isreg() else 0
            archive.addfile(info, io.BytesIO(b"x") if info.isreg() else None)
    return data.getvalue()


def info(name: str, kind: bytes = tarfile.REGTYPE, to: str = "") -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.linkname = kind, to
    return found


def zip_of(name: str, mode: int = stat.S_IFREG | 0o644, content: bytes = b"x") -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        entry = zipfile.ZipInfo(name)
        entry.external_attr = mode << 16
        entry.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(entry, content)
    return data.getvalue()


ARCHIVES = {
    "tar: parent": ("tar.gz", lambda: tar_of(info("../../evil"))),
    "tar: parent further down": ("tar.gz", lambda: tar_of(info("a/b/../../../evil"))),
    "tar: absolute": ("tar.gz", lambda: tar_of(info("/tmp/torchkeras_evil"))),
    "tar: symbolic link": ("tar.gz", lambda: tar_of(info("link", tarfile.SYMTYPE, "/etc"))),
    "tar: through a symbolic link": ("tar.gz", lambda: tar_of(info("link/evil"), info("link", tarfile.SYMTYPE, ".."))),
    "tar: hard link": ("tar.gz", lambda: tar_of(info("link", tarfile.LNKTYPE, "/etc/passwd"))),
    "tar: hard link to a member outside": ("tar.gz", lambda: tar_of(info("link", tarfile.LNKTYPE, "../secret"))),
    "tar: device": ("tar.gz", lambda: tar_of(info("null", tarfile.CHRTYPE))),
    "tar: path too long": ("tar.gz", lambda: tar_of(info("/".join(["a" * 200] * 30) + "/../" * 40 + "evil"))),
    "zip: parent": ("zip", lambda: zip_of("../../evil")),
    "zip: absolute": ("zip", lambda: zip_of("/tmp/torchkeras_evil")),
    "zip: symbolic link": ("zip", lambda: zip_of("link", stat.S_IFLNK | 0o777, b"/etc/passwd")),
    "zip: path too long": ("zip", lambda: zip_of("a" * 300)),
    "zip: bomb": ("zip", lambda: zip_of("zeros", content=bytes(1 << 20))),
}


@pytest.mark.parametrize("what", ARCHIVES)
def test_get_file_unpacks_no_archive_that_leads_out(tmp_path, what, monkeypatch):
    monkeypatch.setattr(archives, "ALLOWANCE", 1000)  # so that the bomb can be a small one
    ending, make = ARCHIVES[what]
    source = tmp_path / "source" / f"set.{ending}"
    source.parent.mkdir()
    source.write_bytes(make())
    cache = tmp_path / "deep" / "cache"
    with pytest.raises(ValueError, match="is refused"):
        get_file(f"set.{ending}", source.as_uri(), extract=True, cache_dir=cache, cache_subdir="sets")
    left = sorted(path.name for path in (tmp_path / "deep").rglob("*") if path.is_file() or path.is_symlink())
    assert [name for name in left if not name.startswith("set.")] == []
    assert not Path("/tmp/torchkeras_evil").exists()


@pytest.mark.parametrize("end", ["..%2f..%2fevil", "%2e%2e", "a%5cb", "a%00b", ""])
def test_a_file_name_is_taken_from_a_url_only_where_it_is_one(tmp_path, end):
    with pytest.raises(ValueError, match="no safe file name in the URL"):
        get_file(None, f"{tmp_path.as_uri()}/{end}", cache_dir=tmp_path / "cache")
    assert not (tmp_path / "cache").exists() or not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", ["../evil", "..", "a/../../evil", "..\\evil"])
def test_a_file_name_of_the_caller_stays_below_the_cache(tmp_path, name):
    source = tmp_path / "source"
    source.write_bytes(b"x")
    with pytest.raises(ValueError, match="a name inside the cache folder"):
        get_file(name, source.as_uri(), cache_dir=tmp_path / "cache")


def npz(path: Path, **arrays: np.ndarray) -> str:
    np.savez_compressed(path, **arrays)
    return str(path)


def objects(value: object) -> np.ndarray:
    found = np.empty(1, object)
    found[0] = value
    return found


LOADERS = {
    "mnist": (datasets.mnist.load_data, ("x_train", "y_train", "x_test", "y_test")),
    "imdb": (datasets.imdb.load_data, ("x_train", "y_train", "x_test", "y_test")),
    "reuters": (datasets.reuters.load_data, ("x", "y")),
    "boston_housing": (datasets.boston_housing.load_data, ("x", "y")),
}


@pytest.mark.parametrize("which", LOADERS)
def test_pickles_in_data_sets_run_nothing(tmp_path, which):
    load, names = LOADERS[which]
    path = npz(tmp_path / "set.npz", **{name: objects([Command()]) for name in names})
    with attacks.watched() as events, pytest.raises(ValueError, match=r"is refused: it names builtins.exec|holds object, not numbers"):
        load(path=path)
    assert [event for event in events if event[0] in ("pickle.find_class", "exec")] == []


@pytest.mark.parametrize("which", LOADERS)
def test_bombs_in_data_sets_are_not_unpacked(tmp_path, which):
    load, names = LOADERS[which]
    path = str(tmp_path / "set.npz")
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (2**50,)})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(f"{name}.npy", header.getvalue() + bytes(64))
    with pytest.raises(ValueError, match=r"says that it has .* bytes, but only|out of all proportion|is broken"):
        load(path=path)


def test_a_pickle_in_the_place_of_a_model_runs_nothing(tmp_path):
    path = tmp_path / "model.h5"
    path.write_bytes(pickle.dumps(Command()))
    for call in (lambda: load_model(path), lambda: attacks.model().load_weights(path)):
        with pytest.raises(DamagedFileError, match="it looks like a Python pickle"):
            call()


def test_a_torch_file_that_runs_code_is_refused(tmp_path):
    for old in (False, True):
        path = tmp_path / "model.h5"
        torch.save({"weight": Command()}, path, _use_new_zipfile_serialization=not old)
        for call in (lambda: load_model(path), lambda: attacks.model().load_weights(path)):  # noqa: B023 - called at once
            with pytest.raises((UnsafeFileError, DamagedFileError), match=r"torch\.save|a Python pickle"):
                call()


@functools.cache
def all_calls() -> list[tuple[str, str, ast.Call]]:
    """Every call in the package: where it stands, what is called, the call."""
    found = []
    for path in sorted((ROOT / "torchkeras").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, (ast.Name, ast.Attribute)):
                found.append((f"{path.relative_to(ROOT)}:{node.lineno}", ast.unparse(node.func), node))
    return found


def calls(name: str) -> list[tuple[str, ast.Call]]:
    """Every call of `something.name(...)` in the package."""
    return [(place, call) for place, called, call in all_calls() if called.endswith(name)]


def test_torch_files_are_read_as_plain_weights_only():
    reads = calls("torch.load")
    assert reads
    for place, call in reads:
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        assert given.get("weights_only") == "True", place


def test_numpy_files_are_read_without_pickles():
    for place, call in calls("np.load"):
        assert {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}.get("allow_pickle") == "False", place


def test_nothing_that_comes_from_elsewhere_is_unpickled():
    """Pickles are what our own worker processes send, and copies of exceptions; the other reader knows plain data and the names of numpy alone."""
    users = {place.partition(":")[0] for name in ("pickle.load", "pickle.loads", "Unpickler") for place, _ in calls(name)}
    assert users == {"torchkeras/utils/worker_process.py", "torchkeras/utils/shared_memory.py", "torchkeras/datasets/plain_pickle.py"}


def test_a_torch_is_needed_whose_reader_of_plain_weights_is_mended():
    lowest = re.search(r'"torch>=([\d.]+)"', (ROOT / "pyproject.toml").read_text())
    assert lowest is not None
    assert tuple(int(part) for part in lowest[1].split(".")) >= (2, 10)
