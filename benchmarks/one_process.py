"""One rival, one workload, one process: prints processor seconds and peak megabytes as JSON. Started by `fresh`; runs on Python 3.7."""

from __future__ import annotations

import json
import os
import resource
import sys
import time

# started as a script: the benchmark's folder would hide modules of the same names
sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != os.path.dirname(os.path.abspath(__file__))]
MODULES = {"tutorial": (), "tuned": (), "ignite": ("ignite.engine", "ignite.metrics"), "skorch": ("skorch",), "poutyne": ("poutyne",)}


def main(rival: str, name: str, steps: int) -> None:
    """Import, train, predict, and print what it took."""
    genuine = {"torchkeras": "torchkeras", "keras 3": "keras"}.get(rival, rival)
    if genuine in ("torchkeras", "keras", "tensorflow"):
        if rival == "keras 3":
            os.environ["KERAS_BACKEND"] = "torch"
        import_keras(genuine)
    else:
        __import__("torch")
        for module in MODULES.get(rival, (rival,)):
            __import__(module)
    imported = time.process_time()
    if name == "-":
        print(json.dumps({"import": imported}))
        return
    first = train(rival, genuine, name, steps)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"import": imported, "first": first, "peak": peak}), flush=True)
    os._exit(0)


def import_keras(name: str) -> None:
    """Import a Keras together with the parts that a program uses."""
    package = __import__("tensorflow").keras if name == "tensorflow" else __import__(name)
    for part in ("layers", "models"):
        getattr(package, part)
    getattr(package.models, "Sequential")  # noqa: B009 - rooms load when they are asked for


def train(rival: str, genuine: str, name: str, steps: int) -> float:
    """Train and predict; processor seconds until the first step was done."""
    from benchmarks import programs

    batch = programs.PROGRAMS[name].batch
    if genuine in ("torchkeras", "keras", "tensorflow"):
        keras, _ = programs.load_keras(genuine, int(os.environ["OMP_NUM_THREADS"]))
        x, y, weights = programs.PROGRAMS[name].data(batch)
        if steps == 1:
            programs.compiled(name, keras).fit(x, y, sample_weight=weights, batch_size=batch, epochs=1, verbose=0)
            return time.process_time()
        todo = programs.actions(name, keras, steps * batch)
    else:
        from benchmarks import peers, torch_loops

        kinds = {"tutorial": torch_loops.Tutorial, "ignite": torch_loops.PlainIgnite, "skorch": peers.Skorch, "poutyne": peers.Poutyne}
        if rival == "tuned":
            loop = torch_loops.Tuned(name, steps * batch, "cpu", False, {"foreach": True}, packed=False)
        else:
            loop = (kinds.get(rival) or peers.lightning)(name, steps * batch)
        todo = {"train": loop.train, "predict": loop.predict}
    todo["train"]()
    first = time.process_time()
    todo["predict"]()
    return first


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
