"""Record which hooks genuine Keras calls, in which order, with which logs, and what its callbacks do and print.

Run by an interpreter that has the release, with the folder that gets the file:

    python record_hooks.py OUTPUT_FOLDER          # Keras 1.2.2 or 2.2.4 on TensorFlow 1.15, or tf.keras 2.4.0

Writes `hooks-<release>.json`.
"""

import contextlib
import io
import json
import os
import sys
import tempfile

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
try:
    import keras
except ImportError:
    from tensorflow import keras

VERSION = "2.4.0" if keras.__version__.startswith("2.4") else keras.__version__
MODERN = VERSION == "2.4.0"
EPOCHS = "nb_epoch" if VERSION == "1.2.2" else "epochs"
C = keras.callbacks

HOOKS = ["on_train_begin", "on_train_end", "on_epoch_begin", "on_epoch_end", "on_batch_begin", "on_batch_end"]
HOOKS += [f"on_{which}_batch_{end}" for which in ("train", "test", "predict") for end in ("begin", "end")]
HOOKS += [f"on_{which}_{end}" for which in ("test", "predict") for end in ("begin", "end")]


def plain(value):
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if hasattr(value, "numpy"):
        return plain(value.numpy())
    return value


def recorder(hooks, name="r", stop=None):
    """A callback that overrides these hooks and keeps [its name, hook, index, logs]."""

    def make(hook):
        def run(self, *args):
            index = args[0] if len(args) == 2 else None
            logs = plain(dict(args[-1] or {}))
            self.seen.append([name, hook, index, logs])
            if stop == [hook, index]:
                self.model.stop_training = True

        if "batch" in hook or "epoch" in hook:
            return lambda self, index, logs=None: run(self, index, logs)
        return lambda self, logs=None: run(self, logs)

    cls = type("Recorder", (C.Callback,), {hook: make(hook) for hook in hooks})
    callback = cls()
    callback.seen = []
    return callback


def data():
    """Small numbers that every release sees alike."""
    rng = np.random.RandomState(3)
    x = rng.randint(-4, 5, (10, 3)).astype("float32") / 4
    y = (x.sum(1, keepdims=True) > 0).astype("float32")
    weights = [rng.randint(-4, 5, (3, 1)).astype("float32") / 8, np.zeros(1, "float32")]
    return x, y, weights


def model(metrics=True, lr=0.5):
    if not MODERN:
        keras.backend.clear_session()  # a graph that has grown makes each new model slower
    weights = data()[2]
    m = keras.models.Sequential([keras.layers.Dense(1, activation="sigmoid", input_shape=(3,))])
    m.set_weights(weights)
    m.compile(keras.optimizers.SGD(lr=lr), "binary_crossentropy", metrics=["accuracy"] if metrics else None)
    return m


def fit(m, callbacks, epochs=2, verbose=0, **more):
    x, y, _ = data()
    more.setdefault("batch_size", 4)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        history = m.fit(x, y, shuffle=False, verbose=verbose, callbacks=callbacks, **{EPOCHS: epochs}, **more)
    return history, out.getvalue()


def validation():
    x, y, _ = data()
    return {"validation_data": (x[:6], y[:6])}


def orders():
    """Scenario -> calls."""
    found = {}
    named = (
        [hook for hook in HOOKS if "_train_batch" not in hook]
        if not MODERN
        else [hook for hook in HOOKS if hook not in ("on_batch_begin", "on_batch_end")]
    )
    r = recorder(named)
    fit(model(), [r])
    found["fit"] = r.seen
    found["fit_params"] = plain(r.params)
    r = recorder(named)
    fit(model(), [r], **validation())
    found["fit_validation"] = r.seen
    found["fit_validation_params"] = plain(r.params)
    r = recorder(["on_batch_begin", "on_batch_end"])
    fit(model(), [r], epochs=1)
    found["fit_old_batch_hooks"] = r.seen
    one, two = recorder(HOOKS[:6], "one"), recorder(HOOKS[:6], "two")
    two.seen = one.seen
    fit(model(), [one, two], epochs=1)
    found["two"] = one.seen
    for hook, index in (("on_epoch_end", 0), ("on_epoch_begin", 1), ("on_train_begin", None)) + (
        (("on_train_batch_end", 1),) if MODERN else (("on_batch_end", 1),)
    ):
        r = recorder(named, stop=[hook, index])
        fit(model(), [r], epochs=3, **validation())
        found[f"stop_{hook}"] = r.seen
    r = recorder(named)
    fit(model(), [r], epochs=3, initial_epoch=1)
    found["initial_epoch"] = r.seen
    r = recorder(named)
    fit(model(), [r], epochs=1, initial_epoch=1)
    found["no_epoch"] = r.seen
    if MODERN:
        x, y, _ = data()
        r = recorder(named)
        model().evaluate(x, y, batch_size=4, verbose=0, callbacks=[r])
        found["evaluate"], found["evaluate_params"] = r.seen, plain(r.params)
        r = recorder(named)
        model().predict(x, batch_size=4, callbacks=[r])
        found["predict"], found["predict_params"] = r.seen, plain(r.params)
    return found


