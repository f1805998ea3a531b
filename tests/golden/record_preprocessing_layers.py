"""Record what the preprocessing layers of tf.keras 2.4.0 compute. Run with TensorFlow 2.3.1; writes `tf.keras-2.4.0/preprocessing_layers.npz`.

Keys are `<case>/<name>`: x (input), data (given to adapt), y (output), w0, w1, ... (weights).
"""

from pathlib import Path

import numpy as np
import tensorflow as tf

P = tf.keras.layers.experimental.preprocessing
FILE = Path(__file__).parent / "tf.keras-2.4.0" / "preprocessing_layers.npz"
found = {}


def record(name, layer, x, data=None):
    if data is not None:
        layer.adapt(data)
        found[name + "/data"] = data
    found[name + "/x"] = x
    found[name + "/y"] = np.asarray(layer(tf.constant(x)))
    for number, weight in enumerate(layer.get_weights()):
        found[f"{name}/w{number}"] = weight


rng = np.random.RandomState(0)
images = rng.rand(2, 5, 7, 3).astype("float32")
ids = rng.randint(0, 6, (4, 5)).astype("int64")
record("rescaling", P.Rescaling(1 / 127.5, offset=-1.0), rng.randint(0, 256, (2, 3, 4, 1)).astype("uint8"))
for case, size in (("up", (9, 10)), ("down", (3, 4)), ("mixed", (8, 3))):
    for interpolation in ("bilinear", "nearest"):
        record(f"resizing_{case}_{interpolation}", P.Resizing(*size, interpolation=interpolation), images)
record("center_crop_odd", P.CenterCrop(2, 4), images)
record("center_crop_even", P.CenterCrop(3, 3), images)
record("normalization", P.Normalization(), rng.randn(4, 3).astype("float32"), (rng.randn(50, 3) * 3 + 1).astype("float32"))
record("normalization_axes", P.Normalization(axis=(1, -1)), rng.randn(4, 2, 5, 3).astype("float32"), (rng.randn(20, 2, 5, 3) - 1).astype("float32"))
record("normalization_none", P.Normalization(axis=None), rng.randn(4, 3).astype("float32"), (rng.randn(20, 3) - 1).astype("float32"))
for mode in ("binary", "count", "tf-idf"):
    record("category_" + mode, P.CategoryEncoding(6, mode), ids, np.concatenate([ids, [[5] * 5]]) if mode == "tf-idf" else None)
np.savez_compressed(str(FILE), **found)
