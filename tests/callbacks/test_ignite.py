"""Ignite both ways: its handlers and metrics in `fit`, and Keras callbacks on a plain engine."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events, create_supervised_evaluator, create_supervised_trainer
from ignite.handlers import BasicTimeProfiler, Checkpoint, DiskSaver, EMAHandler, FastaiLRFinder, HandlersTimeProfiler, TimeLimit, Timer
from ignite.handlers.param_scheduler import LinearCyclicalScheduler
from ignite.metrics import Loss, MeanSquaredError
from torch import nn

from tests.callbacks.recorded import data, make_model
from tests.callbacks.tensorboard.reading import scalars
from torchkeras import callbacks
from torchkeras.callbacks import Callback, LambdaCallback


def _fit(model, given, epochs=2, **more):
    x, y = data()
    return model.fit(x, y, batch_size=4, epochs=epochs, verbose=0, shuffle=False, callbacks=given, **more)


# -- Ignite's parts in fit


def test_a_checkpoint_of_ignite_saves_each_epoch(tmp_path):
    model = make_model()
    handler = Checkpoint(
        {"model": model}, DiskSaver(tmp_path, create_dir=True), n_saved=None, global_step_transform=lambda engine, event: engine.state.epoch
    )
    _fit(model, [handler])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model_1.pt", "model_2.pt"]
    again = make_model()
    again.load_state_dict(torch.load(tmp_path / "model_2.pt"))
    np.testing.assert_array_equal(again.get_weights()[0], model.get_weights()[0])


def test_a_checkpoint_of_ignite_sees_the_values_of_the_epoch(tmp_path):
    x, y = data()
    model = make_model()
    handler = Checkpoint(
        {"model": model}, DiskSaver(tmp_path), n_saved=1, score_name="val_loss", score_function=lambda engine: -engine.state.metrics["val_loss"]
    )
    history = _fit(model, [handler], validation_data=(x, y))
    assert f"{-min(history.history['val_loss']):.4f}" in next(tmp_path.iterdir()).name


def test_a_moving_average_follows_the_weights():
    model = make_model()
    handler = EMAHandler(model, momentum=0.5)
    weights = [model.get_weights()[0]]
    keep = LambdaCallback(on_batch_end=lambda batch, logs: weights.append(model.get_weights()[0]))
    x, y = data()
    model.fit(x, y, batch_size=4, epochs=1, verbose=0, shuffle=False, callbacks=[keep, _Attach(lambda engine: handler.attach(engine))])
    average = weights[0]
    for weight in weights[1:]:
        average = 0.5 * average + 0.5 * weight
    np.testing.assert_allclose(handler.ema_model.get_weights()[0], average, rtol=1e-4, atol=1e-6)


class _Attach:
    """A handler that attaches by a function."""

    def __init__(self, function):
        self.attach = lambda engine: function(engine)


@pytest.mark.parametrize(
    "make_handler",
    [BasicTimeProfiler, HandlersTimeProfiler, Timer, lambda: TimeLimit(100), lambda: lambda engine: None],
    ids=["BasicTimeProfiler", "HandlersTimeProfiler", "Timer", "TimeLimit", "function"],
)
def test_profilers_timers_and_functions_go_into_callbacks(make_handler):
    model, handler = make_model(), make_handler()  # made here: some count the time from their making
    history = _fit(model, [handler])
    assert len(history.epoch) == 2
    if isinstance(handler, BasicTimeProfiler):
        assert handler.get_results()["event_handlers_stats"]
    if isinstance(handler, Timer):
        assert handler.value() > 0


def test_a_scheduler_of_ignite_moves_the_rate():
    model = make_model()
    model.fit(*data(), epochs=1, batch_size=4, verbose=0)
    scheduler = LinearCyclicalScheduler(model.optimizer, "lr", 0.1, 0.2, cycle_size=6)
    rates = []
    _fit(model, [scheduler, LambdaCallback(on_batch_end=lambda batch, logs: rates.append(float(model.optimizer.lr)))])
    assert len(set(np.round(rates, 6))) > 2
    assert min(rates) >= 0.1 - 1e-6 and max(rates) <= 0.2 + 1e-6


def test_metrics_of_ignite_come_into_the_logs():
    x, y = data()
    history = _fit(make_model(), [MeanSquaredError()], validation_data=(x[:6], y[:6])).history
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy", "mean_squared_error", "val_mean_squared_error"}
    model = make_model()
    _fit(model, [])
    wanted = np.mean((model.predict(x[:6]) - y[:6]) ** 2)
    np.testing.assert_allclose(history["val_mean_squared_error"][-1], wanted, rtol=1e-5)


def test_metrics_attached_to_the_engines_stay():
    x, y = data()
    model = make_model()
    MeanSquaredError().attach(model.trainer, "mse")
    MeanSquaredError().attach(model.evaluator, "mse")
    for _ in range(2):
        assert {"mse", "val_mse"} <= set(_fit(model, [], validation_data=(x, y)).history)


def test_monitor_finds_a_metric_of_ignite():
    stopping = callbacks.EarlyStopping("val_mean_squared_error", mode="max", patience=0)
    assert len(_fit(make_model(), [MeanSquaredError(), stopping], epochs=5, validation_data=data()).epoch) == 2


def test_handlers_passed_to_fit_are_taken_off_afterwards():
    model = make_model()
    runs = []
    handler = _Attach(lambda engine: engine.add_event_handler(Events.EPOCH_COMPLETED, lambda: runs.append(engine.state.epoch)))
    kept = []
    model.trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: kept.append(1))
    for _ in range(3):
        _fit(model, [handler, MeanSquaredError()], epochs=1)
    assert runs == [1, 1, 1] and kept == [1, 1, 1]
    assert sum(map(len, model.trainer._event_handlers.values())) == 1


def test_a_handler_that_needs_more_than_the_engine_is_told_of():
    with pytest.raises(TypeError, match=r"FastaiLRFinder in callbacks cannot attach itself: its attach\(\) takes more than an engine"):
        _fit(make_model(), [FastaiLRFinder()])


@pytest.mark.parametrize("wrong, message", [(3, "but got 3, which has neither"), (callbacks.History, r"It is a class: write History\(...\)")])
def test_what_is_no_callback_is_told_of(wrong, message):
    with pytest.raises(TypeError, match=message):
        _fit(make_model(), [wrong])


# -- Keras callbacks on a plain engine


def _engine(lr=0.5):
    torch.manual_seed(0)
    x, y = map(torch.tensor, data())
    module = nn.Sequential(nn.Linear(3, 1), nn.Sigmoid())
    optimizer = torch.optim.SGD(module.parameters(), lr=lr)
    trainer = create_supervised_trainer(module, optimizer, nn.BCELoss())
    return module, optimizer, trainer, [(x[:4], y[:4]), (x[4:8], y[4:8]), (x[8:], y[8:])]


class Everything(Callback):
    """Writes down all hooks."""

    def __init__(self):
        super().__init__()
        self.seen = []
        for hook in ("train_begin", "train_end", "epoch_begin", "epoch_end", "batch_begin", "batch_end", "test_begin", "test_end"):
            setattr(
                self, f"on_{hook}", lambda *args, hook=hook: self.seen.append((hook, *(dict(arg) if isinstance(arg, dict) else arg for arg in args)))
            )


def test_hooks_run_at_the_events_of_a_plain_engine():
    module, optimizer, trainer, batches = _engine()
    callback = Everything()
    callback.attach(trainer, module, optimizer=optimizer)
    trainer.run(batches, max_epochs=2)
    assert [entry[0] for entry in callback.seen] == [
        "train_begin",
        *(["epoch_begin"] + ["batch_begin", "batch_end"] * 3 + ["epoch_end"]) * 2,
        "train_end",
    ]
    assert [entry[1] for entry in callback.seen if entry[0] == "batch_end"] == [0, 1, 2] * 2
    assert callback.params["epochs"] == 2 and callback.params["steps"] == 3
    losses = [entry[2]["loss"] for entry in callback.seen if entry[0] == "batch_end"]
    assert np.isclose(next(entry for entry in callback.seen if entry[0] == "epoch_end")[2]["loss"], losses[2])


def test_the_loss_of_an_epoch_is_the_mean_of_its_steps():
    values = iter([1.0, 2.0, 6.0, 3.0, 3.0, 3.0])
    trainer = Engine(lambda engine, batch: {"loss": torch.tensor(next(values))})
    history = callbacks.History()
    history.attach(trainer)
    trainer.run([0, 1, 2], max_epochs=2)
    assert history.history == {"loss": [3.0, 3.0]}


def test_early_stopping_and_validation_on_a_plain_engine():
    module, optimizer, trainer, batches = _engine()
    evaluator = create_supervised_evaluator(module, {"nll": Loss(nn.BCELoss())})
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: evaluator.run(batches))
    stopping = callbacks.EarlyStopping("val_nll", mode="max", patience=1, restore_best_weights=True)
    after_first = []
    trainer.add_event_handler(Events.EPOCH_COMPLETED(once=1), lambda: after_first.extend(value.clone() for value in module.state_dict().values()))
    history = callbacks.History()
    stopping.attach(trainer, module, optimizer=optimizer, evaluator=evaluator)
    history.attach(trainer, evaluator=evaluator)
    trainer.run(batches, max_epochs=9)
    assert trainer.state.epoch == 2
    assert list(history.history) == ["loss", "val_nll"]
    for value, wanted in zip(module.state_dict().values(), after_first, strict=True):
        assert torch.equal(value, wanted)


def test_rates_of_a_torch_optimizer_on_a_plain_engine():
    module, optimizer, trainer, batches = _engine()
    callbacks.LearningRateScheduler(lambda epoch: 0.1 / (epoch + 1)).attach(trainer, module, optimizer=optimizer)
    trainer.run(batches, max_epochs=2)
    assert optimizer.param_groups[0]["lr"] == 0.05


def test_groups_of_a_torch_optimizer_keep_the_ratio_of_their_rates():
    module, _, trainer, batches = _engine()
    optimizer = torch.optim.SGD([{"params": [module[0].weight], "lr": 0.4}, {"params": [module[0].bias], "lr": torch.tensor(0.1)}])
    callbacks.ReduceLROnPlateau("loss", mode="max", factor=0.5, patience=1).attach(trainer, module, optimizer=optimizer)
    trainer.run(batches, max_epochs=2)
    assert optimizer.param_groups[0]["lr"] == 0.2
    assert torch.isclose(optimizer.param_groups[1]["lr"], torch.tensor(0.05))


def test_checkpoints_of_a_plain_module(tmp_path):
    module, optimizer, trainer, batches = _engine()
    callbacks.ModelCheckpoint(tmp_path / "{epoch}.pt").attach(trainer, module, optimizer=optimizer)
    callbacks.ModelCheckpoint(tmp_path / "w{epoch}.pt", save_weights_only=True).attach(trainer, module)
    trainer.run(batches, max_epochs=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.pt", "2.pt", "w1.pt", "w2.pt"]
    state = torch.load(tmp_path / "2.pt", weights_only=True)
    assert torch.equal(state["model"]["0.weight"], module[0].weight) and "param_groups" in state["optimizer"]
    again = callbacks.attaching.EngineModel(nn.Sequential(nn.Linear(3, 1), nn.Sigmoid()), None, trainer)
    again.load_weights(tmp_path / "w2.pt")
    assert torch.equal(again.module[0].weight, module[0].weight)
    with pytest.raises(ValueError, match="has 2 parameters and buffers, but got 1 arrays"):
        again.set_weights([np.zeros(1)])


def test_tensorboard_on_a_plain_engine(tmp_path):
    module, optimizer, trainer, batches = _engine()
    callbacks.TensorBoard(tmp_path, histogram_freq=1, update_freq=1).attach(trainer, module, optimizer=optimizer)
    trainer.run(batches, max_epochs=2)
    found = scalars(tmp_path / "train")
    assert [step for step, _ in found["batch_loss"]] == [1, 2, 3, 4, 5, 6]
    assert [step for step, _ in found["epoch_loss"]] == [0, 1]
    assert found["epoch_learning_rate"][0][1] == 0.5
    assert np.isclose(found["weights_norm/0/weight"][1][1], float(module[0].weight.detach().norm()))


def test_handles_take_a_callback_off_again():
    _, _, trainer, batches = _engine()
    callback = Everything()
    for handle in callback.attach(trainer):
        handle.remove()
    trainer.run(batches, max_epochs=1)
    assert not callback.seen


def test_errors_of_a_plain_engine_come_through_and_close_the_callback(tmp_path):
    def fail(engine, batch):
        raise RuntimeError("broken on purpose")

    trainer = Engine(fail)
    logger = callbacks.CSVLogger(tmp_path / "log.csv")
    logger.attach(trainer)
    with pytest.raises(RuntimeError, match="broken on purpose"):
        trainer.run([1])
    assert logger._file is None


def test_a_callback_that_needs_a_model_says_so():
    _, _, trainer, batches = _engine()
    callbacks.EarlyStopping("loss", restore_best_weights=True).attach(trainer)
    with pytest.raises(AttributeError, match=r"needs the model's 'state_dict': give it, callback\.attach"):
        trainer.run(batches, max_epochs=1)


# -- the search for a learning rate


def test_find_lr_leaves_model_and_optimizer_as_they_were():
    x, y = data()
    model = make_model()
    model.fit(x, y, epochs=1, batch_size=4, verbose=0)
    before = model.get_weights(), float(model.optimizer.lr), int(model.optimizer.iterations), model.history
    found = model.find_lr(x, y, batch_size=2, num_iter=30, start_lr=1e-3, end_lr=50.0)
    np.testing.assert_array_equal(before[0][0], model.get_weights()[0])
    assert (float(model.optimizer.lr), int(model.optimizer.iterations), model.history) == before[1:]
    assert "step" not in model.optimizer.__dict__ and "initial_lr" not in model.optimizer.param_groups[0]
    assert not model.stop_training
    assert len(found.learning_rates) == len(found.losses) <= 30
    rates = np.array(found.learning_rates)
    np.testing.assert_allclose(rates[1:] / rates[:-1], rates[1] / rates[0], rtol=1e-4)
    assert 1e-3 <= rates[0] < 2e-3
    if len(rates) == 30:
        assert 30 < rates[-1] <= 50


def test_find_lr_suggests_where_the_loss_falls_fastest(tmp_path):
    rng = np.random.RandomState(0)
    x = rng.randn(256, 3).astype("float32")
    y = (x.sum(1, keepdims=True) > 0).astype("float32")
    found = callbacks.find_lr(make_model(), x, y, batch_size=16, num_iter=60, start_lr=1e-4, end_lr=100.0)
    assert found.suggestion is not None
    lowest = int(np.argmin(found.losses))
    slopes = np.gradient(found.losses[: lowest + 1])
    assert found.learning_rates.index(found.suggestion) == 1 + int(np.argmin(slopes[1:-1]))
    found.plot(tmp_path / "search.png")
    assert (tmp_path / "search.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ({"start_lr": 1.0, "end_lr": 0.1}, ValueError, "0 < start_lr < end_lr, but got start_lr=1.0 and end_lr=0.1"),
        ({"epochs": 3}, TypeError, "decides on epochs itself"),
    ],
)
def test_find_lr_tells_of_wrong_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        callbacks.find_lr(make_model(), *data(), **arguments)


def test_find_lr_tells_of_a_schedule():
    from torchkeras.optimizers import SGD
    from torchkeras.optimizers.schedules import ExponentialDecay

    model = make_model()
    model.compile(SGD(ExponentialDecay(0.1, 10, 0.9)), "mse")
    with pytest.raises(ValueError, match="it follows the schedule"):
        callbacks.find_lr(model, *data())


def test_the_bar_of_ignite_goes_into_callbacks(capsys):
    pytest.importorskip("tqdm")
    from ignite.handlers import ProgressBar

    model = make_model()
    for _ in range(2):
        _fit(model, [ProgressBar(persist=True)], epochs=1)
    assert capsys.readouterr().err.count("[3/3]") >= 2


def test_a_list_of_callbacks_shares_its_logs_on_a_plain_engine():
    module, optimizer, trainer, batches = _engine()
    history = callbacks.History()
    callbacks.CallbackList([callbacks.ReduceLROnPlateau("loss"), history]).attach(trainer, module, optimizer=optimizer)
    trainer.run(batches, max_epochs=2)
    assert history.history["lr"] == [0.5, 0.5]