def rules():
    """What EarlyStopping, ReduceLROnPlateau and ModelCheckpoint do on sequences of values."""
    rng = np.random.RandomState(11)
    found = []
    for number in range(30):
        epochs = int(rng.randint(3, 10))
        values = [round(float(v), 3) for v in np.abs(rng.randn(epochs)).round(1)]
        if number % 5 == 0:
            values[int(rng.randint(epochs))] = float("nan")
        name = ["watched", "watched_acc"][number % 2]
        mode = ["auto", "min", "max"][int(rng.randint(3))]
        found.append(stopping(rng, number, name, mode, values))
        found.append(plateau(rng, number, name, mode, values))
        found.append(checkpoint(rng, number, name, mode, values))
    return [case for case in found if case is not None]


def run(callback, name, values):
    """A fit of so many epochs, whose monitored value is given."""
    callback.set_model(shared())
    keras.backend.set_value(callback.model.optimizer.lr, 0.5)
    callback.model.stop_training = False
    out = io.StringIO()
    seen = []
    with contextlib.redirect_stdout(out):
        callback.on_train_begin({})
        for epoch, value in enumerate(values):
            logs = {"loss": 1.0, name: value}
            callback.on_epoch_begin(epoch, {})
            callback.on_epoch_end(epoch, logs)
            seen.append(look(callback, logs))
            if callback.model.stop_training:
                break
        callback.on_train_end({})
    return seen, out.getvalue()


def shared(made=[]):  # noqa: B006  (one model for all)
    if not made:
        made.append(model(metrics=False))
    return made[0]


def look(callback, logs):
    names = ("wait", "stopped_epoch", "cooldown_counter", "best", "epochs_since_last_save")
    state = {name: plain(getattr(callback, name)) for name in names if hasattr(callback, name)}
    state["stop"] = bool(callback.model.stop_training)
    state["rate"] = float(keras.backend.get_value(callback.model.optimizer.lr))
    if "lr" in logs:
        state["lr"] = float(logs["lr"])
    return state


def stopping(rng, number, name, mode, values):
    kwargs = {"monitor": name, "mode": mode, "verbose": 1, "patience": int(rng.randint(0, 4)), "min_delta": float(rng.choice([0, 0.1, 0.5]))}
    if VERSION != "1.2.2" and number % 3 == 0:
        kwargs["baseline"] = float(rng.choice([0.2, 1.0]))
    states, text = run(C.EarlyStopping(**kwargs), name, values)
    return {"class": "EarlyStopping", "kwargs": kwargs, "name": name, "values": values, "states": states, "text": text}


def plateau(rng, number, name, mode, values):
    delta = "epsilon" if VERSION == "1.2.2" else "min_delta"
    kwargs = {
        "monitor": name,
        "mode": mode,
        "verbose": 1,
        "patience": int(rng.randint(0, 3)),
        delta: float(rng.choice([1e-4, 0.3])),
        "factor": float(rng.choice([0.5, 0.1])),
        "cooldown": int(rng.randint(0, 3)),
        "min_lr": float(rng.choice([0.0, 0.2])),
    }
    states, text = run(C.ReduceLROnPlateau(**kwargs), name, values)
    return {"class": "ReduceLROnPlateau", "kwargs": kwargs, "name": name, "values": values, "states": states, "text": text}


