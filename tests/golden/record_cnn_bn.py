"""Record the training case `cnn_bn` anew in float64, under a genuine release.

Its convolution's bias stands before a BatchNormalization, so the true gradient of that bias is zero: in float32 the release trains it on rounding
noise, which RMSprop blows up to whole steps, and the recorded bias, moving mean and validation loss are that noise's. In float64 the noise is
far below RMSprop's epsilon.

Run as `PYTHON record_cnn_bn.py 2.2.4` with Keras 2.2.4 on TensorFlow 1.15.5, or `... 2.4.0` with TensorFlow 2.3.1.
"""

import json
import os
import sys

import numpy as np

version = sys.argv[1]
here = os.path.dirname(os.path.abspath(__file__))
folder = os.path.join(here, {"2.2.4": "keras-2.2.4", "2.4.0": "tf.keras-2.4.0"}[version])
if version == "2.2.4":
    import keras
    from keras import backend as K
else:
    from tensorflow import keras

    K = keras.backend
K.set_floatx("float64")
with open(os.path.join(folder, "manifest.json")) as file:
    (case,) = [case for case in json.load(file)["cases"] if case["id"] == "training.cnn_bn.0"]
arrays = np.load(os.path.join(folder, case["file"]))


def wide(key):
    array = arrays[key]
    return array.astype("float64") if array.dtype == np.float32 else array


config = json.loads(json.dumps(case["model_json"]).replace("float32", "float64"))
model = keras.models.model_from_json(json.dumps(config))
model.set_weights([wide(key) for key in case["weights"]])
optimizer = case["compile"]["optimizer"]
model.compile(getattr(keras.optimizers, optimizer["class_name"])(**optimizer["config"]), case["compile"]["loss"], metrics=case["compile"]["metrics"])
x, y = wide(case["inputs"][0]), wide(case["targets"][0])
validation = (wide(case["validation_data"]["x"][0]), wide(case["validation_data"]["y"][0]))
history = model.fit(x, y, validation_data=validation, verbose=0, **case["fit"])
result = {name: [float(value) for value in values] for name, values in history.history.items()}
path = os.path.join(here, "cnn_bn_float64.npz")
known = dict(np.load(path)) if os.path.exists(path) else {}
known[version + "/history"] = np.array(json.dumps(result))
for number, weight in enumerate(model.get_weights()):
    known[version + "/w" + str(number)] = weight
known[version + "/outputs"] = model.predict(x)
np.savez_compressed(path, **known)
print(version, result)
