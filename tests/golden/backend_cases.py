"""Calls of K functions whose results genuine Keras releases were asked for, `record_backend.py` writes them down.

Each case is a function of the backend module `K` and of arrays. It runs under Keras 2.2.4, tf.keras 2.4.0 (Python 3.7) and here, so
nothing but NumPy is imported. Arrays come from a `RandomState` of a fixed seed, whose numbers no NumPy release changes.
"""
# ruff: noqa: E731, UP031  (it runs under Python 3.7, too)

import itertools
import zlib

import numpy as np

SEED = 20190314
BOTH = ("2.2.4", "2.4.0")
KERAS1 = ("1.2.2",)
KERAS2 = ("2.2.4",)
TF_KERAS = ("2.4.0",)


class Case:
    """One call: `call(K, *arrays)` gives a tensor or a list of tensors; float arrays numbered in `grads` get gradients."""

    def __init__(self, name, call, arrays, grads=None, versions=BOTH):
        self.name, self.call, self.arrays, self.versions = name, call, [np.asarray(a) for a in arrays], versions
        floats = [i for i, a in enumerate(self.arrays) if a.dtype.kind == "f"]
        self.grads = floats if grads is None else list(grads)

    def __repr__(self):
        return self.name

    def cotangent(self, number, shape):
        """Fixed random numbers that the output of a number is multiplied with before gradients are taken."""
        return np.asarray(_random(self.name, "cotangent", number).randn(*shape), "float32")


def _random(*key):
    return np.random.RandomState((zlib.crc32(repr(key).encode()) + SEED) % 2**32)


def floats(name, *shape):
    """Normal numbers of a shape, of the same value wherever they are asked for by the same name."""
    return _random(name, shape).randn(*shape).astype("float32")


def probabilities(name, *shape):
    """Positive numbers that sum to 1 along the last axis."""
    scores = np.exp(floats(name, *shape))
    return (scores / scores.sum(-1, keepdims=True)).astype("float32")


def products():
    for x, y in [((2, 3), (3, 4)), ((2, 3, 4), (4, 5)), ((2, 3, 4), (5, 4, 6)), ((2, 3), (5, 3, 4)), ((2, 1, 3, 4), (2, 4, 3))]:
        yield Case("dot-%s-%s" % (x, y), lambda K, a, b: K.dot(a, b), [floats("x", *x), floats("y", *y)])
    shapes = {
        ((3, 4), (3, 4)): [None, 1, (1, 1), -1],
        ((3, 4, 5), (3, 5, 6)): [None, (2, 1), (-1, -2)],
        ((3, 4, 5), (3, 6, 5)): [2, (2, 2), -1, (-1, -1)],
        ((3, 5, 4), (3, 5, 6)): [1, (1, 1)],
        ((3, 4), (3, 4, 5)): [None, 1, (1, 1)],
        ((3, 5), (3, 4, 5)): [(1, 2)],
        ((3, 4, 5), (3, 5)): [None, (2, 1)],
        ((3, 4, 5), (3, 4)): [(1, 1)],
        ((2, 3, 4, 5), (2, 5, 6)): [None, (3, 1)],
        ((2, 3, 4, 5), (2, 3, 5, 6)): [None, (3, 2)],
        ((2, 3, 4, 5), (2, 4)): [(2, 1)],
        ((2, 3, 4, 5), (2, 3, 6, 5)): [3, (3, 3)],
        ((2, 5), (2, 3, 4, 5)): [(1, 3)],
        ((4, 1, 3), (4, 3, 1)): [None],
    }
    for (x, y), axes in shapes.items():
        for one in axes:
            yield Case("batch_dot-%s-%s-%s" % (x, y, one), lambda K, a, b, one=one: K.batch_dot(a, b, one), [floats("x", *x), floats("y", *y)])


