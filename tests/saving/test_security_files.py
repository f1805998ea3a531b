"""Crafted model files that read other files of the user, or ask for more memory than they hold: refused, and the model in memory as it was."""

from __future__ import annotations

import json
import resource
import zipfile
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.saving import attacks
from torchkeras.models import load_model, model_from_json
from torchkeras.saving.errors import ConfigError, ContentError, DamagedFileError, FileError, LimitError, UnsafeFileError
from torchkeras.saving.limits import using_limits

SECRET = np.full((4, 3), 42, np.float32)


@pytest.fixture
def secret(tmp_path) -> Path:
    """Another file of the user: a sound model with numbers that no other model may come to know."""
    model = attacks.model()
    model.layers[0].set_weights([SECRET, np.zeros(3, np.float32)])
    model.save(tmp_path / "secret.h5")
    model.save(tmp_path / "secret.keras")
    with zipfile.ZipFile(tmp_path / "secret.keras") as archive:
        (tmp_path / "secret.weights.h5").write_bytes(archive.read(attacks.ARCHIVE_WEIGHTS))
    SECRET.tofile(tmp_path / "secret.bin")
    return tmp_path


def unchanged_by(call, model, match, error):
    """`call` fails, and the model has the weights, the optimizer and the compiled state that it had."""
    before, state, arguments = model.get_weights(), model.optimizer.get_weights(), model._compile_arguments
    with pytest.raises(error, match=match):
        call()
    for one, two in zip([*before, *state], [*model.get_weights(), *model.optimizer.get_weights()], strict=True):
        np.testing.assert_array_equal(one, two)
    assert model._compile_arguments is arguments


def refused(path, match, error=UnsafeFileError, weights=True):
    """Loading the model, and where asked its weights, is refused."""
    with attacks.watched() as events, pytest.raises(error, match=match):
        load_model(path)
    opened = [what for event, what in events if event == "open"]
    assert set(opened) <= {str(path)}
    if weights:
        model = attacks.model()
        unchanged_by(lambda: model.load_weights(path), model, match, error)
        unchanged_by(lambda: model.load_weights(path, by_name=True), model, match + "|names no layers", ValueError)


OLD = ("model_weights", "model_weights/first", "model_weights/first/first", "model_weights/first/first/kernel:0")
NEW = ("layers", "layers/dense", "layers/dense/vars", "layers/dense/vars/0")
OPTIMIZER = {"h5": "optimizer_weights/Adam", "keras": "optimizer/vars"}


@pytest.mark.parametrize("kind", ["soft", "external"])
@pytest.mark.parametrize("place", [*OLD, *NEW, *OPTIMIZER.values()])
def test_links_are_refused_at_every_level(secret, place, kind):
    old = place.startswith(("model_weights", "optimizer_weights"))

    def change(file: h5py.File) -> None:
        if kind == "soft":
            file.move(place, "elsewhere")
            file[place] = h5py.SoftLink("/elsewhere")
        else:
            del file[place]
            file[place] = h5py.ExternalLink(str(secret / ("secret.h5" if old else "secret.weights.h5")), f"/{place}")

    path = (attacks.hdf5 if old else attacks.archive_weights)(secret / ("a.h5" if old else "a.keras"), change)
    refused(path, f"/{place} is an? {kind} link", weights=place not in OPTIMIZER.values())


def _virtual(file: h5py.File, place: str, source: str) -> None:
    layout = h5py.VirtualLayout(shape=(4, 3), dtype="f4")
    layout[:] = h5py.VirtualSource(source, OLD[-1], shape=(4, 3))
    del file[place]
    parent, name = place.rsplit("/", 1)
    file[parent].create_virtual_dataset(name, layout)


def _external(file: h5py.File, place: str, source: str) -> None:
    del file[place]
    parent, name = place.rsplit("/", 1)
    file[parent].create_dataset(name, shape=(4, 3), dtype="f4", external=[(source, 0, SECRET.nbytes)])


