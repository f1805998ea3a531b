"""The preprocessing layers of tf.keras' experimental module."""

import numpy as np
import pytest
import torch

from tests.golden_cases import FOLDERS, GOLDEN
from tests.layers.harness import check_layer
from torchkeras.layers import Input
from torchkeras.layers.experimental import preprocessing
from torchkeras.layers.experimental.preprocessing import CategoryEncoding, CenterCrop, Normalization, Rescaling, Resizing

SIZES = {"up": (9, 10), "down": (3, 4), "mixed": (8, 3)}
CASES = {
    "rescaling": lambda: Rescaling(1 / 127.5, offset=-1.0),
    **{
        f"resizing_{case}_{kind}": lambda size=size, kind=kind: Resizing(*size, kind)
        for case, size in SIZES.items()
        for kind in ("bilinear", "nearest")
    },
    "center_crop_odd": lambda: CenterCrop(2, 4),
    "center_crop_even": lambda: CenterCrop(3, 3),
    "normalization": Normalization,
    "normalization_axes": lambda: Normalization(axis=(1, -1)),
    "normalization_none": lambda: Normalization(axis=None),
    **{f"category_{mode}": lambda mode=mode: CategoryEncoding(6, mode) for mode in ("binary", "count", "tf-idf")},
}


@pytest.mark.parametrize("name", CASES)
def test_preprocessing_layers_match_tf_keras(name):
    recorded = np.load(GOLDEN / FOLDERS["2.4.0"] / "preprocessing_layers.npz")
    found = {key.split("/")[1]: recorded[key] for key in recorded.files if key.split("/")[0] == name}
    layer = CASES[name]()
    if "data" in found:
        layer.adapt(found["data"])
    y = layer(torch.tensor(found["x"]))
    torch.testing.assert_close(y, torch.tensor(found["y"]), rtol=1e-5, atol=1e-5)
    for weight, wanted in zip(layer.get_weights(), [found[key] for key in sorted(found) if key[0] == "w"], strict=True):
        np.testing.assert_allclose(weight, wanted, rtol=1e-5)


@pytest.mark.filterwarnings("ignore:There is a performance drop")  # of vmap, over one of torch's kernels
@pytest.mark.parametrize(
    ("cls", "kwargs", "shape", "unknown"),
    [
        (Rescaling, {"scale": 0.5, "offset": 1.0}, (2, 3), (0, 1)),
        (Resizing, {"height": 4, "width": 3}, (2, 3, 5, 2), (0, 1, 2)),
        (Resizing, {"height": 4, "width": 3, "interpolation": "nearest"}, (2, 3, 5, 2), (0, 1, 2)),
        (CenterCrop, {"height": 2, "width": 3}, (2, 3, 5, 2), (0, 1, 2)),
        (Normalization, {}, (2, 3), (0,)),
        (Normalization, {"axis": (1, 2)}, (2, 3, 2), (0,)),
    ],
)
def test_preprocessing_layers_stand_the_harness(cls, kwargs, shape, unknown):
    # "weights": it takes a list without the count, where the check wants a refusal; tested below
    check_layer(cls, kwargs, shape, unknown=unknown, skip=["weights"] if cls is Normalization else [])


@pytest.mark.parametrize("mode", ["binary", "count"])
def test_category_encoding_stands_the_harness(mode):
    # "autocast": it gives floatx() whatever the model around it is in
    check_layer(CategoryEncoding, {"max_tokens": 5, "output_mode": mode}, (2, 3), dtype=torch.int64, high=5, unknown=(0, 1), skip=["autocast"])


def test_adapt_takes_batches_and_goes_on():
    data = np.random.randn(40, 3).astype("float32") * 2 + 5
    whole, parts = Normalization(), Normalization()
    whole.adapt(data)
    parts.adapt([data[:10], data[10:25]])
    parts.adapt(torch.tensor(data[25:]), reset_state=False)
    for one, other in zip(whole.get_weights(), parts.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)
    y = whole(data).numpy()
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(y.std(0), 1, atol=1e-5)
    whole.set_weights([np.zeros(3), np.ones(3)])
    np.testing.assert_allclose(whole(data).numpy(), data)