def elements():
    ties = np.array([[-1.0, 0.0, 0.5, 1.0, 2.0], [0.0, 0.0, 6.0, 7.0, 1.0]], "float32")
    yield Case("maximum", lambda K, a, b: K.maximum(a, b), [ties, np.maximum(ties, 0.5).astype("float32")])
    yield Case("minimum", lambda K, a, b: K.minimum(a, b), [ties, np.maximum(ties, 0.5).astype("float32")])
    for low, high in [(0.0, 1.0), (0.5, None), (2.0, 1.0)]:
        yield Case("clip-%s-%s" % (low, high), lambda K, a, low=low, high=high: K.clip(a, low, high), [ties])
    yield Case("clip-None-1", lambda K, a: K.clip(a, None, 1.0), [ties], versions=TF_KERAS)
    yield Case("sqrt", lambda K, a: K.sqrt(a), [np.array([-1.0, 4.0, 9.0], "float32")])
    yield Case("round", lambda K, a: K.round(a), [np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 2.6], "float32")])
    yield Case("sign", lambda K, a: K.sign(a), [ties])
    yield Case("pow", lambda K, a: K.pow(a, 2), [ties])
    yield Case("cast-int", lambda K, a: K.cast(a, "int32"), [np.array([-1.7, -0.2, 0.9, 3.2], "float32")], [])
    yield Case("less_equal", lambda K, a, b: K.less_equal(a, b), [ties, ties[:, ::-1].copy()], [])
    for options in [{}, {"alpha": 0.3}, {"max_value": 6}, {"max_value": 1.0}, {"threshold": 0.5}, {"alpha": 0.1, "max_value": 2.0, "threshold": 0.5}]:
        yield Case("relu-%s" % sorted(options.items()), lambda K, a, o=options: K.relu(a, **o), [ties])
    yield Case("elu", lambda K, a: K.elu(a, 0.5), [ties])
    yield Case("hard_sigmoid", lambda K, a: K.hard_sigmoid(a), [ties * 1.3])
    yield Case("softplus", lambda K, a: K.softplus(a), [ties * 30])
    yield Case("softsign", lambda K, a: K.softsign(a), [ties])
    yield Case("softmax", lambda K, a: K.softmax(a, axis=1), [floats("x", 2, 3, 4)])


def reductions():
    x = floats("x", 2, 3, 4)
    ties = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]], "float32")
    for name in ["max", "min", "sum", "prod", "mean", "var", "std", "logsumexp", "any", "all"]:
        versions = KERAS2 if name == "logsumexp" else BOTH
        for axis, keepdims in [(None, False), (1, False), (-1, True), ([0, 2], False), ([0, -1], True)]:
            call = lambda K, a, n=name, axis=axis, k=keepdims: getattr(K, n)(a, axis=axis, keepdims=k)
            yield Case("%s-%s-%s" % (name, axis, keepdims), call, [x], [] if name in ("any", "all") else None, versions)
    for name in ["max", "min"]:
        yield Case(name + "-ties", lambda K, a, n=name: getattr(K, n)(a, axis=1), [ties])
    for name in ["argmax", "argmin"]:
        yield Case(name, lambda K, a, n=name: getattr(K, n)(a, axis=1), [ties], [])
    whole = np.array([[1, 2, 4], [-3, -5, 0]], "int32")
    for name in ["sum", "mean", "prod", "max"]:
        yield Case(name + "-int", lambda K, a, n=name: getattr(K, n)(a, axis=1), [whole])
    yield Case("mean-bool", lambda K, a: K.mean(a, axis=1), [whole > 0])
    yield Case("var-bool", lambda K, a: K.var(a, axis=1), [whole > 0])
    for axis in (0, 1, -1):
        yield Case("cumsum-%s" % axis, lambda K, a, axis=axis: K.cumsum(a, axis), [x])
        yield Case("cumprod-%s" % axis, lambda K, a, axis=axis: K.cumprod(a, axis), [x])
    for axis in (None, 1, -1):
        yield Case("l2_normalize-%s" % axis, lambda K, a, axis=axis: K.l2_normalize(a, axis), [x])
    yield Case("l2_normalize-zero", lambda K, a: K.l2_normalize(a, 1), [np.array([[0.0, 0.0], [3.0, 4.0]], "float32")])


