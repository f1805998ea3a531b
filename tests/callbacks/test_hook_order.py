"""Hooks run in the order of genuine Keras, with its logs and params."""

from __future__ import annotations

import pytest

from tests.callbacks.recorded import Recorder, check_calls, check_logs, data, make_model, recorded
from torchkeras import generations

VERSIONS = ("1.2.2", "2.2.4", "2.4.0")
MODERN_ONLY = {"on_test_begin", "on_test_end", "on_predict_begin", "on_predict_end"} | {
    f"on_{which}_batch_{end}" for which in ("test", "predict", "train") for end in ("begin", "end")
}
ALL = ["on_train_begin", "on_train_end", "on_epoch_begin", "on_epoch_end"]


@pytest.fixture(autouse=True, params=VERSIONS)
def version(request):
    generations.set_keras_version(request.param)
    return request.param


def _hooks(version):
    return [*ALL, *sorted(MODERN_ONLY)] if version == "2.4.0" else [*ALL, "on_batch_begin", "on_batch_end"]


def _fit(version, callbacks, epochs=2, validation=False, **more):
    x, y = data(version)
    model = make_model(version)
    if validation:
        more["validation_data"] = (x[:6], y[:6])
    return model.fit(x, y, batch_size=4, epochs=epochs, shuffle=False, verbose=0, callbacks=callbacks, **more)


@pytest.mark.parametrize("validation", [False, True])
def test_fit_calls_the_hooks_of_the_release(version, validation):
    seen = Recorder(_hooks(version))
    _fit(version, [seen], validation=validation)
    check_calls(seen.seen, recorded(version)["orders"]["fit_validation" if validation else "fit"])


@pytest.mark.parametrize("validation", [False, True])
def test_params_have_what_the_release_has(version, validation):
    seen = Recorder([])
    _fit(version, [seen], validation=validation)
    for name, value in recorded(version)["orders"]["fit_validation_params" if validation else "fit_params"].items():
        if value is not None:  # 2.2.4 leaves `steps` out for arrays
            assert seen.params[name] == value, name


def test_the_old_names_of_batch_hooks_are_called(version):
    seen = Recorder(["on_batch_begin", "on_batch_end"])
    _fit(version, [seen], epochs=1)
    check_calls(seen.seen, recorded(version)["orders"]["fit_old_batch_hooks"])


def test_callbacks_run_in_their_order(version):
    hooks = [*ALL, "on_batch_begin", "on_batch_end"]
    one = Recorder(hooks, "one")
    _fit(version, [one, Recorder(hooks, "two", seen=one.seen)], epochs=1)
    check_calls(one.seen, recorded(version)["orders"]["two"])


@pytest.mark.parametrize("hook, index", [("on_epoch_end", 0), ("on_epoch_begin", 1), ("on_train_begin", None), ("batch", 1)])
def test_stop_training_stops_where_the_release_does(version, hook, index):
    if hook == "batch":
        hook = "on_train_batch_end" if version == "2.4.0" else "on_batch_end"
    seen = Recorder(_hooks(version), stop=(hook, index))
    _fit(version, [seen], epochs=3, validation=True)
    check_calls(seen.seen, recorded(version)["orders"][f"stop_{hook}"])


@pytest.mark.parametrize("case, epochs", [("initial_epoch", 3), ("no_epoch", 1)])
def test_initial_epoch_numbers_the_hooks(version, case, epochs):
    seen = Recorder(_hooks(version))
    _fit(version, [seen], epochs=epochs, initial_epoch=1)
    check_calls(seen.seen, recorded(version)["orders"][case])


@pytest.mark.parametrize("which", ["evaluate", "predict"])
def test_evaluate_and_predict_call_the_hooks_of_tf_keras(version, which):
    if version != "2.4.0":
        pytest.skip("older releases have no hooks there")
    x, y = data(version)
    seen = Recorder(_hooks(version))
    model = make_model(version)
    if which == "evaluate":
        model.evaluate(x, y, batch_size=4, verbose=0, callbacks=[seen])
    else:
        model.predict(x, batch_size=4, callbacks=[seen])
    check_calls(seen.seen, recorded(version)["orders"][which])
    check_logs({name: seen.params[name] for name in ("verbose", "epochs", "steps")}, recorded(version)["orders"][f"{which}_params"], "params")