def test_category_encoding_finds_its_ids():
    layer = CategoryEncoding(name="c")
    with pytest.raises(RuntimeError, match=r"CategoryEncoding 'c' has max_tokens=None: call adapt\(data\)"):
        layer(torch.tensor([[1]]))
    layer.adapt([[1, 2], [4], [0, 0, 2]])
    assert layer(torch.tensor([[1, 1], [4, 0]])).tolist() == [[0, 1, 0, 0, 0], [1, 0, 0, 0, 1]]
    counts = CategoryEncoding(3, "count")(torch.tensor([[1, 1, 2]]), count_weights=torch.tensor([[0.5, 0.25, 2.0]]))
    assert counts.tolist() == [[0.0, 0.75, 2.0]]
    rare = CategoryEncoding(output_mode="tf-idf")
    rare.set_tfidf_data([1.0, 2.0])
    assert rare(torch.tensor([[1, 1], [0, 1]])).tolist() == [[0.0, 4.0], [1.0, 2.0]]


def test_bad_arguments():
    image = torch.zeros(1, 4, 4, 1)
    with pytest.raises(ValueError, match=r"Resizing 'p' knows interpolation='bilinear' and 'nearest', but got 'bicubic'"):
        Resizing(2, 2, "bicubic", name="p")
    with pytest.raises(ValueError, match=r"CenterCrop 'p' needs a height and a width of at least 1, but got 0 and 2"):
        CenterCrop(0, 2, name="p")
    with pytest.raises(ValueError, match=r"CenterCrop 'p' cuts 5 x 2 out of images, but got images of 4 x 4"):
        CenterCrop(5, 2, name="p")(image)
    with pytest.raises(ValueError, match=r"'p'.*expected ndim=4, found ndim=3"):
        Resizing(2, 2, name="p")(image[0])
    with pytest.raises(ValueError, match=r"Normalization 'p' keeps no statistics of single samples: axis may not be 0"):
        Normalization(0, name="p")
    with pytest.raises(ValueError, match=r"Normalization 'p' has axis=\(3,\), but got an input of shape \(2, 3\)"):
        Normalization(3, name="p")(torch.zeros(2, 3))
    with pytest.raises(ValueError, match=r"Normalization 'p' needs to know the sizes of the axes \(-1,\)"):
        Normalization(name="p")(Input((None,)))
    with pytest.raises(ValueError, match=r"CategoryEncoding 'p' knows the output_mode 'binary', 'count' and 'tf-idf', but got 'int'"):
        CategoryEncoding(3, "int", name="p")
    with pytest.raises(ValueError, match=r"CategoryEncoding 'p' needs max_tokens of at least 1, but got 0"):
        CategoryEncoding(0, name="p")
    with pytest.raises(ValueError, match=r"CategoryEncoding 'p' gives dense tensors only"):
        CategoryEncoding(3, sparse=True, name="p")
    layer = CategoryEncoding(3, name="p")
    with pytest.raises(ValueError, match=r"'p' takes count_weights in output_mode='count' only, not in 'binary'"):
        layer(torch.tensor([[1]]), count_weights=torch.ones(1, 1))
    with pytest.raises(ValueError, match=r"'p' has max_tokens=3, but adapt\(\) got the id 7"):
        layer.adapt([[7]])
    with pytest.raises(ValueError, match=r"'p' takes all data at one adapt\(\)"):
        layer.adapt([[1]], reset_state=False)
    with pytest.raises(RuntimeError, match=r"'p' has max_tokens=3, so the number of ids is fixed"):
        layer.set_num_elements(4)
    with pytest.raises(RuntimeError, match=r"'p' has weights in output_mode='tf-idf' only"):
        layer.set_tfidf_data([1.0])
    with pytest.raises(ValueError, match=r"'q' needs a whole number of ids above 0, but got 1\.5"):
        CategoryEncoding(name="q").set_num_elements(1.5)
    with pytest.raises(ValueError, match=r"'q' needs one weight for each of 2 ids, but got an array of shape \(3,\)"):
        CategoryEncoding(2, "tf-idf", name="q").set_tfidf_data([1.0, 2.0, 3.0])


def test_all_are_registered():
    for name in preprocessing.__all__:
        config = CASES.get(
            name.lower(), lambda name=name: getattr(preprocessing, name)(3, 3) if name in ("CenterCrop", "Resizing") else CategoryEncoding(3)
        )()
        again = type(config).from_config(config.get_config())
        assert again.get_config() == config.get_config()