def shapes():
    x = floats("x", 2, 3, 4)
    yield Case("batch_flatten", lambda K, a: K.batch_flatten(a), [x])
    yield Case("batch_flatten-vector", lambda K, a: K.batch_flatten(a), [x[0, 0]])
    yield Case("flatten", lambda K, a: K.flatten(a), [x])
    for axis in (0, 1, 2):
        yield Case("repeat_elements-%s" % axis, lambda K, a, axis=axis: K.repeat_elements(a, 3, axis), [x])
    yield Case("repeat", lambda K, a: K.repeat(a, 3), [x[0]])
    yield Case("tile", lambda K, a: K.tile(a, [2, 1, 3]), [x])
    for axes in (0, -1, [1, 2]):
        yield Case("reverse-%s" % axes, lambda K, a, axes=axes: K.reverse(a, axes), [x])
    yield Case("permute_dimensions", lambda K, a: K.permute_dimensions(a, (2, 0, 1)), [x])
    yield Case("transpose", lambda K, a: K.transpose(a), [x])
    yield Case("reshape", lambda K, a: K.reshape(a, (4, -1)), [x])
    yield Case("expand_dims", lambda K, a: K.expand_dims(a, 1), [x])
    yield Case("squeeze", lambda K, a: K.squeeze(a, 1), [x[:, :1]])
    yield Case("stack", lambda K, a, b: K.stack([a, b], axis=1), [x, x + 1])
    for axis in (-1, 1):
        yield Case("concatenate-%s" % axis, lambda K, a, b, axis=axis: K.concatenate([a, b], axis=axis), [x, x + 1])
    yield Case("slice", lambda K, a: K.slice(a, [0, 1, 0], [2, -1, 3]), [x], versions=KERAS2)
    yield Case("gather", lambda K, a, i: K.gather(a, i), [x, np.array([[1, 0], [1, 1]], "int32")])
    yield Case("gather-matrix", lambda K, a, i: K.gather(a, i), [x[0], np.array([2, 0, 2], "int32")])
    yield Case("one_hot", lambda K, i: K.one_hot(i, 4), [np.array([[0, 3], [4, -1]], "int32")])
    yield Case("arange-5", lambda K: K.arange(5), [])
    yield Case("arange-negative", lambda K: K.arange(-5), [])
    yield Case("arange-step", lambda K: K.arange(1, 10, 3, dtype="float32"), [])
    yield Case("arange-float", lambda K: K.arange(0, 1, 0.3), [])
    yield Case("constant-shape", lambda K: K.constant(3, shape=(2, 2)), [])
    yield Case("temporal_padding", lambda K, a: K.temporal_padding(a, (2, 1)), [x])
    for data_format in ("channels_last", "channels_first"):
        image, volume = floats("image", 2, 3, 4, 2), floats("volume", 1, 2, 3, 2, 2)
        two, three = ((1, 2), (0, 3)), ((1, 0), (2, 1), (0, 1))
        yield Case("spatial_2d_padding-" + data_format, lambda K, a, f=data_format, p=two: K.spatial_2d_padding(a, p, data_format=f), [image])
        yield Case("spatial_3d_padding-" + data_format, lambda K, a, f=data_format, p=three: K.spatial_3d_padding(a, p, data_format=f), [volume])
        for how in ("nearest", "bilinear"):
            yield Case(
                "resize_images-%s-%s" % (how, data_format), lambda K, a, f=data_format, h=how: K.resize_images(a, 2, 3, f, interpolation=h), [image]
            )
        yield Case("resize_volumes-" + data_format, lambda K, a, f=data_format: K.resize_volumes(a, 2, 3, 1, f), [volume])


def convolutions():
    formats = ("channels_last", "channels_first")

    def data(name, data_format, *shape):
        array = floats(name, *shape)
        return array if data_format == "channels_last" else np.ascontiguousarray(np.moveaxis(array, -1, 1))

    for f, kernel, (strides, dilation), padding in itertools.product(formats, (2, 3), ((1, 1), (2, 1), (1, 2)), ("valid", "same", "causal")):
        if (padding, f) == ("causal", "channels_first"):
            continue
        call = lambda K, a, k, f=f, s=strides, d=dilation, p=padding: K.conv1d(a, k, s, p, f, d)
        yield Case("conv1d-%s-%s-%s-%s-%s" % (kernel, strides, dilation, padding, f), call, [data("x", f, 2, 7, 3), floats("k", kernel, 3, 4)])
    settings = list(itertools.product(formats, ((2, 3), (3, 4)), (((1, 1), (1, 1)), ((2, 2), (1, 1)), ((1, 1), (2, 2))), ("valid", "same")))
    for f, kernel, (strides, dilation), padding in settings:
        tag = "-%s-%s-%s-%s-%s" % (kernel, strides, dilation, padding, f)
        image, k = data("x", f, 2, 7, 8, 3), floats("k", *(kernel + (3, 4)))
        yield Case("conv2d" + tag, lambda K, a, k, f=f, s=strides, d=dilation, p=padding: K.conv2d(a, k, s, p, f, d), [image, k])
        deep, point = floats("d", *(kernel + (3, 2))), floats("p", 1, 1, 6, 4)
        yield Case(
            "depthwise_conv2d" + tag, lambda K, a, k, f=f, s=strides, d=dilation, p=padding: K.depthwise_conv2d(a, k, s, p, f, d), [image, deep]
        )
        call = lambda K, a, k, q, f=f, s=strides, d=dilation, p=padding: K.separable_conv2d(a, k, q, s, p, f, d)
        yield Case("separable_conv2d" + tag, call, [image, deep, point])
    for f, kernel, (strides, dilation), padding in itertools.product(formats, (2, 3), ((1, 1), (2, 1), (1, 2)), ("valid", "same")):
        call = lambda K, a, k, q, f=f, s=strides, d=dilation, p=padding: K.separable_conv1d(a, k, q, s, p, f, d)
        arrays = [data("x", f, 2, 7, 3), floats("d", kernel, 3, 2), floats("p", 1, 6, 4)]
        yield Case("separable_conv1d-%s-%s-%s-%s-%s" % (kernel, strides, dilation, padding, f), call, arrays, versions=KERAS2)
    for f, kernel, strides, padding in itertools.product(formats, (2, 3), (1, 2), ("valid", "same")):
        call = lambda K, a, k, f=f, s=strides, p=padding: K.conv3d(a, k, (s, s, s), p, f)
        yield Case("conv3d-%s-%s-%s-%s" % (kernel, strides, padding, f), call, [data("x", f, 1, 4, 5, 4, 2), floats("k", kernel, 2, kernel, 2, 3)])
    for f, kernel, strides, padding, more in itertools.product(formats, (2, 3, 4), (1, 2, 3), ("valid", "same"), (0, 1)):
        rows, columns = (
            [3 * strides - more, 4 * strides - more] if padding == "same" else [3 * strides - strides + kernel, 4 * strides - strides + kernel + more]
        )
        if more >= strides or (padding == "valid" and strides == 1 and more):
            continue
        shape = (2, rows, columns, 5) if f == "channels_last" else (2, 5, rows, columns)
        call = lambda K, a, k, f=f, s=strides, p=padding, o=shape: K.conv2d_transpose(a, k, o, (s, s), p, f)
        tag = "%s-%s-%s-%s-%s" % (kernel, strides, padding, shape, f)
        yield Case("conv2d_transpose-" + tag, call, [data("x", f, 2, 3, 4, 3), floats("k", kernel, kernel, 5, 3)])
    for padding, shape in (("valid", (1, 7, 8, 3)), ("same", (1, 3, 4, 3))):
        call = lambda K, a, k, p=padding, o=shape: K.conv2d_transpose(a, k, o, (1, 1), p, "channels_last", (2, 2))
        yield Case("conv2d_transpose-dilated-" + padding, call, [floats("x", 1, 3, 4, 2), floats("k", 3, 3, 3, 2)])
    for f, strides, padding in itertools.product(formats, (1, 2), ("valid", "same")):
        side = 3 * strides if padding == "same" else 3 * strides - strides + 2
        shape = (1, side, side, side, 2) if f == "channels_last" else (1, 2, side, side, side)
        call = lambda K, a, k, f=f, s=strides, p=padding, o=shape: K.conv3d_transpose(a, k, o, (s, s, s), p, f)
        arrays = [data("x", f, 1, 3, 3, 3, 2), floats("k", 2, 2, 2, 2, 2)]
        yield Case("conv3d_transpose-%s-%s-%s" % (strides, padding, f), call, arrays, versions=KERAS2)