def checkpoint(rng, number, name, mode, values):
    kwargs = {"monitor": name, "mode": mode, "verbose": 1, "save_best_only": bool(number % 3), "save_weights_only": bool(number % 2)}
    kwargs["period"] = int(rng.randint(1, 3))
    folder = tempfile.mkdtemp()
    template = "{epoch:02d}-{loss:.1f}.h5"
    states, text = run(C.ModelCheckpoint(os.path.join(folder, template), **kwargs), name, values)
    return {
        "class": "ModelCheckpoint",
        "kwargs": kwargs,
        "template": template,
        "name": name,
        "values": values,
        "states": states,
        "text": text.replace(folder + os.sep, ""),
        "files": sorted(os.listdir(folder)),
    }


def scheduler():
    """Rates of LearningRateScheduler and what it prints."""
    m = model(metrics=False)
    history, text = fit(m, [C.LearningRateScheduler(lambda epoch: 0.5 / (epoch + 1), **({} if VERSION == "1.2.2" else {"verbose": 1}))], epochs=3)
    return {"history": plain(history.history), "text": text}


def nan():
    """What TerminateOnNaN does, and when."""
    if VERSION == "1.2.2":
        return None  # it has no such callback
    x, y, _ = data()
    m = model(metrics=False)
    x = x.copy()
    x[5] = np.nan
    r = recorder(["on_epoch_begin", "on_batch_end" if not MODERN else "on_train_batch_end", "on_epoch_end", "on_train_end"])
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        m.fit(x, y, batch_size=2, shuffle=False, verbose=0, callbacks=[C.TerminateOnNaN(), r], **{EPOCHS: 3})
    return {"calls": [[hook, index] for _, hook, index, _ in r.seen], "text": out.getvalue()}


def csv_text():
    """The bytes of CSVLogger, started anew, appended to, with another separator, and stopped early."""
    found = {}
    folder = tempfile.mkdtemp()
    path = os.path.join(folder, "log.csv")

    def read():
        with open(path, newline="") as file:
            return file.read()

    fit(model(), [C.CSVLogger(path)], epochs=2)
    found["new"] = read()
    fit(model(), [C.CSVLogger(path, append=True)], epochs=1)
    found["appended"] = read()
    fit(model(), [C.CSVLogger(path, separator=";")], epochs=1)
    found["separator"] = read()
    fit(model(), [C.EarlyStopping("loss", mode="max"), C.CSVLogger(path)], epochs=3, **validation())
    found["stopped"] = read()

    class Odd(C.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["list"] = [1, 2.5]
            logs["array"] = np.array([1, 2])
            logs["text"] = "a,b"
            logs["zero"] = np.array(3.0)

    fit(model(metrics=False), [Odd(), C.CSVLogger(path)], epochs=1)
    found["odd"] = read()
    return found


def board():
    """Scalars that TensorBoard writes: run -> tag -> [step, value], by epoch and by batch."""
    found = {}
    for freq in ["epoch"] if VERSION == "1.2.2" else ["epoch", "batch", 2, 8]:
        folder = tempfile.mkdtemp()
        more = {"profile_batch": 0} if MODERN else {}
        if VERSION != "1.2.2":
            more["update_freq"] = freq
        fit(model(), [C.ReduceLROnPlateau("loss"), C.TensorBoard(folder, **more)], **validation())
        found[str(freq)] = read_board(folder)
    return found


def read_board(folder):
    """The scalars in the event files below a folder."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util import tensor_util

    runs = {}
    for here, _, files in os.walk(folder):
        if not any("tfevents" in name for name in files):
            continue
        events = EventAccumulator(here, size_guidance={"tensors": 0, "scalars": 0})
        events.Reload()
        scalars = {tag: [[e.step, e.value] for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
        for tag in events.Tags()["tensors"]:
            values = [[e.step, tensor_util.make_ndarray(e.tensor_proto)] for e in events.Tensors(tag)]
            scalars.update({tag: [[step, float(value)] for step, value in values if value.dtype.kind == "f"]})
        runs[os.path.relpath(here, folder)] = {tag: values for tag, values in scalars.items() if values}
    return runs


def main():
    result = {"version": VERSION, "orders": orders(), "rules": rules(), "scheduler": scheduler(), "nan": nan(), "csv": csv_text(), "board": board()}
    x, y, weights = data()
    result["data"] = {"x": x.tolist(), "y": y.tolist(), "weights": [weight.tolist() for weight in weights]}
    path = os.path.join(sys.argv[1], f"hooks-{VERSION}.json")
    with open(path, "w") as file:
        json.dump(result, file)
        file.write("\n")


main()