@pytest.mark.parametrize(("make", "match"), [(_virtual, "is a virtual array"), (_external, "has external storage: its numbers lie in the file")])
@pytest.mark.parametrize("place", [OLD[-1], NEW[-1]])
def test_arrays_that_lie_in_other_files_are_refused(secret, place, make, match):
    source = str(secret / ("secret.bin" if make is _external else "secret.h5"))
    build = attacks.hdf5 if place == OLD[-1] else attacks.archive_weights
    path = build(secret / ("a.h5" if place == OLD[-1] else "a.keras"), lambda file: make(file, place, source))
    refused(path, match)


def replace_array(place, **arguments):
    def change(file: h5py.File) -> None:
        del file[place]
        parent, name = place.rsplit("/", 1)
        file[parent].create_dataset(name, **arguments)

    return change


HUGE = {
    "packed": {"shape": (2**50,), "dtype": "f4", "chunks": (1024,), "compression": "gzip"},
    "packed matrix": {"shape": (2**25, 2**25), "dtype": "f4", "chunks": (32, 32), "compression": "gzip"},
    "never written": {"shape": (2**31,), "dtype": "f4"},
}


@pytest.mark.parametrize("what", HUGE)
@pytest.mark.parametrize("place", [OLD[-1], NEW[-1]])
def test_a_huge_shape_is_compared_with_the_model_before_anything_is_read(tmp_path, place, what):
    build = attacks.hdf5 if place == OLD[-1] else attacks.archive_weights
    path = build(tmp_path / ("a.h5" if place == OLD[-1] else "a.keras"), replace_array(place, **HUGE[what]))
    assert path.stat().st_size < 1 << 20
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(LimitError, match=r"declares the shape .*it was not read"):
        load_model(path)
    model = attacks.model()
    unchanged_by(
        lambda: model.load_weights(path), model, r"weight 'first/kernel:0' of layer 'first' has the shape \(4, 3\), but the file", ContentError
    )
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 << 10  # KiB


def test_a_huge_state_of_the_optimizer_is_not_read(tmp_path):
    bomb = {"shape": (2**24,), "dtype": "f4", "chunks": (2**20,), "compression": "gzip", "data": np.zeros(2**24, np.float32)}
    path = attacks.hdf5(tmp_path / "a.h5", replace_array("optimizer_weights/Adam/first/kernel/m:0", **bomb))
    assert path.stat().st_size < 1 << 18
    match = r"the state of the optimizer declares .* but the model has 23 weights; it was not read"
    with pytest.raises(LimitError, match=match):
        load_model(path)
    assert load_model(path, compile=False).built
    path = attacks.archive_weights(tmp_path / "a.keras", replace_array("optimizer/vars/3", **bomb))
    with pytest.raises(LimitError, match=r"/optimizer/vars/3 declares the shape .*less than a genuine array needs"):
        load_model(path)


WIDE = {
    "Dense": lambda size: {"class_name": "Dense", "config": {"name": "wide", "units": size}},
    "Embedding": lambda size: {"class_name": "Embedding", "config": {"name": "wide", "input_dim": size, "output_dim": 2}},
    "a wrapped layer": lambda size: {
        "class_name": "TimeDistributed",
        "config": {"name": "w", "layer": {"class_name": "Dense", "config": {"name": "wide", "units": size}}},
    },
    "an orthogonal matrix": lambda size: {"class_name": "Dense", "config": {"name": "wide", "units": size, "kernel_initializer": "orthogonal"}},
}


@pytest.mark.parametrize("size", [2**40, 2**28, 2**22])
@pytest.mark.parametrize("kind", WIDE)
@pytest.mark.parametrize("form", ["h5", "keras"])
def test_layers_wider_than_what_the_file_holds_are_never_made(tmp_path, kind, size, form):
    def change(config):
        first = attacks.layer_list(config)[0]
        node = WIDE[kind](size)
        if form == "keras":
            node = {"module": "keras.layers", "registered_name": None, **node}
        if kind == "a wrapped layer":
            first["config"]["batch_input_shape" if form == "h5" else "batch_shape"] = [None, 3, 4]
        attacks.layer_list(config)[1:] = [node]

    path = (attacks.hdf5_config if form == "h5" else attacks.archive_config)(tmp_path / f"a.{form}", change)
    match = (
        r"Weight '.*' of layer 'wide' asks for the shape \(.*\), but the file holds 23 numbers|but the file holds .* numbers for all weights together"
    )
    with pytest.raises(LimitError, match=match):
        load_model(path)