def pools():
    formats, modes = ("channels_last", "channels_first"), ("max", "avg")
    for f, mode, padding, (size, strides) in itertools.product(
        formats, modes, ("valid", "same"), (((2, 2), (2, 2)), ((3, 2), (1, 2)), ((2, 3), (1, 1)), ((2, 2), (3, 3)), ((4, 4), (2, 3)))
    ):
        shape = (2, 5, 7, 2) if f == "channels_last" else (2, 2, 5, 7)
        call = lambda K, a, f=f, m=mode, p=padding, z=size, s=strides: K.pool2d(a, z, s, p, f, m)
        yield Case("pool2d-%s-%s-%s-%s-%s" % (size, strides, padding, mode, f), call, [floats("x", *shape)])
    for f, mode, padding, (size, strides) in itertools.product(formats, modes, ("valid", "same"), ((2, 2), (3, 1), (2, 1))):
        shape = (1, 4, 5, 3, 2) if f == "channels_last" else (1, 2, 4, 5, 3)
        call = lambda K, a, f=f, m=mode, p=padding, z=size, s=strides: K.pool3d(a, (z, z, z), (s, s, s), p, f, m)
        yield Case("pool3d-%s-%s-%s-%s-%s" % (size, strides, padding, mode, f), call, [floats("x", *shape)])


def local():
    yield Case("local_conv1d", lambda K, a, k: K.local_conv1d(a, k, (3,), (2,), "channels_last"), [floats("x", 2, 7, 2), floats("k", 3, 6, 4)])
    arrays = [floats("x", 2, 2, 7), floats("k", 3, 6, 4)]
    yield Case("local_conv1d-first", lambda K, a, k: K.local_conv1d(a, k, (3,), (2,), "channels_first"), arrays, versions=TF_KERAS)
    for f, shape in (("channels_last", (2, 5, 6, 2)), ("channels_first", (2, 2, 5, 6))):
        call = lambda K, a, k, f=f: K.local_conv2d(a, k, (2, 3), (1, 2), (4, 2), f)
        yield Case("local_conv2d-" + f, call, [floats("x", *shape), floats("k", 8, 12, 3)])
    for f in ("channels_last", "channels_first"):
        for ndim in (3, 4, 5):
            shape = (2, 3, 4, 2, 3)[:ndim]
            channels = shape[-1] if f == "channels_last" else shape[1]
            places = shape[1:-1] if f == "channels_last" else shape[2:]
            yield Case("bias_add-%s-%s" % (ndim, f), lambda K, a, b, f=f: K.bias_add(a, b, f), [floats("x", *shape), floats("b", channels)])
            yield Case(
                "bias_add-places-%s-%s" % (ndim, f),
                lambda K, a, b, f=f: K.bias_add(a, b, f),
                [floats("x", *shape), floats("b", *(places + (channels,)))],
            )
    yield Case("bias_add-2", lambda K, a, b: K.bias_add(a, b), [floats("x", 2, 3), floats("b", 3)])


