"""Histograms, pictures, graphs, profiles, text, hyper-parameters, embeddings and resources, read back."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from torch import nn

from tests.callbacks.tensorboard.reading import events, scalars, text
from torchkeras import generations
from torchkeras.callbacks import Callback, TensorBoard
from torchkeras.layers import Conv2D, Dense, Embedding, Flatten, GlobalAveragePooling1D, Input, add
from torchkeras.models import Model, Sequential

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of protobuf and Pillow about themselves


def _images_model():
    model = Sequential([Conv2D(4, 3, activation="relu", input_shape=(6, 6, 1), name="conv"), Flatten(), Dense(3, activation="softmax", name="out")])
    model.compile("sgd", "categorical_crossentropy", metrics=["accuracy"])
    return model


def _images():
    rng = np.random.RandomState(0)
    return rng.rand(24, 6, 6, 1).astype("float32"), np.eye(3, dtype="float32")[rng.randint(0, 3, 24)]


def _fit(model, x, y, callback, epochs=2, **more):
    return model.fit(x, y, batch_size=8, epochs=epochs, verbose=0, callbacks=[callback], shuffle=False, **more)


def test_histograms_norms_and_pictures_of_weights(tmp_path):
    model = _images_model()
    x, y = _images()
    _fit(model, x, y, TensorBoard(tmp_path, histogram_freq=2, write_images=True), epochs=3)
    found = events(tmp_path / "train")
    assert set(found.Tags()["histograms"]) == {"conv/kernel_0", "conv/bias_0", "out/kernel_0", "out/bias_0"}
    histograms = found.Histograms("conv/kernel_0")
    assert [event.step for event in histograms] == [0, 2]
    kernel = model.get_weights()[0]
    last = histograms[-1].histogram_value
    assert last.num == kernel.size
    assert np.isclose([last.min, last.max, last.sum], [kernel.min(), kernel.max(), kernel.sum()], rtol=1e-5, atol=1e-6).all()
    assert np.isclose(scalars(tmp_path / "train")["weights_norm/conv/kernel_0"][-1][1], np.linalg.norm(kernel))
    picture = np.asarray(Image.open(io.BytesIO(found.Images("conv/kernel_0/image")[-1].encoded_image_string)).convert("L"), dtype=float)
    size = picture.shape[0] // 7  # two rows of 3 and a gap
    tile = picture[: 3 * size : size, : 3 * size : size] / 255
    wanted = (kernel[:, :, 0, 0] - kernel.min()) / (kernel.max() - kernel.min())
    np.testing.assert_allclose(tile, wanted, atol=1 / 200)


def test_gradients_of_the_first_batch(tmp_path):
    model = _images_model()
    x, y = _images()
    before = [torch.tensor(weight) for weight in model.get_weights()]
    _fit(model, x, y, TensorBoard(tmp_path, histogram_freq=1, write_grads=True), epochs=1)
    out, wanted = _images_model(), {}
    out.set_weights([weight.numpy() for weight in before])
    loss = -(torch.tensor(y[:8]) * out(torch.tensor(x[:8])).log()).sum(1).mean()
    loss.backward()
    for weight in out.weights:
        wanted[weight.name.replace(":", "_")] = weight.parameter.grad
    got = scalars(tmp_path / "train")
    for name, grad in wanted.items():
        assert np.isclose(got[f"grads_norm/{name}"][0][1], grad.norm(), rtol=1e-4)
        histogram = events(tmp_path / "train").Histograms(f"{name}_grad")[0].histogram_value
        assert histogram.num == grad.numel() and np.isclose(histogram.sum, grad.sum(), rtol=1e-3, atol=1e-6)
    assert np.isclose(got["grads_norm/all"][0][1], torch.stack([grad.norm() for grad in wanted.values()]).norm(), rtol=1e-4)


def test_keras_2_shows_what_layers_put_out(tmp_path):
    generations.set_keras_version("2.2.4")
    model = _images_model()
    x, y = _images()
    _fit(model, x, y, TensorBoard(tmp_path, histogram_freq=1, batch_size=5), epochs=1, validation_data=(x, y))
    found = events(tmp_path)
    assert {"conv_out", "out_out"} <= set(found.Tags()["histograms"])
    histogram = found.Histograms("out_out")[0].histogram_value
    assert histogram.num == 15
    assert np.isclose(histogram.sum, 5, rtol=1e-5)  # five rows of probabilities
    assert not model.layers[0]._forward_hooks


def _graph(folder):
    return GraphDef.FromString(events(folder).Graph().SerializeToString())


def _edges(graph):
    return {node.name: (node.op, list(node.input)) for node in graph.node}


def test_the_graph_of_a_sequential_model(tmp_path):
    x, y = _images()
    _fit(_images_model(), x, y, TensorBoard(tmp_path), epochs=1)
    edges = _edges(_graph(tmp_path / "train"))
    assert edges["conv_input"] == ("InputLayer", [])
    assert edges["conv"] == ("Conv2D", ["conv_input"])
    assert edges["out"] == ("Dense", ["flatten"]) or edges["out"][1][0].startswith("flatten")
    shape = next(node for node in _graph(tmp_path / "train").node if node.name == "conv").attr["_output_shapes"].list.shape[0]
    assert [dim.size for dim in shape.dim] == [-1, 4, 4, 4]
    keras = events(tmp_path / "train").Tensors("keras")[0].tensor_proto.string_val[0]
    assert json.loads(keras)["class_name"] == "Sequential"


def test_the_graph_of_a_functional_model_with_a_shared_layer(tmp_path):
    one, two = Input((4,), name="one"), Input((4,), name="two")
    shared = Dense(3, name="shared")
    model = Model([one, two], Dense(1, name="end")(add([shared(one), shared(two)], name="sum")))
    model.compile("sgd", "mse")
    x = np.ones((8, 4), "float32")
    _fit(model, [x, x], np.ones((8, 1)), TensorBoard(tmp_path), epochs=1)
    edges = _edges(_graph(tmp_path / "train"))
    assert edges["shared"][1] == ["one"] and edges["shared_1"][1] == ["two"]
    assert edges["sum"][1] == ["shared", "shared_1"] and edges["end"][1] == ["sum"]


class Residual(Model):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.end = Dense(4, name="first"), nn.Linear(4, 4), Dense(1, name="end")

    def call(self, inputs):
        hidden = torch.relu(self.first(inputs))
        return self.end(hidden + 2 * self.second(hidden))


def test_the_graph_of_a_subclassed_model_is_what_its_first_batch_shows(tmp_path):
    model = Residual()
    model.compile("sgd", "mse")
    _fit(model, np.ones((16, 4), "float32"), np.ones((16, 1)), TensorBoard(tmp_path), epochs=1)
    edges = _edges(_graph(tmp_path / "train"))
    assert edges["first"] == ("Dense", ["input"])
    assert edges["second"] == ("Linear", ["first"])
    assert set(edges["end"][1]) <= {"first", "second"} and edges["end"][1]
    assert not any(module._forward_hooks for module in model.modules())


def test_no_graph_unless_asked_for(tmp_path):
    x, y = _images()
    _fit(_images_model(), x, y, TensorBoard(tmp_path, write_graph=False), epochs=1)
    assert not events(tmp_path / "train").Tags()["graph"]


def test_a_profile_leaves_a_trace_and_a_table(tmp_path):
    x, y = _images()
    _fit(_images_model(), x, y, TensorBoard(tmp_path, profile_batch="2,4"))
    trace = tmp_path / "train" / "profile" / "batches_2_to_4.pt.trace.json"
    names = {event.get("name", "") for event in json.loads(trace.read_text())["traceEvents"]}
    assert any("conv" in name for name in names)
    table = text(tmp_path / "train", "profile/batches_2_to_4")
    assert "own CPU time, us" in table and "aten::" in table and str(trace) in table


def test_a_profile_that_the_training_ends_in_is_kept(tmp_path):
    x, y = _images()
    _fit(_images_model(), x, y, TensorBoard(tmp_path, profile_batch=(2, 99)), epochs=1)
    assert (tmp_path / "train" / "profile" / "batches_2_to_3.pt.trace.json").exists()


def test_nothing_is_profiled_unless_asked_for(tmp_path):
    x, y = _images()
    _fit(_images_model(), x, y, TensorBoard(tmp_path))
    assert not (tmp_path / "train" / "profile").exists()


def test_summary_and_configs_are_text(tmp_path):
    x, y = _images()
    _fit(_images_model(), x, y, TensorBoard(tmp_path), epochs=1)
    assert "Total params" in text(tmp_path / "train", "model/summary")
    assert '"class_name": "SGD"' in text(tmp_path / "train", "optimizer/config")
    assert '"filters": 4' in text(tmp_path / "train", "model/config")
    _fit(_images_model(), x, y, TensorBoard(tmp_path / "off", write_text=False), epochs=1)
    assert not [tag for tag in events(tmp_path / "off" / "train").Tags()["tensors"] if "text" in tag]


def _session(folder):
    found = events(folder)
    return {tag: HParamsPluginData.FromString(found.SummaryMetadata(tag).plugin_data.content) for tag in found.summary_metadata if "hparams" in tag}


def test_hyper_parameters_are_a_session(tmp_path):
    x, y = _images()
    hparams = {"units": 4, "rate": 0.01, "bias": True, "name": "small", "list": [1]}
    _fit(_images_model(), x, y, TensorBoard(tmp_path, hparams=hparams), epochs=1, validation_data=(x, y))
    found = _session(tmp_path)
    start = found["_hparams_/session_start_info"].session_start_info.hparams
    values = {name: getattr(value, value.WhichOneof("kind")) for name, value in start.items()}
    assert values == {"units": 4.0, "rate": 0.01, "bias": True, "name": "small", "list": "[1]"}
    metrics = [(info.name.group, info.name.tag) for info in found["_hparams_/experiment"].experiment.metric_infos]
    assert set(metrics) == {(run, f"epoch_{name}") for run in ("train", "validation") for name in ("loss", "accuracy")}
    assert found["_hparams_/session_end_info"].session_end_info.status == 1  # success


class Broken(Callback):
    def on_epoch_end(self, epoch, logs=None):
        raise RuntimeError("broken on purpose")


def test_a_callback_that_raises_leaves_files_closed_and_nothing_listening(tmp_path):
    model = Residual()
    model.compile("sgd", "mse")
    board = TensorBoard(tmp_path, histogram_freq=1, write_grads=True, profile_batch=(1, 50), hparams={"a": 1})
    x, y = np.ones((16, 4), "float32"), np.ones((16, 1), "float32")
    with pytest.raises(RuntimeError, match="broken on purpose"):
        model.fit(x, y, batch_size=8, epochs=2, verbose=0, callbacks=[board, Broken()])
    assert board.board is None
    assert _session(tmp_path)["_hparams_/session_end_info"].session_end_info.status == 2  # failure
    assert not any(module._forward_hooks for module in model.modules())
    assert not model.optimizer._optimizer_step_pre_hooks
    assert sum(map(len, model.trainer._event_handlers.values())) == 0
    assert "epoch_loss" in scalars(tmp_path / "train")
    _fit(model, x, y, TensorBoard(tmp_path / "again"), epochs=1)  # and training can go on


def _words_model():
    model = Sequential([Embedding(5, 3, input_length=4, name="words"), GlobalAveragePooling1D(), Dense(1, name="end")])
    model.compile("sgd", "mse")
    return model


@pytest.mark.parametrize("metadata", ["labels.tsv", {"words": "labels.tsv"}, {"words": ["a", "b", "c\td", "e", "f"]}])
def test_embeddings_go_to_the_projector(tmp_path, metadata):
    from google.protobuf import text_format
    from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

    model = _words_model()
    x, y = np.arange(20).reshape(5, 4) % 5, np.ones((5, 1))
    _fit(model, x, y, TensorBoard(tmp_path, embeddings_freq=1, embeddings_metadata=metadata))
    config = text_format.Parse((tmp_path / "projector_config.pbtxt").read_text(), ProjectorConfig()).embeddings[0]
    np.testing.assert_allclose(np.loadtxt(tmp_path / config.tensor_path, delimiter="\t"), model.get_weights()[0], atol=1e-5)
    if isinstance(metadata, dict) and isinstance(metadata["words"], list):
        assert (tmp_path / config.metadata_path).read_text().splitlines() == ["a", "b", "c d", "e", "f"]
    else:
        assert config.metadata_path == "labels.tsv"


def test_embeddings_data_show_what_layers_put_out(tmp_path):
    model = _words_model()
    x, y = np.arange(20).reshape(5, 4) % 5, np.ones((5, 1))
    board = TensorBoard(tmp_path, embeddings_freq=1, embeddings_layer_names=["end"], embeddings_data=x[:3])
    _fit(model, x, y, board, epochs=1)
    np.testing.assert_allclose(np.loadtxt(tmp_path / "end_embedding.tsv"), model.predict(x[:3])[:, 0], rtol=1e-4)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"embeddings_metadata": {"wrods": "x"}}, r"Unrecognized Embedding layer names in embeddings_metadata of TensorBoard: \['wrods'\]"),
        ({"embeddings_layer_names": ["wrods"]}, "embeddings_layer_names with 'wrods', but the model's layers are"),
    ],
)
def test_unknown_layers_are_told_of(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        _fit(_words_model(), np.zeros((2, 4)), np.ones((2, 1)), TensorBoard(tmp_path, embeddings_freq=1, **arguments))


def test_a_hook_adds_pictures_and_a_confusion_matrix(tmp_path):
    model = _images_model()
    x, y = _images()

    def show(board, epoch):
        board.image("examples", x[:4], epoch)
        board.image("one", x[0, :, :, 0], epoch)
        board.confusion_matrix("confusion", y, model.predict(x), epoch, names=["a", "b", "c"])
        board.text("note", f"epoch {epoch}", epoch)

    _fit(model, x, y, TensorBoard(tmp_path, hook=show))
    found = events(tmp_path / "validation")
    assert set(found.Tags()["images"]) == {"examples", "one", "confusion"}
    assert [event.step for event in found.Images("confusion")] == [0, 1]
    assert "| class | precision |" in text(tmp_path / "validation", "confusion/report")
    assert text(tmp_path / "train", "note") == "epoch 1"
    with pytest.raises(ValueError, match=r"2 or 3 axes or a batch with 4, but got an array of shape \(2,\)"):
        TensorBoardBoard(tmp_path).image("wrong", np.ones(2), 0)


def TensorBoardBoard(folder):
    from torchkeras.callbacks.tensorboard.board import Board

    return Board(str(folder), one=False)


def test_resources_are_written(tmp_path):
    x, y = _images()
    _fit(_images_model(), x, y, TensorBoard(tmp_path))
    got = scalars(tmp_path / "train")
    assert 10 < got["resources/process_memory_MiB"][0][1] < 1e6
    parts = [got[f"resources/step_{part}_ms"][1][1] for part in ("data", "forward_backward", "optimizer")]
    assert min(parts) >= 0 and np.isclose(sum(parts), got["resources/step_ms"][1][1], rtol=1e-4)
    _fit(_images_model(), x, y, TensorBoard(tmp_path / "off", write_resources=False))
    assert not [tag for tag in scalars(tmp_path / "off" / "train") if tag.startswith("resources")]


def test_only_the_first_steps_of_an_epoch_are_timed(tmp_path):
    model = _images_model()
    listening = []

    class Count(Callback):
        def on_train_batch_end(self, batch, logs=None):
            mine = [entry for found in model.trainer._event_handlers.values() for entry in found if "StepTimes" in repr(entry[0])]
            listening.append((len(mine), len(model.optimizer._optimizer_step_pre_hooks)))

    x, y = _images()
    model.fit(np.tile(x, (2, 1, 1, 1)), np.tile(y, (2, 1)), batch_size=1, epochs=2, verbose=0, callbacks=[TensorBoard(tmp_path), Count()])
    assert listening[:5] == [(3, 1)] * 5 and listening[25:48] == [(0, 0)] * 23
    assert listening[48] == (3, 1) and listening[-1] == (0, 0)