def test_a_model_that_is_built_by_the_file_is_held_to_it(tmp_path):
    """A `.keras` file says apart from the layers which shape to build for."""

    def change(config):
        config["build_config"] = {"input_shape": [None, 2**32]}
        layers = attacks.layer_list(config)
        layers[:] = [layer for layer in layers if layer["class_name"] != "InputLayer"]

    path = attacks.archive_config(tmp_path / "a.keras", change)
    with pytest.raises(LimitError, match=r"Weight 'kernel' of layer 'first' asks for the shape \(4294967296, 3\), but the file holds"):
        load_model(path)


def test_an_architecture_alone_is_held_to_the_limits():
    node = {"class_name": "Dense", "config": {"name": "wide", "units": 2**40, "batch_input_shape": [None, 2**10]}}
    text = json.dumps({"class_name": "Sequential", "config": {"name": "s", "layers": [node]}})
    with pytest.raises(LimitError, match=r"Weight 'kernel' of layer 'wide' asks for .* larger than the limit total_bytes"):
        model_from_json(text)
    with using_limits(total_bytes=1000), pytest.raises(LimitError, match="larger than the limit total_bytes=1000"):
        model_from_json(attacks.model().to_json().replace('"units": 3', '"units": 300'))
    assert model_from_json(attacks.model().to_json()).built


def test_a_bomb_in_a_chunk_is_not_unpacked(tmp_path):
    def change(file):
        del file[OLD[-1]]
        array = file[OLD[-2]].create_dataset("kernel:0", shape=(4, 3), dtype="f4", chunks=(4, 3), compression="gzip")
        packer = zlib.compressobj(9)
        array.id.write_direct_chunk((0, 0), b"".join(packer.compress(bytes(1 << 20)) for _ in range(64)) + packer.flush())

    refused(attacks.hdf5(tmp_path / "a.h5", change), "unpacks to more than its declared shape", DamagedFileError)


@pytest.mark.parametrize("member", ["config.json", "metadata.json", attacks.ARCHIVE_WEIGHTS])
def test_a_zip_bomb_is_not_unpacked(tmp_path, member):
    path = attacks.archive(tmp_path / "a.keras", lambda members: None)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data if name != member else b" " * (1 << 28))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(LimitError, match=f"{member} would unpack from .* to 256 MiB, more than the limit member_expansion=100 allows"):
        load_model(path)


@pytest.mark.parametrize("name", ["../../x", "/etc/x", "assets/../../x", "model.weights.h5/../x", "C:\\x", "data.pkl"])
def test_an_archive_with_other_members_is_refused_and_never_unpacked(tmp_path, name):
    folder = tmp_path / "deep" / "deeper"
    folder.mkdir(parents=True)
    before = set(tmp_path.rglob("*"))
    path = attacks.archive(folder / "a.keras", lambda members: members.update({name: b"owned"}))
    refused(path, "but a .keras file holds only metadata.json, config.json, model.weights.h5")
    assert set(tmp_path.rglob("*")) - before == {path}


def test_deep_and_long_configs_are_refused(tmp_path):
    deep = '{"class_name": "Sequential", "config": ' * 200 + "[]" + "}" * 200
    with pytest.raises(ConfigError, match="nested deeper than the limits"):
        model_from_json(deep)
    with pytest.raises(ConfigError, match="nested too deep"):
        model_from_json("[" * 100_000)
    with using_limits(json_bytes=100), pytest.raises(ConfigError, match="more than the limit json_bytes=100"):
        model_from_json(attacks.model().to_json())


@pytest.mark.parametrize("attribute", ["model_config", "training_config", "keras_version"])
def test_attributes_that_lie_about_themselves_are_refused(tmp_path, attribute):
    def change(file):
        del file.attrs[attribute]
        file.attrs[attribute] = np.zeros((100,), "f4")

    with pytest.raises((FileError, ConfigError), match="should be a text, but is"):
        load_model(attacks.hdf5(tmp_path / "a.h5", change))