def normalizations():
    for shape, axes in (
        ((6, 3), [0]),
        ((4, 5, 3), [0, 1]),
        ((4, 5, 3), [0, 2]),
        ((2, 4, 5, 3), [0, 1, 2]),
        ((2, 3, 4, 5), [0, 2, 3]),
        ((2, 2, 2, 2, 3), [0, 1, 2, 3]),
    ):
        left = [n for i, n in enumerate(shape) if i not in axes]
        x, gamma, beta = floats("x", *shape), floats("g", *left), floats("b", *left)
        call = lambda K, a, g, b, axes=axes: list(K.normalize_batch_in_training(a, g, b, axes, 1e-2))
        # the gradient of the variance that the fused kernel returns is not defined there
        yield Case("normalize_batch-%s-%s" % (shape, axes), call, [x, gamma, beta], [])
        call = lambda K, a, g, b, axes=axes: K.normalize_batch_in_training(a, g, b, axes, 1e-2)[0]
        yield Case("normalize_batch-grad-%s-%s" % (shape, axes), call, [x, gamma, beta])
        call = lambda K, a, axes=axes: list(K.normalize_batch_in_training(a, None, None, axes))
        yield Case("normalize_batch-plain-%s-%s" % (shape, axes), call, [x], [])
    for shape in ((6, 3), (4, 5, 3), (2, 4, 5, 3)):
        arrays = [floats("x", *shape), floats("m", 3), np.abs(floats("v", 3)), floats("b", 3), floats("g", 3)]
        yield Case(
            "batch_normalization-%s" % (shape,), lambda K, x, m, v, b, g: K.batch_normalization(x, m, v, b, g, axis=-1, epsilon=1e-2), arrays, [0]
        )
    arrays = [floats("x", 2, 3, 4), floats("m", 1, 3, 1), np.abs(floats("v", 1, 3, 1)), floats("b", 1, 3, 1), floats("g", 1, 3, 1)]
    yield Case("batch_normalization-broadcast", lambda K, x, m, v, b, g: K.batch_normalization(x, m, v, b, g, axis=1), arrays)


def losses():
    target, output = np.eye(4, dtype="float32")[[0, 2, 3]], probabilities("p", 3, 4)
    edge = np.array([[0.0, 1.0, 0.5], [1.0, 0.0, 1.0]], "float32")
    yield Case("categorical_crossentropy", lambda K, t, o: K.categorical_crossentropy(t, o), [target, output * 2], [1])
    yield Case(
        "categorical_crossentropy-logits", lambda K, t, o: K.categorical_crossentropy(t, o, from_logits=True), [target, floats("s", 3, 4)], [1]
    )
    arrays = [
        np.moveaxis(np.eye(4, dtype="float32")[np.array([[0, 1], [2, 3], [3, 3]])], -1, 1).copy(),
        probabilities("p", 3, 2, 4).transpose(0, 2, 1).copy(),
    ]
    yield Case("categorical_crossentropy-axis", lambda K, t, o: K.categorical_crossentropy(t, o, axis=1), arrays, [1])
    ids = np.array([0, 2, 3], "int32")
    yield Case("sparse_categorical_crossentropy", lambda K, t, o: K.sparse_categorical_crossentropy(t, o), [ids, output * 2], [1])
    yield Case(
        "sparse_categorical_crossentropy-logits",
        lambda K, t, o: K.sparse_categorical_crossentropy(t, o, from_logits=True),
        [ids, floats("s", 3, 4)],
        [1],
    )
    arrays = [np.array([[0, 1], [2, 3], [3, 3]], "int32"), probabilities("p", 3, 2, 4).transpose(0, 2, 1).copy()]
    yield Case("sparse_categorical_crossentropy-axis", lambda K, t, o: K.sparse_categorical_crossentropy(t, o, axis=1), arrays, [1])
    labels = np.array([[0.0, 1.0, 1.0], [1.0, 0.3, 0.0]], "float32")
    yield Case("binary_crossentropy", lambda K, t, o: K.binary_crossentropy(t, o), [labels, probabilities("p", 2, 3)], [1])
    yield Case("binary_crossentropy-edge", lambda K, t, o: K.binary_crossentropy(t, o), [labels, edge], [])
    yield Case("binary_crossentropy-logits", lambda K, t, o: K.binary_crossentropy(t, o, from_logits=True), [labels, floats("s", 2, 3)], [1])
    scores = np.array(
        [[0.1, 0.4, 0.4, 0.1], [0.3, 0.3, 0.2, 0.2], [0.0, 0.0, 0.0, 0.0], [0.9, 0.0, 0.05, 0.05], [np.inf, 1.0, 0.0, 0.0], [np.nan, 1.0, 0.0, 0.0]],
        "float32",
    )
    for k in (1, 2, 3):
        for number, targets in enumerate(([1, 2, 3, 0, 0, 1], [2, 1, 0, 1, 1, 2], [0, 0, 1, 2, 2, 3], [3, 3, 2, 4, -1, 0])):
            yield Case("in_top_k-%s-%s" % (k, number), lambda K, p, t, k=k: K.in_top_k(p, t, k), [scores, np.array(targets, "int32")], [])


