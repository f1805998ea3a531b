"""Run by a genuine Keras, in its own Python: load a file, predict, train on, and write down what came out.

    python referee_program.py MODEL DATA.npz OUTPUT.npz

DATA has inputs x0, x1, ... and targets y0, y1, ... Only what every release has is used here, from Python 3.7 on.
"""

import os
import sys

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "torch" if sys.version_info >= (3, 10) else "tensorflow"
try:
    from tensorflow import keras

    if "--keras" in sys.argv:
        raise ImportError("the package keras is wanted, not the one inside of TensorFlow")
except ImportError:
    import keras


def assign_after_computing():
    """On TensorFlow 1.15 Keras 2.2.4 leaves the order of reads and assignments to the scheduler: compute all new values, then assign them."""
    import tensorflow as tf
    from keras import backend, optimizers

    backend.update = lambda x, new: (x, new)
    backend.update_add = lambda x, more: (x, x + tf.cast(more, x.dtype))
    for kind in vars(optimizers).values():
        if isinstance(kind, type) and issubclass(kind, optimizers.Optimizer) and "get_updates" in vars(kind):
            kind.get_updates = ordered(kind.get_updates)


def ordered(get_updates):
    import tensorflow as tf

    def wrapper(self, *args, **kwargs):
        updates = get_updates(self, *args, **kwargs)
        pairs = [update for update in updates if isinstance(update, tuple)]
        rest = [update for update in updates if not isinstance(update, tuple)]
        values = [tf.identity(new) for _, new in pairs]
        with tf.control_dependencies(values):
            return rest + [tf.compat.v1.assign(x, value) for (x, _), value in zip(pairs, values)]  # noqa: B905 - of Python 3.7

    return wrapper


def main(model_file, data_file, output_file):
    if keras.__version__.startswith("2.2"):
        assign_after_computing()
    data = np.load(data_file)
    x = [data[name] for name in sorted(data.files) if name.startswith("x")]
    y = [data[name] for name in sorted(data.files) if name.startswith("y")]
    model = keras.models.load_model(model_file)
    one = x[0] if len(x) == 1 else x
    found = {}

    def keep(name, arrays):
        arrays = arrays if isinstance(arrays, (list, tuple)) else [arrays]
        found.update({f"{name}{number:03d}": array for number, array in enumerate(arrays)})

    keep("before", model.predict(one, batch_size=len(x[0])))
    history = model.fit(one, y[0] if len(y) == 1 else y, epochs=2, batch_size=4, shuffle=False, verbose=0).history
    keep("loss", np.array(history["loss"]))
    keep("after", model.predict(one, batch_size=len(x[0])))
    keep("weights", model.get_weights())
    np.savez(output_file, version=keras.__version__, **found)


if __name__ == "__main__":
    main(*[argument for argument in sys.argv[1:] if not argument.startswith("--")][:3])
