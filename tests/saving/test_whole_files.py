"""Files are whole or absent: models whose writers are killed or run out of disk, and no writer of the library that goes past the helper."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.saving import attacks
from torchkeras.models import load_model
from torchkeras.utils.plots import plot_history

ROOT = Path(__file__).parents[2]

KILLED = """
import os, random, signal, sys, time, warnings
from pathlib import Path
import numpy as np, torch
from tests.saving import attacks
from torchkeras import Sequential, layers
from torchkeras.models import load_model

torch.set_num_threads(1)
folder, ending, attempts = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
path = folder / f"model.{ending}"
model = Sequential([layers.Dense(300, input_shape=(200,)), layers.Dense(1)])
model.compile("adam", "mse")

def write(number):
    model.set_weights([np.full(weight.shape, number, np.float32) for weight in model.get_weights()])
    model.save(path)

begin = time.perf_counter()
for number in range(3):
    write(number)
once = (time.perf_counter() - begin) / 3
random.seed(3)
seen = set()
for attempt in range(attempts):
    child = os.fork()
    if child == 0:
        while True:
            attempt += 1
            write(attempt)
    time.sleep(random.uniform(0.1, 6) * once)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    values = {float(value) for weight in load_model(path).get_weights() for value in np.unique(weight)}
    assert len(values) == 1, f"torn at attempt {attempt}: {values}"
    seen |= values
left = [name for name in os.listdir(folder) if name.endswith(".tmp")]
model.save(path)
print(len(seen), len(left))
"""


@pytest.mark.parametrize("ending", ["h5", "keras"])
def test_killed_writers_leave_a_whole_model(tmp_path, ending):
    command = [sys.executable, "-c", KILLED, str(tmp_path), ending, "25"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert done.returncode == 0, done.stderr
    versions, left = map(int, done.stdout.split())
    assert versions > 1, "no writer came to an end before it was killed; the test proves nothing"
    assert left > 0, "no writer was killed while it wrote; the test proves nothing"


FULL = """
import resource, sys
from tests.saving import attacks
from torchkeras import Sequential, layers
small, path, how = attacks.model(), sys.argv[1], sys.argv[2]
model = Sequential([layers.Dense(1000, input_shape=(1000,))])
(small.save_weights if how == "weights" else small.save)(path)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))  # bytes: from there on, writes fail
try:
    (model.save_weights if how == "weights" else model.save)(path)
except OSError as error:
    print("refused:", error)
"""


@pytest.mark.parametrize(("name", "how"), [("a.h5", "model"), ("a.keras", "model"), ("a.h5", "weights")])
def test_a_write_that_fails_leaves_the_older_model(tmp_path, name, how):
    path = tmp_path / name
    done = subprocess.run([sys.executable, "-c", FULL, str(path), how], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("refused:")
    assert os.listdir(tmp_path) == [name]
    if how == "weights":
        attacks.model().load_weights(path)
    else:
        assert [layer.name for layer in load_model(path).layers] == ["first", "second"]


def test_a_real_filesystem_that_is_full(tmp_path):
    """Where this user may mount one."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(place)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("no permission to mount a small filesystem")
    try:
        small = attacks.model()
        for ending in ("h5", "keras"):
            path = place / f"a.{ending}"
            small.save(path)
            before = path.read_bytes()
            (place / "filler").write_bytes(bytes(os.statvfs(place).f_bavail * os.statvfs(place).f_frsize))
            with pytest.raises(OSError, match=r"No space left|could not be written"):
                small.save(path)
            (place / "filler").unlink()
            assert path.read_bytes() == before
            assert load_model(path).built
            path.unlink()
        assert os.listdir(place) == []
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_picture_that_cannot_be_drawn_leaves_the_older_one(tmp_path, monkeypatch):
    path = tmp_path / "history.png"
    plot_history({"loss": [3.0, 2.0, 1.0]}, path=path)
    before = path.read_bytes()
    from matplotlib.figure import Figure

    def broken(self: Figure, file: object, **kwargs: object) -> None:
        file.write(b"half a picture")  # type: ignore[attr-defined]
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", broken)
    with pytest.raises(OSError, match="No space left"):
        plot_history({"loss": [1.0, 2.0]}, path=path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["history.png"]


def test_an_image_is_written_whole(tmp_path):
    from torchkeras.preprocessing.image import load_img, save_img

    save_img(tmp_path / "a.png", np.zeros((4, 5, 3)))
    assert load_img(tmp_path / "a.png").size == (5, 4)
    with pytest.raises(ValueError, match=r"'.*a\.what' says no known format: end it in \.png or \.jpg, or give file_format"):
        save_img(tmp_path / "a.what", np.zeros((4, 5, 3)))
    with pytest.raises(TypeError):
        save_img(tmp_path / "a.png", np.zeros((4, 5, 3)), quality=object(), compress_level=object())
    assert os.listdir(tmp_path) == ["a.png"]


# Where files are opened for writing: the helper itself, and files that are unpacked or downloaded under another name first, or that grow.
OWN_WAYS = {
    "torchkeras/utils/atomic.py",
    "torchkeras/utils/archives.py",  # unpacks into a folder of its own, whose entries are then moved into place
    "torchkeras/utils/download.py",  # `name.part`, moved into place when it is complete
    "torchkeras/callbacks/tensorboard/writing.py",  # event files grow by whole events
}


def writes(call: ast.Call) -> bool:
    """Whether a call opens or writes a file."""
    name = ast.unparse(call.func)
    texts = [node.value for node in [*call.args, *(keyword.value for keyword in call.keywords)] if isinstance(node, ast.Constant)]
    modes = [text for text in texts if isinstance(text, str) and len(text) <= 3 and set(text) <= set("wxabrt+") and set(text) & set("wxa+")]
    if name in ("open", "io.open") or name.endswith((".h5py.File", "h5py.File", "ZipFile", ".open")):
        return bool(modes) or name == "os.open"
    return name.endswith((".write_text", ".write_bytes", ".tofile", "np.save", "np.savez", "np.savez_compressed", "np.savetxt", "save_file"))


def test_no_file_is_opened_for_writing_past_the_helper():
    found = []
    for path in sorted((ROOT / "torchkeras").rglob("*.py")):
        name = str(path.relative_to(ROOT))
        tree = ast.parse(path.read_text())
        inside = {
            id(node)
            for block in ast.walk(tree)
            if isinstance(block, ast.With) and "atomic" in ast.unparse(block.items[0])
            for node in ast.walk(block)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and writes(node) and name not in OWN_WAYS and id(node) not in inside:
                found.append(f"{name}:{node.lineno}: {ast.unparse(node)[:100]}")
    assert [place for place in found if "StringIO" not in place and "np.savetxt(text," not in place] == []


def test_pictures_and_torch_files_go_through_the_helper():
    for path in sorted((ROOT / "torchkeras").rglob("*.py")):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if isinstance(node, ast.Call) and (name == "torch.save" or name.endswith((".savefig", "picture.save"))):
                target = ast.unparse(node.args[1 if "torch" in ast.unparse(node.func) else 0])
                # an open file (of the helper, or the caller's own), never a name
                assert target in ("file", "path", "content", "stream", "buffer"), f"{path.name}:{node.lineno}: writes to {target}"
                if target == "path":
                    holder = next(part for part in ast.walk(tree) if isinstance(part, ast.FunctionDef) and node in list(ast.walk(part)))
                    assert "not isinstance(path, (str, os.PathLike))" in ast.unparse(holder), f"{path.name}:{node.lineno}"
