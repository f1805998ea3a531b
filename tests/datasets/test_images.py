"""MNIST, Fashion-MNIST and CIFAR from small files in the form of the cache."""

import gzip
import hashlib
import pickle
import struct

import numpy as np
import pytest

from torchkeras import config
from torchkeras.datasets import cifar10, cifar100, fashion_mnist, mnist
from torchkeras.datasets.idx import read_idx
from torchkeras.datasets.plain_pickle import UnsafeData

IMAGES = np.random.RandomState(0).randint(0, 256, (7, 28, 28)).astype("uint8")
LABELS = np.arange(7, dtype="uint8")


def assert_digits(data):
    (x_train, y_train), (x_test, y_test) = data
    np.testing.assert_array_equal(x_train, IMAGES[:5])
    np.testing.assert_array_equal(y_train, LABELS[:5])
    np.testing.assert_array_equal(x_test, IMAGES[5:])
    np.testing.assert_array_equal(y_test, LABELS[5:])
    assert x_train.dtype == y_train.dtype == np.uint8 and x_train.flags.writeable


def idx(array):
    return struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_idx(folder, pack=True):
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in (
        ("train-images-idx3-ubyte", IMAGES[:5]),
        ("train-labels-idx1-ubyte", LABELS[:5]),
        ("t10k-images-idx3-ubyte", IMAGES[5:]),
        ("t10k-labels-idx1-ubyte", LABELS[5:]),
    ):
        if pack:
            (folder / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
        else:
            (folder / name).write_bytes(idx(array))


def write_npz(path):
    np.savez_compressed(path, x_train=IMAGES[:5], y_train=LABELS[:5], x_test=IMAGES[5:], y_test=LABELS[5:])
    return path


def test_mnist_comes_from_the_cache_where_its_hash_is_right(keras_cache, monkeypatch):
    path = write_npz(keras_cache / "mnist.npz")
    with pytest.raises(ConnectionError, match=r"tf-keras-datasets/mnist\.npz"):
        mnist.load_data()
    monkeypatch.setattr(mnist, "HASHES", ("0" * 64, hashlib.md5(path.read_bytes()).hexdigest()))
    assert_digits(mnist.load_data())


def test_a_file_of_the_users_own_is_taken_as_it_is(keras_cache, tmp_path):
    assert_digits(mnist.load_data(write_npz(tmp_path / "own.npz")))


@pytest.mark.parametrize("pack", [True, False])
@pytest.mark.parametrize("module", [mnist, fashion_mnist])
def test_idx_files_are_read_from_a_folder(keras_cache, tmp_path, module, pack):
    write_idx(tmp_path / "idx", pack)
    assert_digits(module.load_data(directory=tmp_path / "idx"))


def test_the_pickles_of_keras_1_are_read(keras_cache, tmp_path):
    content = pickle.dumps(((IMAGES[:5], LABELS[:5]), (IMAGES[5:], LABELS[5:])), protocol=2)
    (tmp_path / "mnist.pkl").write_bytes(content)
    (tmp_path / "mnist.pkl.gz").write_bytes(gzip.compress(content))
    assert_digits(mnist.load_data(tmp_path / "mnist.pkl"))
    assert_digits(mnist.load_data(tmp_path / "mnist.pkl.gz"))
    (tmp_path / "mnist.pkl.gz").write_bytes(gzip.compress(content)[:200])
    with pytest.raises(UnsafeData, match="is broken"):
        mnist.load_data(tmp_path / "mnist.pkl.gz")
    (tmp_path / "mnist.pkl").write_bytes(pickle.dumps([1, 2, 3]))
    with pytest.raises(UnsafeData, match="does not hold"):
        mnist.load_data(tmp_path / "mnist.pkl")


def test_fashion_mnist_comes_from_the_cache_then_from_the_system(keras_cache, tmp_path, monkeypatch):
    monkeypatch.setattr(fashion_mnist, "INSTALLED", str(tmp_path / "none"))
    with pytest.raises(ConnectionError, match=r"train-images-idx3-ubyte\.gz"):
        fashion_mnist.load_data()
    write_idx(tmp_path / "system")
    monkeypatch.setattr(fashion_mnist, "INSTALLED", str(tmp_path / "system"))
    assert_digits(fashion_mnist.load_data())
    write_idx(keras_cache / "fashion-mnist")
    monkeypatch.setattr(fashion_mnist, "INSTALLED", str(tmp_path / "none"))
    assert_digits(fashion_mnist.load_data())
    assert len(fashion_mnist.NAMES) == 10


def test_a_missing_idx_file_is_named(tmp_path):
    write_idx(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(FileNotFoundError, match=r"neither t10k-labels-idx1-ubyte\.gz nor t10k-labels-idx1-ubyte in"):
        mnist.load_data(directory=tmp_path)


def test_labels_must_be_as_many_as_images(tmp_path):
    write_idx(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(LABELS)))
    with pytest.raises(UnsafeData, match=r"5 \+ 2 images, but 7 \+ 2 labels"):
        mnist.load_data(directory=tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no idx file"),
        (b"\x00\x00\x08\x02" + bytes(12), "is no idx file of bytes with 3 axes: it starts with 00 00 08 02"),
        (struct.pack(">4B3I", 0, 0, 8, 3, 2, 2, 2) + bytes(7), "8 bytes, but has 7"),
        (struct.pack(">4B3I", 0, 0, 8, 3, 2, 2, 2) + bytes(9), "8 bytes, but has more"),
        (struct.pack(">4B3I", 0, 0, 8, 3, 2**31, 2**31, 2), "which is too much"),
        (gzip.compress(idx(IMAGES))[:-2000], "is broken"),
    ],
)
def test_broken_idx_files_are_named(tmp_path, content, message):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(UnsafeData, match=message):
        read_idx(tmp_path / "x", 3)


