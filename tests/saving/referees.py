"""Genuine Keras releases on this machine, where the environment variable TORCHKERAS_REFEREES names the folder of their environments.

The folder has `k224/bin/python` (Keras 2.2.4), `tf24/bin/python` (tf.keras 2.4.0), `k3/bin/python` (Keras 3.15.1).
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

PROGRAM = Path(__file__).with_name("referee_program.py")
FOLDERS = {"2.2.4": "k224", "2.4.0": "tf24", "3.15.1": "k3"}


def interpreter(version: str) -> str:
    """The Python of a release; skips the test where it is not there."""
    folder = os.environ.get("TORCHKERAS_REFEREES")
    if not folder:
        pytest.skip("TORCHKERAS_REFEREES names no folder with genuine Keras releases")
    path = Path(folder) / FOLDERS[version] / "bin" / "python"
    if not path.exists():
        pytest.skip(f"{path} is not installed")
    return str(path)


def ask(version: str, model: Path, x: list[np.ndarray], y: list[np.ndarray]) -> dict[str, list[np.ndarray]]:
    """What a genuine release makes of a model file: predictions before and after two epochs, the losses and the weights."""
    data, output = model.with_suffix(".data.npz"), model.with_suffix(".out.npz")
    np.savez(data, **{f"x{n}": value for n, value in enumerate(x)}, **{f"y{n}": value for n, value in enumerate(y)})
    command = [interpreter(version), str(PROGRAM), str(model), str(data), str(output)]
    environment = {**os.environ, "PYTHONPATH": "", "CUDA_VISIBLE_DEVICES": ""}
    result = subprocess.run([*command, *(["--keras"] if version != "2.4.0" else [])], capture_output=True, text=True, timeout=300, env=environment)
    assert result.returncode == 0, result.stderr[-3000:]
    found = np.load(output)
    assert str(found["version"]) == version
    names = ("before", "loss", "after", "weights")
    return {name: [found[key] for key in sorted(found.files) if key.startswith(name)] for name in names}
