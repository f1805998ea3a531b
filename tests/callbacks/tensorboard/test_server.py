"""A real TensorBoard server on a written run: what its HTTP API gives, and what its page shows."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request

import numpy as np
import pytest

from tests.callbacks.recorded import data, make_model
from torchkeras.callbacks import TensorBoard

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A log directory and the history that is in it."""
    folder = tmp_path_factory.mktemp("board")
    x, y = data()
    model = make_model(lr=2.0)
    board = TensorBoard(folder / "first", histogram_freq=5, write_images=True, hparams={"rate": 2.0})
    history = model.fit(x[:7], y[:7], batch_size=4, epochs=20, verbose=0, validation_data=(x[7:], y[7:]), callbacks=[board])
    return folder, history.history


@pytest.fixture(scope="module")
def server(run):
    """The address of a server that has read the run."""
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(run[0]), "--host", "127.0.0.1", "--port", "0", "--load_fast", "false"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "PYTHONWARNINGS": "ignore"})
    try:
        printed = ""
        for line in process.stdout:
            printed += line
            found = re.search(r"http://127\.0\.0\.1:\d+", line)
            if found:
                break
        else:
            pytest.fail(f"tensorboard did not start: {printed}")
        _wait_for_data(found.group())
        yield found.group()
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


def _get(url, **query):
    with urllib.request.urlopen(f"{url}?{urllib.parse.urlencode(query)}", timeout=10) as answer:
        return answer.read().decode()


def _wait_for_data(url):
    until = time.monotonic() + 30
    while time.monotonic() < until:
        tags = json.loads(_get(f"{url}/data/plugin/scalars/tags"))
        if {"first/train", "first/validation"} <= set(tags):
            return
        time.sleep(0.2)
    pytest.fail("tensorboard did not read the run")


@pytest.mark.parametrize("where, name", [("train", "loss"), ("validation", "val_loss"), ("validation", "val_accuracy")])
def test_the_server_gives_the_values_of_the_history(server, run, where, name):
    values = json.loads(_get(f"{server}/data/plugin/scalars/scalars", run=f"first/{where}", tag=f"epoch_{name.removeprefix('val_')}"))
    assert [step for _, step, _ in values] == list(range(20))
    np.testing.assert_allclose([value for _, _, value in values], run[1][name], rtol=1e-5)


def test_the_server_shows_both_graphs(server):
    info = json.loads(_get(f"{server}/data/plugin/graphs/info"))["first/train"]
    assert info["run_graph"] and info["tags"]["keras"]["conceptual_graph"]
    assert 'op: "Dense"' in _get(f"{server}/data/plugin/graphs/graph", run="first/train", limit_attr_size=1024, large_attrs_key="k")
    assert 's: "Dense"' in _get(
        f"{server}/data/plugin/graphs/graph", run="first/train", tag="keras", conceptual="true", limit_attr_size=1024, large_attrs_key="k"
    )


def test_the_server_shows_histograms_pictures_and_text(server):
    assert "only/kernel_0" in json.loads(_get(f"{server}/data/plugin/histograms/tags"))["first/train"]
    assert "only/kernel_0/image" in json.loads(_get(f"{server}/data/plugin/images/tags"))["first/train"]
    assert "model/summary/text_summary" in json.loads(_get(f"{server}/data/plugin/text/tags"))["first/train"]


def test_the_server_shows_the_hyper_parameters(server):
    request = urllib.request.Request(
        f"{server}/data/plugin/hparams/session_groups",
        data=json.dumps({"experimentName": "", "allowedStatuses": ["STATUS_SUCCESS"], "colParams": [], "startIndex": 0, "sliceSize": 10}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        group = json.loads(answer.read())["sessionGroups"][0]
    assert group["hparams"] == {"rate": 2.0}
    assert {value["name"]["tag"] for value in group["metricValues"]} >= {"epoch_loss", "epoch_accuracy"}


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_the_page_of_scalars_shows_both_curves(server, tmp_path):
    colors = {"train": (66, 80, 102), "validation": (231, 41, 138)}  # as TensorBoard colours the second and the third run
    for _ in range(5):  # a busy machine may take the picture before the curves are drawn: the browser's clock runs ahead while it waits
        cards = screenshot(server, tmp_path)[200:460, 320:1230].astype(int)
        drawn = {run: int((np.abs(cards - color).max(axis=2) < 30).sum()) for run, color in colors.items()}
        if min(drawn.values()) > 300:
            break
    assert min(drawn.values()) > 300, drawn


def screenshot(url, folder):
    """The page of scalars as an array."""
    from PIL import Image

    path = folder / "scalars.png"
    command = [
        CHROMIUM,
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--enable-unsafe-swiftshader",
        "--hide-scrollbars",
        "--window-size=1500,1000",
    ]
    command += [
        f"--user-data-dir={folder / 'profile'}",
        "--run-all-compositor-stages-before-draw",
        "--virtual-time-budget=20000",
        f"--screenshot={path}",
    ]
    page = f"{url}/?darkMode=false&forceSVG=true&tagFilter=epoch_(loss%7Caccuracy)#timeseries"
    subprocess.run([*command, page], check=True, timeout=120, capture_output=True)
    target = os.environ.get("TORCHKERAS_SCREENSHOT")
    if target:
        shutil.copy(path, target)
    return np.asarray(Image.open(path).convert("RGB"))