def cifar_batch(count, seed, **labels):
    images = np.random.RandomState(seed).randint(0, 256, (count, 3072)).astype("uint8")
    # as Python 2 wrote them: texts are bytes
    return images, pickle.dumps({b"data": images, b"batch_label": b"one", **{name.encode(): values for name, values in labels.items()}}, protocol=2)


@pytest.fixture
def cifar_10(keras_cache):
    folder = keras_cache / "cifar-10-batches-py"
    folder.mkdir()
    images = {}
    for number, name in enumerate((*cifar10.BATCHES, "test_batch")):
        images[name], content = cifar_batch(2, number, labels=[number, 9 - number])
        (folder / name).write_bytes(content)
    return images


def test_cifar_10_comes_from_the_cache(cifar_10):
    (x_train, y_train), (x_test, y_test) = cifar10.load_data()
    assert x_train.shape == (10, 32, 32, 3) and x_test.shape == (2, 32, 32, 3) and x_train.dtype == np.uint8
    assert y_train.tolist() == [[0], [9], [1], [8], [2], [7], [3], [6], [4], [5]] and y_test.tolist() == [[5], [4]]
    assert y_train.dtype == y_test.dtype == np.uint8
    first = cifar_10["data_batch_1"][0].reshape(3, 32, 32)
    np.testing.assert_array_equal(x_train[0], first.transpose(1, 2, 0))
    config.set_image_data_format("channels_first")
    np.testing.assert_array_equal(cifar10.load_data()[0][0][0], first)


def test_cifar_100_has_fine_and_coarse_labels(keras_cache):
    folder = keras_cache / "cifar-100-python"
    folder.mkdir()
    for name in ("train", "test"):
        (folder / name).write_bytes(cifar_batch(3, 0, fine_labels=[7, 8, 99], coarse_labels=[1, 2, 19])[1])
    (x_train, fine), _ = cifar100.load_data()
    (_, coarse), _ = cifar100.load_data(label_mode="coarse")
    assert x_train.shape == (3, 32, 32, 3) and fine.tolist() == [[7], [8], [99]] and coarse.tolist() == [[1], [2], [19]]
    assert fine.dtype == np.int64
    with pytest.raises(ValueError, match="label_mode='fine' or 'coarse', but got 'all'"):
        cifar100.load_data("all")


def test_cifar_that_is_not_there_would_be_downloaded(keras_cache):
    with pytest.raises(ConnectionError, match=r"kriz/cifar-10-python\.tar\.gz"):
        cifar10.load_data()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "holds no dictionary"),
        ({"data": np.zeros((2, 100), "uint8"), "labels": [1, 2]}, "no images of 32x32"),
        ({"data": np.zeros((2, 3072)), "labels": [1, 2]}, "no images of 32x32"),
        ({"data": np.zeros((2, 3072), "uint8"), "labels": [1]}, "one of the 'labels' for each of its 2 images"),
        ({"data": np.zeros((2, 3072), "uint8"), "labels": [1, 0.5]}, "one of the 'labels'"),
    ],
)
def test_files_that_are_no_cifar_are_named(cifar_10, keras_cache, content, message):
    (keras_cache / "cifar-10-batches-py/data_batch_3").write_bytes(pickle.dumps(content))
    with pytest.raises(UnsafeData, match=message):
        cifar10.load_data()