def choices():
    x, y = floats("x", 2, 3, 4), floats("y", 2, 3, 4)
    mask = np.array([[True, False, True], [False, False, True]])
    for name, condition in (("full", x > 0), ("two", mask), ("column", mask[:, :1]), ("float", mask.astype("float32"))):
        yield Case("switch-" + name, lambda K, c, a, b: K.switch(c, a, b), [condition, x, y], [1, 2])
    yield Case("switch-rows", lambda K, c, a, b: K.switch(c, a, b), [np.array([True, False]), x[:, 0], y[:, 0]], [1, 2], KERAS2)
    yield Case(
        "switch-rows-square", lambda K, c, a, b: K.switch(c, a, b), [np.array([True, False, True]), x[0, :, :3].copy(), y[0, :, :3].copy()], [1, 2]
    )
    for truth in (True, False):
        yield Case("switch-scalar-%s" % truth, lambda K, c, a, b: K.switch(c, lambda: a * 2, lambda: b * 3), [np.array(truth), x, y], [1, 2])
    yield Case("in_train_phase-1", lambda K, a, b: K.in_train_phase(a, b, training=1), [x, y])
    yield Case("in_test_phase-1", lambda K, a, b: K.in_test_phase(a, b, training=1), [x, y])
    yield Case("map_fn", lambda K, a: K.map_fn(lambda row: K.sum(row * row, axis=0), a), [x])
    yield Case("map_fn-pair", lambda K, a, b: K.map_fn(lambda pair: pair[0] * pair[1], (a, b), dtype="float32"), [x, y])
    yield Case("foldl", lambda K, a: K.foldl(lambda acc, row: acc * 0.5 + row, a), [x])
    yield Case("foldr", lambda K, a: K.foldr(lambda acc, row: acc * 0.5 + row, a), [x])
    yield Case("foldl-start", lambda K, a, b: K.foldl(lambda acc, row: acc * 0.5 + row, a, initializer=b), [x, y[0]])


def recurrences():
    x, h, c = floats("x", 3, 4, 5), floats("h", 3, 2), floats("c", 3, 2)
    w, u = floats("w", 5, 2), floats("u", 2, 2)
    mask = np.array([[1, 1, 0, 1], [0, 1, 1, 0], [0, 0, 0, 0]], bool)

    def one(K):
        def step(inputs, states):
            new = K.tanh(K.dot(inputs, K.constant(w)) + K.dot(states[0], K.constant(u)))
            return new, [new]

        return step

    def two(K):
        # the output is not the first state, and a constant comes behind the states
        def step(inputs, states):
            first = K.tanh(K.dot(inputs, K.constant(w)) + K.dot(states[1], K.constant(u)) + states[2])
            return first * states[0], [first, states[0] + states[1]]

        return step

    def flat(result, part):
        # Keras 2.2.4 lets only one of the two be read
        last, outputs, states = result
        return [last if part == "last" else outputs] + list(states)

    for back, unroll, masked, part in itertools.product((False, True), (False, True), ("no", "two", "three"), ("last", "all")):
        tag = "-%s-%s-%s-%s" % (back, unroll, masked, part)
        arrays = [x, h] + ([] if masked == "no" else [mask if masked == "two" else mask[:, :, None]])
        call = lambda K, a, s, m=None, b=back, r=unroll, p=part: flat(K.rnn(one(K), a, [s], go_backwards=b, unroll=r, mask=m), p)
        yield Case("rnn-one" + tag, call, arrays, [0, 1])
        arrays = [x, h, c, floats("k", 3, 2)] + arrays[2:]
        call = lambda K, a, s, t, k, m=None, b=back, r=unroll, p=part: flat(K.rnn(two(K), a, [s, t], b, m, [k], r), p)
        yield Case("rnn-two" + tag, call, arrays, [0, 1, 2, 3])
    for unroll, part in itertools.product((False, True), ("last", "all")):
        call = lambda K, a, s, m, r=unroll, p=part: flat(K.rnn(one(K), a, [s], mask=m, unroll=r, zero_output_for_mask=True), p)
        yield Case("rnn-zero-%s-%s" % (unroll, part), call, [x, h, mask], [0, 1], TF_KERAS)
        call = lambda K, a, s, m, r=unroll, p=part: flat(K.rnn(one(K), a, [s], mask=m, unroll=r, time_major=True), p)
        yield Case("rnn-time_major-%s-%s" % (unroll, part), call, [x.transpose(1, 0, 2).copy(), h, mask.T.copy()], [0, 1], TF_KERAS)
    for back, part in itertools.product((False, True), ("last", "all")):
        call = lambda K, a, s, n, b=back, p=part: flat(K.rnn(one(K), a, [s], go_backwards=b, input_length=n), p)
        yield Case("rnn-input_length-%s-%s" % (back, part), call, [x, h, np.array([4, 2, 3], "int32")], [0, 1], TF_KERAS)


