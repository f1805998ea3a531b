"""Record the architectures of a genuine release: `python genuine.py RELEASE FOLDER [NAME...]`, run under that release, without torchkeras.

Writes `architectures-RELEASE.json` (names, shapes, counts, summaries) and, for the names given, `NAME.h5` and what the network predicts
with weights that a seed for each layer makes, at a small image size.
"""

import hashlib
import json
import os
import sys
import zlib

import numpy as np

VARIANTS = {"top": {}, "bare": {"include_top": False}, "pooled": {"include_top": False, "pooling": "avg"}}
NAMES = ("VGG16", "VGG19", "ResNet50", "MobileNet", "InceptionV3", "DenseNet121", "Xception")
SIZES = {"InceptionV3": 75, "Xception": 71}
KERAS1_SIZES = {"InceptionV3": 139, "ResNet50": 200, "VGG16": 48, "VGG19": 48, "Xception": 71}


def small(name, release):
    """Arguments of a small network of an architecture; Keras 1 has its classifier at one size only."""
    if release == "1.2.2":
        size = KERAS1_SIZES[name]
        return {"include_top": False, "weights": None, "input_shape": (size, size, 3)}
    size = SIZES.get(name, 32)
    width = {"alpha": 0.25} if name == "MobileNet" else {}
    return {"weights": None, "classes": 10, "input_shape": (size, size, 3), **width}


def images(shape):
    return np.random.RandomState(5).uniform(-1, 1, size=(2, *shape)).astype("float32")


def set_seeded(model):
    """Weights that a layer's name alone decides, of a size that keeps values near one through all layers."""
    # a classifier is named otherwise in every release; automatic names count from 0 or 1
    for number, layer in enumerate(one for one in model.layers if one.get_weights()):
        random = np.random.RandomState(zlib.crc32(str(number).encode()))
        made = []
        for weight in layer.get_weights():
            shape = weight.shape
            if len(shape) == 1:
                made.append(random.uniform(0.5, 1.5, size=shape).astype("float32"))
            else:
                inputs = np.prod(shape[:-1]) if shape[-1] > 1 else np.prod(shape[:2])
                made.append((random.normal(size=shape) * np.sqrt(1.0 / inputs)).astype("float32"))
        layer.set_weights(made)


def described(model, shape_of):
    lines = []
    try:
        model.summary(print_fn=lines.append)
    except TypeError:  # Keras 1 prints
        import contextlib
        import io

        text = io.StringIO()
        with contextlib.redirect_stdout(text):
            model.summary()
        lines = text.getvalue().split("\n")
    return {
        "name": model.name,
        "count": int(model.count_params()),
        "output": list(model.output_shape),
        "layers": [[layer.name, *[list(map(int, shape_of(weight))) for weight in layer.weights]] for layer in model.layers],
        "summary": hashlib.sha256("\n".join(line.rstrip() for line in lines).strip().encode()).hexdigest(),
    }


def main(release, folder, names):
    if release == "2.4.0":
        from tensorflow.keras import applications, backend
    else:
        from keras import applications, backend

    def shape_of(weight):
        return weight.shape if release == "2.4.0" else backend.int_shape(weight)

    found = {}
    for name in NAMES if not names else ():
        for variant, arguments in VARIANTS.items():
            if not hasattr(applications, name) or (release == "1.2.2" and variant == "pooled"):
                continue
            backend.clear_session()
            found[name + "." + variant] = described(getattr(applications, name)(weights=None, **arguments), shape_of)
    if found:
        with open(os.path.join(folder, "architectures-" + release + ".json"), "w") as file:
            json.dump(found, file, separators=(",", ":"), sort_keys=True)
    predictions = {}
    for name in names:
        backend.clear_session()
        arguments = small(name, release)
        model = getattr(applications, name)(**arguments)
        set_seeded(model)
        model.save_weights(os.path.join(folder, name + ".h5"))
        out = model.predict(images(arguments["input_shape"]))
        predictions[name] = out.reshape(2, -1)[:, :: 101 if release == "1.2.2" else 1].astype(float).tolist()
    if predictions:
        with open(os.path.join(folder, "predictions-" + release + ".json"), "w") as file:
            json.dump(predictions, file, separators=(",", ":"), sort_keys=True)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
