"""`python -m torchkeras inspect`: what it tells of genuine, foreign and hostile files, without running anything of them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from tests.golden_cases import GOLDEN
from tests.saving import attacks, hostile
from torchkeras import layers, losses
from torchkeras.cli import inspection, main
from torchkeras.cli.inspect import inspect_apart, lines_of
from torchkeras.cli.inspection import inspect_file
from torchkeras.layers import Dense, Layer
from torchkeras.models import Sequential
from torchkeras.saving.errors import DamagedFileError, FileError

GENUINE = sorted(path for path in GOLDEN.glob("*/saved/*") if path.suffix in (".h5", ".keras", ".json"))


@pytest.mark.parametrize("path", GENUINE, ids=lambda path: f"{path.parts[-3]}/{path.name}")
def test_genuine_files_are_told_in_full(path):
    report = inspect_file(str(path))
    if "lambda" not in path.name:
        assert not report["dangers"] and not report["problems"], report
        assert set(report["custom_objects"]) <= {"MyInit", "MyReg"}
    whole = "weights" not in path.name
    assert ("model" in report) == whole
    if whole and path.suffix != ".json":
        release = path.parts[-3].removeprefix("tf.").removeprefix("keras-")
        assert report["keras_version"].startswith(release) if release != "1.2.2" else report["follows"] == "1.2.2"
        assert report["optimizer"]["class"] and report["loss"]
        assert any("Total params" in line for line in report["summary"])
    assert list(lines_of(report))


def compiled(*more):
    model = Sequential([Dense(4, activation="relu", input_shape=(3,)), *more, Dense(2)])
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)
    return model


@pytest.mark.parametrize("ending", [".h5", ".keras", ".pt", ".safetensors"])
def test_own_files_of_every_kind(ending, tmp_path):
    path = tmp_path / f"m{ending}"
    compiled().save(path)
    report = inspect_file(str(path))
    assert "a whole model" in report["kind"] and not report["dangers"] and not report["problems"]
    assert report["optimizer"]["class"].lower() == "adam"
    assert report["optimizer_state"] is (ending != ".safetensors")
    assert report["weights"]["numbers"] == report["parameters"] == 26
    text = "\n".join(lines_of(report))
    assert re.search(r"Optimizer: +Adam\(.*, with(out)? its state", text) and "Custom objects:  none needed" in text


@pytest.mark.parametrize("name", ["w.pt", "w.safetensors", "w.h5"])
def test_files_of_weights(name, tmp_path):
    compiled().save_weights(tmp_path / name)
    report = inspect_file(str(tmp_path / name))
    assert "weights only" in report["kind"] and "model" not in report
    assert report["weights"] == {"arrays": 4, "numbers": 26} and any("(3, 4)" in line or "(4, 3)" in line for line in report["names"])


class Mine(Layer):
    def call(self, x):
        return x

    def get_config(self):
        return super().get_config()


def squashed(x):
    return x / (1 + abs(x))


def test_objects_of_the_user_are_named_and_nothing_is_made(tmp_path):
    def my_loss(y_true, y_pred):
        return (y_true - y_pred).square().mean(-1)

    model = Sequential([Dense(4, activation=squashed, input_shape=(3,)), Mine(), layers.Lambda(squashed), Dense(2)])
    model.compile("adam", my_loss, metrics=[my_loss, "mae"])
    model.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)
    for ending in (".h5", ".keras", ".pt"):
        model.save(tmp_path / f"m{ending}")
        report = inspect_file(str(tmp_path / f"m{ending}"))
        assert set(report["custom_objects"]) == {"Mine", "squashed", "my_loss"}, ending
        assert "summary" not in report and any("Mine" in line for line in report["layers"])
        assert "Layers (as the file names them; the model was not made):" in list(lines_of(report))


@pytest.mark.parametrize("keras3", [False, True])
def test_code_in_a_file_is_told_and_not_run(keras3, tmp_path, monkeypatch):
    monkeypatch.delenv(attacks.OWNED, raising=False)
    if keras3:
        path = attacks.archive_config(tmp_path / "m.keras", lambda config: attacks.layer_list(config).append(attacks.lambda_layer(keras3=True)))
    else:
        path = attacks.hdf5_config(tmp_path / "m.h5", lambda config: attacks.layer_list(config).append(attacks.lambda_layer()))
    with attacks.watched() as events:
        report = inspect_file(str(path))
    assert not [event for event in events if event[0] in ("marshal.loads", "os.system", "subprocess.Popen", "pickle.find_class", "socket.connect")]
    assert any("bytecode of a Lambda" in danger["what"] for danger in report["dangers"])
    assert attacks.OWNED not in os.environ and "summary" not in report


def test_modules_that_a_file_names_are_dangers(tmp_path):
    def change(config):
        attacks.layer_list(config).append({"module": "os", "class_name": "function", "config": "system", "registered_name": "function"})

    report = inspect_file(str(attacks.archive_config(tmp_path / "m.keras", change)))
    assert any("'os'" in danger["what"] for danger in report["dangers"]), report["dangers"]


@pytest.mark.parametrize("what", hostile.FILES)
def test_hostile_hdf5_files_give_a_report_or_a_clean_error(what, tmp_path):
    make, reason = hostile.FILES[what]
    path = tmp_path / "m.h5"
    hostile.secret_file(tmp_path)
    make(path)
    try:
        report = inspect_file(str(path))
    except FileError:
        return
    told = [*(danger["what"] for danger in report["dangers"]), *report["problems"]]
    if any(words in what for words in ("link", "storage", "virtual", "shape", "from the root", "climbs")):
        assert any(re.search(reason, words) for words in told), told


def test_torch_files_that_run_code_are_refused(tmp_path):
    class Command:
        def __reduce__(self):
            return (os.system, ("true",))

    torch.save({"weight": Command()}, tmp_path / "m.pt")
    report = inspect_file(str(tmp_path / "m.pt"))
    assert "names functions or classes" in report["dangers"][0]["what"]


def test_models_that_cannot_be_built_are_told(tmp_path):
    path = attacks.hdf5_config(tmp_path / "m.h5", lambda config: attacks.layer_list(config)[-1]["config"].update(units=-3))
    report = inspect_file(str(path))
    assert any("units of at least 1" in problem for problem in report["problems"]) and report["layers"]

    def future(file):
        file.attrs["keras_version"] = "7.0.0"

    report = inspect_file(str(attacks.hdf5(tmp_path / "n.h5", future)))
    assert any("newer than this library knows" in problem for problem in report["problems"])


def test_what_is_no_model_file(tmp_path):
    (tmp_path / "text.h5").write_text("hello")
    with pytest.raises(DamagedFileError, match="cannot be read as an HDF5 file"):
        inspect_file(str(tmp_path / "text.h5"))
    (tmp_path / "list.json").write_text("{")
    assert "no valid JSON" in inspect_file(str(tmp_path / "list.json"))["problems"][0]
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["numbers"] = np.ones(3)
    report = inspect_file(str(tmp_path / "other.h5"))
    assert "weights only" in report["kind"] and any("without weights of Keras" in problem for problem in report["problems"])


# -- the command


def test_the_command_prints_the_report(tmp_path, capsys):
    compiled(layers.Dropout(0.5)).save(tmp_path / "m.h5")
    assert main(["inspect", str(tmp_path / "m.h5")]) == 0
    printed = capsys.readouterr().out
    for words in (
        "Kind:            HDF5, a whole model",
        "Written by:      Keras 2.4.0, backend tensorflow",
        "dropout (Dropout)",
        'Loss:            "mse"',
    ):
        assert words in printed
    assert main(["inspect", "--json", str(tmp_path / "m.h5")]) == 0
    assert json.loads(capsys.readouterr().out)["parameters"] == 26


def test_dangers_give_another_exit_status(tmp_path, capsys):
    path = attacks.hdf5_config(tmp_path / "m.h5", lambda config: attacks.layer_list(config).append(attacks.lambda_layer()))
    assert main(["inspect", str(path)]) == 2
    assert "at config.layers[" in capsys.readouterr().out
    assert main(["inspect", str(tmp_path / "missing.h5")]) == 1
    assert "There is no file" in capsys.readouterr().err


def test_a_file_without_end_of_memory_or_time_is_given_up(tmp_path):
    compiled().save(tmp_path / "m.h5")
    (tmp_path / "wide.json").write_text('{"class_name": "Sequential", "config": [' + "[[]]," * 8_000_000 + "[]]}")
    assert "more memory than" in inspect_apart(str(tmp_path / "wide.json"), memory=256)["error"]
    assert "took more time than the limit" in inspect_apart(str(tmp_path / "m.h5"), seconds=0)["error"]


def test_no_module_beside_the_file_is_imported(tmp_path):
    compiled().save(tmp_path / "m.h5")
    for name in ("h5py", "json", "numpy"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported the wrong one')")
    program = "import sys; sys.path[:] = [entry for entry in sys.path if entry]; from torchkeras.cli import main; sys.exit(main(['inspect', 'm.h5']))"
    environment = {**os.environ, "PYTHONPATH": str(Path(inspection.__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0 and "Total params: 26" in done.stdout, done.stderr


def test_control_characters_do_not_reach_the_terminal(tmp_path, capsys):
    def change(config):
        attacks.layer_list(config).append({"class_name": "\x1b[2Jgone", "config": {"name": "x"}})

    main(["inspect", str(attacks.hdf5_config(tmp_path / "m.h5", change))])
    printed = capsys.readouterr().out
    assert "\x1b" not in printed and "\\x1b[2Jgone" in printed


def test_losses_with_configs_are_known(tmp_path):
    model = Sequential([Dense(2, input_shape=(3,))])
    model.compile("sgd", losses.Huber(delta=2.0), metrics=["accuracy", "AUC"])
    model.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)
    model.save(tmp_path / "m.h5")
    report = inspect_file(str(tmp_path / "m.h5"))
    assert report["custom_objects"] == [] and report["loss"]["class_name"] == "Huber"


FUZZ = """
import sys, tempfile, warnings
from pathlib import Path
from tests.saving.fuzzing import case
from torchkeras.cli.inspect import lines_of
from torchkeras.cli.inspection import inspect_file
from torchkeras.saving.errors import FileError
warnings.simplefilter("ignore")
told = refused = 0
with tempfile.TemporaryDirectory() as folder:
    for number in range(250):
        kind, data = case(7, number)
        path = Path(folder) / f"m{kind}"
        path.write_bytes(data)
        try:
            list(lines_of(inspect_file(str(path))))
            told += 1
        except FileError:
            refused += 1
print(told, refused)
"""


def test_damaged_files_give_a_report_or_a_clean_error():
    done = subprocess.run([sys.executable, "-c", FUZZ], capture_output=True, text=True, cwd=Path(__file__).parents[2], timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    told, refused = map(int, done.stdout.split())
    assert told > 50 and refused > 50