def texts():
    labels, lengths = np.array([[0, 1, 1], [2, 0, 0], [3, 3, 2], [1, 0, 0]], "int32"), np.array([[3], [1], [3], [2]], "int32")
    steps = np.array([[7], [4], [6], [7]], "int32")
    output = probabilities("o", 4, 7, 5)
    yield Case("ctc_batch_cost", lambda K, t, o, s, n: K.ctc_batch_cost(t, o, s, n), [labels, output, steps, lengths], [1])
    yield Case("ctc_batch_cost-scaled", lambda K, t, o, s, n: K.ctc_batch_cost(t, o, s, n), [labels, output * 3, steps, lengths], [1])
    yield Case("ctc_label_dense_to_sparse", lambda K, t, n: K.to_dense(K.ctc_label_dense_to_sparse(t, n)), [labels, lengths[:, 0]])

    def flat(result):
        return list(result[0]) + [result[1]]

    sharp = probabilities("sharp", 6, 9, 4) ** 2
    sharp = (sharp / sharp.sum(-1, keepdims=True)).astype("float32")
    for name, array, length in (("plain", output, steps[:, 0]), ("sharp", sharp, np.array([9, 9, 5, 1, 8, 3], "int32"))):
        yield Case("ctc_decode-greedy-" + name, lambda K, o, s: flat(K.ctc_decode(o, s)), [array, length], [])
        for width, paths in ((1, 1), (3, 2), (8, 3), (100, 4)):
            call = lambda K, o, s, w=width, p=paths: flat(K.ctc_decode(o, s, greedy=False, beam_width=w, top_paths=p))
            yield Case("ctc_decode-beam-%s-%s-%s" % (name, width, paths), call, [array, length], [])


