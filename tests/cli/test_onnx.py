"""Models as ONNX files, run by ONNX itself."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from tests.cli.test_convert import data, trained
from torchkeras import layers
from torchkeras.cli.converting import convert
from torchkeras.exporting.onnx import save_onnx
from torchkeras.exporting.writer import ExportError
from torchkeras.layers import Dense, Input
from torchkeras.models import Model

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
reference = pytest.importorskip("onnx.reference")


def by_onnx(path, *inputs):
    model = onnx.load(path)
    onnx.checker.check_model(model)
    names = [one.name for one in model.graph.input]
    return reference.ReferenceEvaluator(model).run(None, dict(zip(names, inputs, strict=True)))


@pytest.mark.parametrize("source", [".h5", ".pt"])
def test_onnx_computes_the_same(source, tmp_path):
    model = trained()
    model.save(tmp_path / f"model{source}")
    convert(str(tmp_path / f"model{source}"), str(tmp_path / "m.onnx"))
    for number in (1, 5):  # the batch stays free
        x = data(number)[0]
        np.testing.assert_allclose(by_onnx(tmp_path / "m.onnx", x)[0], model.predict(x), rtol=1e-4, atol=1e-5)


def test_onnx_of_several_inputs_and_free_lengths(tmp_path):
    ids, extra = Input((None,), dtype="int32", name="ids"), Input((3,), name="extra")
    x = layers.GlobalAveragePooling1D()(layers.Embedding(9, 4)(ids))
    model = Model([ids, extra], [Dense(2, name="first")(layers.concatenate([x, extra])), layers.add([x, Dense(4)(extra)])])
    save_onnx(model, tmp_path / "m.onnx")
    for steps in (2, 7):
        a, b = np.random.default_rng(0).integers(0, 9, (3, steps)), np.random.default_rng(1).random((3, 3), "float32")
        for got, want in zip(by_onnx(tmp_path / "m.onnx", a, b), model.predict([a, b]), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
    save_onnx(model, tmp_path / "fixed.onnx", [(5,), (3,)])
    shape = onnx.load(tmp_path / "fixed.onnx").graph.input[0].type.tensor_type.shape
    assert shape.dim[1].dim_value == 5 and not shape.dim[0].dim_value
    with pytest.raises(ValueError, match="has 2 inputs, but 1 input shapes"):
        save_onnx(model, tmp_path / "x.onnx", [(5,)])
    with pytest.raises(ValueError, match=r"Input 'extra' .* has the shape \(3,\) beside the batch, but \(4,\) was given"):
        save_onnx(model, tmp_path / "x.onnx", [(5,), (4,)])


def test_what_onnx_cannot_have(tmp_path, monkeypatch):
    class Net(Model):
        def call(self, x):
            return x

    with pytest.raises(ExportError, match="needs a graph of layers"):
        save_onnx(Net(), tmp_path / "m.onnx")
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ImportError, match=r"torchkeras-native\[onnx\]"):
        save_onnx(trained(), tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def test_masked_models_go_by_way_of_the_model_itself(tmp_path):
    ids = Input((6,), dtype="int32")
    model = Model(ids, layers.GlobalAveragePooling1D()(layers.Embedding(9, 4, mask_zero=True)(ids)))
    with pytest.raises(ExportError, match="heeds a mask"):
        model.to_torch()
    save_onnx(model, tmp_path / "m.onnx")
    x = np.array([[1, 2, 0, 0, 0, 0], [3, 4, 5, 6, 7, 8]])
    np.testing.assert_allclose(by_onnx(tmp_path / "m.onnx", x)[0], model.predict(x), rtol=1e-4, atol=1e-5)
