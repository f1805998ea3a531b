"""Keras callbacks in a plain Ignite program, which trains an nn.Module by its own step."""

import os

import torch
from ignite.engine import Events, create_supervised_evaluator, create_supervised_trainer
from ignite.metrics import Accuracy, Loss
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from torchkeras.callbacks import CallbackList, CSVLogger, EarlyStopping, History, ModelCheckpoint, ReduceLROnPlateau, TensorBoard
from torchkeras.datasets import digits

FOLDER = os.environ.get("IGNITE_FOLDER", "logs/ignite")


def loaders():
    parts = []
    for number, (x, y) in enumerate(digits.load_data()):
        data = TensorDataset(torch.tensor(x.reshape(len(x), -1) / 16, dtype=torch.float32), torch.tensor(y, dtype=torch.long))
        parts.append(DataLoader(data, batch_size=32, shuffle=number == 0))
    return parts


def train(folder=FOLDER, epochs=20):
    torch.manual_seed(7)
    os.makedirs(folder, exist_ok=True)
    train_data, test_data = loaders()
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
    trainer = create_supervised_trainer(model, optimizer, nn.CrossEntropyLoss())
    evaluator = create_supervised_evaluator(model, {"loss": Loss(nn.CrossEntropyLoss()), "accuracy": Accuracy()})

    # the evaluator first, so that its values are there when the callbacks look for val_loss and val_accuracy
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: evaluator.run(test_data))
    history = History()
    callbacks = [
        ReduceLROnPlateau(monitor="val_loss", factor=0.5, patience=2),
        EarlyStopping(monitor="val_loss", patience=5, restore_best_weights=True),
        ModelCheckpoint(os.path.join(folder, "best.pt"), monitor="val_acc", save_best_only=True, save_weights_only=True),
        CSVLogger(os.path.join(folder, "log.csv")),
        TensorBoard(os.path.join(folder, "tensorboard"), histogram_freq=1),
        history,
    ]
    # together they share their logs; one alone attaches by callback.attach(...)
    CallbackList(callbacks).attach(trainer, model, optimizer=optimizer, evaluator=evaluator)
    trainer.run(train_data, max_epochs=epochs)
    return model, history


if __name__ == "__main__":
    model, history = train()
    print({name: round(values[-1], 4) for name, values in history.history.items()})