def keras1():
    """Calls in the words and the order of Keras 1."""

    def case(name, call, arrays, grads=None):
        return Case("keras1-" + name, call, arrays, grads, KERAS1)

    images = {"tf": floats("x", 2, 5, 6, 3), "th": floats("x", 2, 3, 5, 6)}
    kernels = {"tf": floats("k", 2, 3, 3, 4), "th": floats("k", 4, 3, 2, 3)}
    for order, border in itertools.product(("tf", "th"), ("valid", "same")):
        tag, x, k = "-%s-%s" % (order, border), images[order], kernels[order]
        yield case("conv2d" + tag, lambda K, a, k, o=order, b=border: K.conv2d(a, k, (2, 1), b, o), [x, k])
        yield case(
            "conv2d-words" + tag, lambda K, a, k, o=order, b=border: K.conv2d(a, k, border_mode=b, dim_ordering=o, filter_dilation=(2, 2)), [x, k]
        )
        yield case("atrous_conv2d" + tag, lambda K, a, k, o=order, b=border: K.atrous_conv2d(a, k, 2, b, o), [x, k])
        shape = (2, 5, 6, 4) if order == "tf" else (2, 4, 5, 6)
        rows, columns = (4, 4) if border == "valid" else (5, 6)
        back = floats("y", 2, rows, columns, 3) if order == "tf" else floats("y", 2, 3, rows, columns)
        call = lambda K, a, k, o=order, b=border, s=shape: K.deconv2d(a, k, s, border_mode=b, dim_ordering=o)
        yield case("deconv2d" + tag, call, [back, k])
        deep = floats("d", 2, 3, 3, 2) if order == "tf" else floats("d", 2, 3, 2, 3)
        point = floats("p", 1, 1, 6, 4) if order == "tf" else floats("p", 4, 6, 1, 1)
        call = lambda K, a, d, p, o=order, b=border: K.separable_conv2d(a, d, p, (1, 1), b, o)
        yield case("separable_conv2d" + tag, call, [x, deep, point])
        volume = floats("v", 1, 3, 4, 3, 2) if order == "tf" else floats("v", 1, 2, 3, 4, 3)
        kernel = floats("k", 2, 2, 2, 2, 3) if order == "tf" else floats("k", 3, 2, 2, 2, 2)
        yield case("conv3d" + tag, lambda K, a, k, o=order, b=border: K.conv3d(a, k, (1, 1, 1), b, o), [volume, kernel])
        for mode in ("max", "avg"):
            yield case("pool2d-" + mode + tag, lambda K, a, o=order, b=border, m=mode: K.pool2d(a, (2, 2), (2, 2), b, o, m), [x])
            yield case("pool3d-" + mode + tag, lambda K, a, o=order, b=border, m=mode: K.pool3d(a, (2, 2, 2), (1, 1, 1), b, o, m), [volume])
    for border in ("valid", "same"):
        yield case(
            "conv1d-" + border, lambda K, a, k, b=border: K.conv1d(a, k, stride=2, border_mode=b), [floats("x", 2, 6, 3), floats("k", 3, 3, 4)]
        )
    for order in ("tf", "th"):
        yield case("spatial_2d_padding-" + order, lambda K, a, o=order: K.spatial_2d_padding(a, (1, 2), o), [images[order]])
        yield case("asymmetric_spatial_2d_padding-" + order, lambda K, a, o=order: K.asymmetric_spatial_2d_padding(a, 1, 0, 2, 1, o), [images[order]])
        yield case("resize_images-" + order, lambda K, a, o=order: K.resize_images(a, 2, 3, o), [images[order]])
        volume = floats("v", 1, 2, 3, 2, 2)
        yield case("resize_volumes-" + order, lambda K, a, o=order: K.resize_volumes(a, 2, 1, 3, o), [volume])
        yield case("spatial_3d_padding-" + order, lambda K, a, o=order: K.spatial_3d_padding(a, (1, 0, 2), o), [volume])
    yield case("temporal_padding", lambda K, a: K.temporal_padding(a, 2), [floats("x", 2, 3, 4)])
    yield case("asymmetric_temporal_padding", lambda K, a: K.asymmetric_temporal_padding(a, 2, 0), [floats("x", 2, 3, 4)])
    output, target = probabilities("p", 3, 4), np.eye(4, dtype="float32")[[0, 2, 3]]
    yield case("categorical_crossentropy", lambda K, o, t: K.categorical_crossentropy(o, t), [output, target], [0])
    yield case(
        "sparse_categorical_crossentropy", lambda K, o, t: K.sparse_categorical_crossentropy(o, t), [output, np.array([0, 2, 3], "int32")], [0]
    )
    yield case("binary_crossentropy", lambda K, o, t: K.binary_crossentropy(o, t), [output, target], [0])
    yield case("binary_crossentropy-logits", lambda K, o, t: K.binary_crossentropy(o, t, True), [floats("s", 3, 4), target], [0])
    arrays = [floats("x", 5, 3), floats("m", 3), np.abs(floats("v", 3)), floats("b", 3), floats("g", 3)]
    yield case("batch_normalization", lambda K, x, m, v, b, g: K.batch_normalization(x, m, v, b, g, 0.5), arrays)
    yield case("any", lambda K, a: K.any(a, axis=1), [np.array([[0, 1], [0, 0]], "int32")])
    yield case("all", lambda K, a: K.all(a, axis=1), [np.array([[1, 1], [0, 1]], "int32")])
    yield case("lesser", lambda K, a, b: [K.lesser(a, b), K.lesser_equal(a, b)], [floats("x", 4), np.array([0.0, 0.1, -0.2, 3.0], "float32")], [])
    yield case("expand_dims", lambda K, a: K.expand_dims(a, dim=1), [floats("x", 2, 3)])
    yield case("one_hot", lambda K, i: K.one_hot(i, nb_classes=3), [np.array([0, 2], "int32")])
    for axes in (1, (1, 2), (2, 1)):
        shapes = {1: ((2, 3), (2, 3)), (1, 2): ((2, 4, 3), (2, 5, 4)), (2, 1): ((2, 3, 4), (2, 4, 5))}[axes]
        yield case("batch_dot-%s" % (axes,), lambda K, a, b, axes=axes: K.batch_dot(a, b, axes), [floats("x", *shapes[0]), floats("y", *shapes[1])])
    labels, lengths, steps = np.array([[0, 1, 1], [2, 0, 0]], "int32"), np.array([[3], [1]], "int32"), np.array([[7], [4]], "int32")
    # so small that it matters what is added to a probability
    small = probabilities("o", 2, 7, 5) * 1e-6
    yield case("ctc_batch_cost", lambda K, t, o, s, n: K.ctc_batch_cost(t, o, s, n), [labels, small, steps, lengths], [1])


FAMILIES = (products, elements, reductions, shapes, convolutions, pools, local, normalizations, losses, choices, recurrences, texts, keras1)
CASES = [case for family in FAMILIES for case in family()]
