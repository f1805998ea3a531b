"""Ask a genuine Keras release for the results of `backend_cases.py` and write them to `backend.npz` and `backend.json`.

Run it with the interpreter of an environment that has Keras 2.2.4 on TensorFlow 1.15, then with that of one that has tf.keras 2.4.0
(TensorFlow 2.3); each run replaces the part of its own release:

    python tests/golden/record_backend.py
"""
# ruff: noqa: B905, UP031  (it runs under Python 3.7, too)

import json
import platform
import re
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER))
import backend_cases  # noqa: E402

GRAPH = tf.__version__.startswith("1.")
if GRAPH:
    import keras
    from keras import backend as K

    VERSION = keras.__version__
else:
    K = tf.keras.backend
    VERSION = tf.keras.__version__


def as_list(result):
    return list(result) if isinstance(result, (list, tuple)) else [result]


def gradients_of(case, outputs, inputs, compute):
    """Gradients of the sum of outputs times cotangents, `None` where there is no dependence."""
    total = 0.0
    for number, output in enumerate(outputs):
        if output.dtype.is_floating:
            total += tf.reduce_sum(output * case.cotangent(number, [int(n) for n in output.shape]))
    return compute(total, [inputs[i] for i in case.grads])


def run_graph(case):
    """Results and gradients in TensorFlow 1."""
    K.clear_session()
    inputs = [tf.constant(array) for array in case.arrays]
    outputs = as_list(case.call(K, *inputs))
    grads = [None] * len(case.grads)
    if case.grads:
        # shapes may be known only when it runs
        shapes = [value.shape for value in K.get_session().run(outputs)]
        for output, shape in zip(outputs, shapes):
            output.set_shape(shape)
        grads = gradients_of(case, outputs, inputs, tf.gradients)
    grads = [tf.convert_to_tensor(grad) if grad is not None else None for grad in grads]
    known = [grad for grad in grads if grad is not None]
    values = K.get_session().run([outputs, known])
    found = iter(values[1])
    return values[0], [None if grad is None else next(found) for grad in grads]


def run_eagerly(case):
    """Results and gradients in TensorFlow 2."""
    inputs = [tf.constant(array) for array in case.arrays]
    with tf.GradientTape() as tape:
        for i in case.grads:
            tape.watch(inputs[i])
        outputs = as_list(case.call(K, *inputs))
        total = 0.0
        for number, output in enumerate(outputs):
            if output.dtype.is_floating and case.grads:
                total += tf.reduce_sum(output * case.cotangent(number, output.shape))
    grads = tape.gradient(total, [inputs[i] for i in case.grads]) if case.grads else []
    return [output.numpy() for output in outputs], [None if grad is None else tf.convert_to_tensor(grad).numpy() for grad in grads]


class Store:
    """All arrays of a release, one after the other, one row for each type; `backend.json` says where each lies."""

    def __init__(self):
        self.rows = {}

    def add(self, array):
        """Keep an array; its type, shape and place."""
        array = np.asarray(array)
        kept = self.rows.setdefault(array.dtype.name, [])
        place = sum(len(one) for one in kept)
        kept.append(array.ravel())
        return [array.dtype.name, list(array.shape), place]


def main():
    facts_file, arrays_file = FOLDER / "backend.json", FOLDER / "backend.npz"
    facts = json.loads(facts_file.read_text()) if facts_file.exists() else {}
    arrays = dict(np.load(str(arrays_file))) if arrays_file.exists() else {}
    arrays = {key: array for key, array in arrays.items() if not key.startswith(VERSION + "/")}
    cases, refused, store = {}, {}, Store()
    for case in backend_cases.CASES:
        if VERSION not in case.versions:
            continue
        try:
            outputs, grads = (run_graph if GRAPH else run_eagerly)(case)
        except Exception as error:  # what this release cannot compute is a fact, too
            refused[case.name] = "%s: %s" % (type(error).__name__, str(error).splitlines()[0][:160])
            continue
        known = {str(i): store.add(grad) for i, grad in zip(case.grads, grads) if grad is not None}
        cases[case.name] = {"outputs": [store.add(output) for output in outputs], "grads": known}
    facts[VERSION] = {
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "seed": backend_cases.SEED,
        "cases": cases,
        "refused": refused,
    }
    arrays.update({VERSION + "/" + kind: np.concatenate(row) for kind, row in store.rows.items()})
    facts_file.write_text(in_lines(facts))
    np.savez_compressed(str(arrays_file), **arrays)
    print(VERSION, len(cases), "cases", len(refused), "refused")
    for name, why in sorted(refused.items()):
        print("  ", name, why)


def in_lines(facts):
    """JSON with one line for each case."""
    text = json.dumps(facts, sort_keys=True)
    for version in facts.values():
        for part in ("cases", "refused"):
            for name in version[part]:
                text = text.replace(json.dumps(name) + ": ", "\n" + json.dumps(name) + ": ")
    return re.sub(r"\n+", "\n", text) + "\n"


if __name__ == "__main__":
    main()
