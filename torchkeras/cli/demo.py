"""`demo`: the Keras program examples/digits_cnn.py, watched while it runs, with its results checked."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from torchkeras.utils import set_random_seed
from torchkeras.utils.plots import save_figure

TARGET = 0.97  # test accuracy that the demo must reach


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("--folder", default="logs/digits", help="where weights, logs and the picture go (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=7, help="seed of weights, order and dropout (default: %(default)s)")


def example() -> ModuleType:
    """The program examples/digits_cnn.py.

    Raises:
        FileNotFoundError: the examples are not there (they are part of the repository, not of the installed package).
    """
    path = Path(__file__).parents[2] / "examples" / "digits_cnn.py"
    if not path.exists():
        raise FileNotFoundError(f"The demo runs {path}, which is not there. Run it from a clone of the repository.")
    spec = importlib.util.spec_from_file_location("digits_cnn", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(arguments: argparse.Namespace) -> int:
    """Train, reload, compare, draw; 0 where all holds."""
    started = time.perf_counter()
    program = example()
    folder = Path(arguments.folder)
    folder.mkdir(parents=True, exist_ok=True)
    set_random_seed(arguments.seed)
    print(f"The program: {os.path.relpath(str(program.__file__))}\n")
    model = program.make_model()
    model.summary()
    history = program.train(model, str(folder))
    weights = folder / "best.weights.h5"
    model.load_weights(str(weights))
    fresh = program.make_model()
    fresh.load_weights(str(weights))
    _, (x_test, y_test) = program.load()
    same = bool(np.array_equal(model.predict(x_test), fresh.predict(x_test)))
    loss, accuracy = fresh.evaluate(x_test, y_test, verbose=0)
    picture = draw_curves(history.history, folder / "curves.png")
    _report(folder, weights, picture, same, loss, accuracy, len(history.epoch), time.perf_counter() - started)
    if not same or accuracy < TARGET:
        print(f"FAILED: expected equal predictions and an accuracy of at least {TARGET:.0%}.", file=sys.stderr)
        return 1
    return 0


def _report(folder: Path, weights: Path, picture: Path | None, same: bool, loss: float, accuracy: float, epochs: int, seconds: float) -> None:
    print(f"\nEpochs run:            {epochs} (EarlyStopping watches val_loss)")
    print(f"Best weights:          {weights}")
    print(f"Reloaded into a fresh model: predictions {'are the same' if same else 'DIFFER'}")
    print(f"Test loss, accuracy:   {loss:.4f}, {accuracy:.2%}")
    print(f"Learning curves:       {picture if picture else 'not drawn: pip install matplotlib'}")
    print(f"TensorBoard logs:      {folder / 'tensorboard'}")
    print(f"  open them with:      tensorboard --logdir {folder / 'tensorboard'}")
    print(f"Time:                  {seconds:.1f} s")


def draw_curves(history: dict[str, list[float]], path: Path) -> Path | None:
    """Draw loss and accuracy of training and validation to a PNG; `None` where matplotlib is not installed."""
    try:
        import matplotlib
    except ImportError:
        return None
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(10, 4), constrained_layout=True)
    for axis, name in zip(axes, ("loss", "accuracy"), strict=True):
        _draw(axis, history, name)
    save_figure(figure, path, dpi=110)
    plt.close(figure)
    return path


def _draw(axis: Any, history: dict[str, list[float]], name: str) -> None:
    epochs = range(1, len(history[name]) + 1)
    axis.plot(epochs, history[name], marker="o", markersize=3, label="training")
    axis.plot(epochs, history[f"val_{name}"], marker="o", markersize=3, label="validation")
    axis.set(xlabel="epoch", ylabel=name, title=name)
    axis.grid(alpha=0.3)
    axis.legend()
