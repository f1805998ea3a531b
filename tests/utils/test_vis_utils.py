"""Pictures of models: DOT source, and our own drawing where Graphviz is not installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from torchkeras.layers import Dense, Input, add, concatenate
from torchkeras.models import Model, Sequential
from torchkeras.utils import model_to_dot, plot_model, vis_utils
from torchkeras.utils.model_boxes import boxes_of
from torchkeras.utils.model_picture import Card, lay_out

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(autouse=True)
def _no_graphviz(monkeypatch):
    monkeypatch.setattr(vis_utils.shutil, "which", lambda program: None)


@pytest.fixture
def model():
    one, two = Input((4,), name="one"), Input((4,), name="two")
    inner = Sequential([Dense(3, input_shape=(4,), name="first"), Dense(2, name="last")], name="inner")
    joined = concatenate([inner(one), inner(two), one], name="joined")
    return Model([one, two], add([Dense(1, name="left")(joined), Dense(1, name="right")(joined)], name="sum"), name="both")


def test_boxes_are_the_calls(model):
    edges = {box.name: box.inputs for box in boxes_of(model)}
    assert edges == {
        "one": [],
        "two": [],
        "inner": ["one"],
        "inner_1": ["two"],
        "joined": ["inner", "inner_1", "one"],
        "left": ["joined"],
        "right": ["joined"],
        "sum": ["left", "right"],
    }


def test_nested_models_are_expanded_at_each_call(model):
    edges = {box.name: box.inputs for box in boxes_of(model, expand_nested=True)}
    assert edges["inner/first"] == ["one"] and edges["inner/last"] == ["inner/first"]
    assert edges["inner_1/first"] == ["two"]
    assert edges["joined"] == ["inner/last", "inner_1/last", "one"]


@pytest.fixture
def no_pydot(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydot", None)


@pytest.fixture
def no_graphviz(monkeypatch):
    monkeypatch.setattr(vis_utils.shutil, "which", lambda name: None)


@pytest.mark.usefixtures("no_pydot")
def test_dot_has_nodes_edges_shapes_and_frames(model):
    text = model_to_dot(model, show_shapes=True, expand_nested=True, rankdir="LR", dpi=50).to_string()
    assert "rankdir=LR, dpi=50" in text
    assert "joined: Concatenate|{input:|output:}|{{[(?, 2), (?, 2), (?, 4)]}|{(?, 8)}}" in text
    assert 'subgraph "cluster_inner" {' in text and 'subgraph "cluster_inner_1" {' in text
    assert text.count("->") == sum(len(box.inputs) for box in boxes_of(model, expand_nested=True))
    assert text.count("{") == text.count("}")
    assert model_to_dot(model, subgraph=True).to_string().startswith('subgraph "cluster_both" {')
    assert '[label="Concatenate"]' in model_to_dot(model, show_layer_names=False).to_string()


def test_pydot_gets_the_same_graph(model):
    pydot = pytest.importorskip("pydot")
    graph = model_to_dot(model, show_shapes=True, expand_nested=True)
    assert isinstance(graph, pydot.Dot)
    assert {one.get_name().strip('"') for one in graph.get_subgraphs()} == {"cluster_inner", "cluster_inner_1"}
    edges = [*graph.get_edges(), *(edge for one in graph.get_subgraphs() for edge in one.get_edges())]
    assert len(edges) == sum(len(box.inputs) for box in boxes_of(model, expand_nested=True))
    cluster = model_to_dot(model, subgraph=True)
    assert isinstance(cluster, pydot.Subgraph) and cluster.get_name() == '"cluster_both"'


@pytest.mark.usefixtures("no_pydot")
def test_dot_source_is_written(model, tmp_path):
    plot_model(model, tmp_path / "model.dot")
    assert (tmp_path / "model.dot").read_text() == model_to_dot(model).to_string()


@pytest.mark.usefixtures("no_graphviz")
def test_svg_has_a_card_for_each_call(model, tmp_path):
    plot_model(model, tmp_path / "model.svg", show_shapes=True)
    root = ElementTree.parse(tmp_path / "model.svg").getroot()
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert [text for text in texts if ":" in text] == [f"{box.name}: {box.kind}" for box in boxes_of(model)]
    assert "in [(?, 2), (?, 2), (?, 4)]" in texts
    assert len(list(root.iter(f"{SVG}polyline"))) == 9


@pytest.mark.usefixtures("no_graphviz")
@pytest.mark.parametrize("rankdir", ["TB", "BT", "LR", "RL"])
def test_png_is_a_picture_of_its_size(model, tmp_path, rankdir):
    plot_model(model, tmp_path / "model.png", rankdir=rankdir, dpi=192)
    picture = np.asarray(Image.open(tmp_path / "model.png").convert("L"))
    cards = [Card(box.name, [f"{box.name}: {box.kind}"], box.inputs) for box in boxes_of(model)]
    placed = lay_out(cards, rankdir)
    assert abs(picture.shape[1] - 2 * placed.width) <= 2 and abs(picture.shape[0] - 2 * placed.height) <= 2
    assert picture.min() < 80 and (picture > 250).mean() > 0.3  # lines on white


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 30), max_size=3), min_size=1, max_size=25), st.sampled_from(["TB", "BT", "LR", "RL"]))
def test_no_cards_overlap_and_edges_lead_onwards(links, rankdir):
    cards = [
        Card(str(number), ["x" * (1 + number % 17)] * (1 + number % 3), [str(link) for link in set(inputs) if link < number])
        for number, inputs in enumerate(links)
    ]
    picture = lay_out(cards, rankdir)
    for number, one in enumerate(cards):
        assert one.x - one.width / 2 >= 0 and one.x + one.width / 2 <= picture.width
        assert one.y - one.height / 2 >= 0 and one.y + one.height / 2 <= picture.height
        for other in cards[:number]:
            apart = abs(one.x - other.x) >= (one.width + other.width) / 2 - 1e-6 or abs(one.y - other.y) >= (one.height + other.height) / 2 - 1e-6
            assert apart, (one, other)
    for edge in picture.edges:
        axis, sign = (1, 1) if rankdir == "TB" else (1, -1) if rankdir == "BT" else (0, 1) if rankdir == "LR" else (0, -1)
        assert sign * (edge[-1][axis] - edge[0][axis]) > 0
    assert len(picture.edges) == sum(len(card.inputs) for card in cards)


def test_graphviz_draws_where_it_is_installed(model, tmp_path, monkeypatch):
    asked = []

    def run(command, input, **options):
        asked.append((command, input.decode()))
        return subprocess.CompletedProcess(command, 0, b"PICTURE", b"")

    monkeypatch.setattr(vis_utils.shutil, "which", lambda name: f"/somewhere/{name}")
    monkeypatch.setattr(vis_utils.subprocess, "run", run)
    plot_model(model, tmp_path / "model.svg", show_shapes=True)
    assert (tmp_path / "model.svg").read_text() == "PICTURE"
    [(command, text)] = asked
    assert command == ["dot", "-Tsvg"] and text.startswith("digraph")


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
def test_genuine_graphviz_takes_the_source(model, tmp_path):
    plot_model(model, tmp_path / "model.png", show_shapes=True, expand_nested=True)
    assert min(np.asarray(Image.open(tmp_path / "model.png")).shape[:2]) > 100


@pytest.mark.usefixtures("no_graphviz", "no_pydot")
def test_graphviz_is_told_of_where_it_is_needed(model, tmp_path):
    with pytest.raises(RuntimeError, match="Graphviz's program 'dot' is not installed"):
        vis_utils.DotText(model_to_dot(model).to_string()).write(tmp_path / "x.png", format="png")


def test_wrong_arguments_are_told_of(model, tmp_path):
    with pytest.raises(ValueError, match="rankdir must be one of TB, BT, LR, RL, but got 'XY'"):
        plot_model(model, tmp_path / "model.png", rankdir="XY")

    class Own(Model):
        def call(self, inputs):
            return inputs

    with pytest.raises(ValueError, match=r"The graph of Own '.*' is not known"):
        model_to_dot(Own())
