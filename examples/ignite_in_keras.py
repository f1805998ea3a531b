"""Parts of Ignite in a Keras program: a metric, a moving average of the weights, a profiler, and a handler of one's own."""

import torch
from ignite.engine import Events
from ignite.handlers import BasicTimeProfiler, EMAHandler
from ignite.metrics import TopKCategoricalAccuracy

from torchkeras.datasets import digits
from torchkeras.layers import Dense
from torchkeras.models import Sequential
from torchkeras.utils import set_random_seed, to_categorical


def labels(output):
    """What Ignite's classification metrics take: scores and class numbers."""
    return output["y_pred"], output["y"].argmax(dim=1)


def train(epochs=5, verbose=1):
    set_random_seed(7)
    (x, y), (x_test, y_test) = digits.load_data()
    x, x_test = (part.reshape(len(part), -1).astype("float32") / 16 for part in (x, x_test))
    model = Sequential([Dense(32, activation="relu", input_shape=(x.shape[1],)), Dense(10, activation="softmax")])
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])

    # metrics on the engines are part of the logs: History, the CSV file and `monitor=` see them
    TopKCategoricalAccuracy(k=3, output_transform=labels).attach(model.trainer, "top3")
    TopKCategoricalAccuracy(k=3, output_transform=labels).attach(model.evaluator, "top3")
    averaged = EMAHandler(model, momentum=0.02)
    averaged.attach(model.trainer)

    @model.trainer.on(Events.EPOCH_COMPLETED)
    def tell(engine):
        if verbose:
            print(f"engine: epoch {engine.state.epoch}, {engine.state.iteration} updates so far")

    profiler = BasicTimeProfiler()  # attaches itself by attach(engine), so it may stand among the callbacks
    history = model.fit(x, to_categorical(y, 10), epochs=epochs, validation_split=0.2, callbacks=[profiler], verbose=0)
    with torch.no_grad():
        scores = averaged.ema_model(torch.from_numpy(x_test))
    accuracy = float((scores.argmax(dim=1).numpy() == y_test).mean())
    return history, profiler, accuracy


if __name__ == "__main__":
    history, profiler, accuracy = train()
    print({name: round(values[-1], 4) for name, values in history.history.items()})
    print(f"test accuracy of the averaged weights {accuracy:.4f}")
    profiler.print_results(profiler.get_results())
