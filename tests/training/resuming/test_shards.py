"""What keeps the state of a training refuses weights in shards, before anything is written."""

from __future__ import annotations

import pytest

from torchkeras.callbacks import BackupAndRestore
from torchkeras.layers import Dense
from torchkeras.models import Sequential
from torchkeras.training import fully_sharded
from torchkeras.training.resuming.run import Resuming


def test_shards_are_refused(tmp_path, monkeypatch):
    model = Sequential([Dense(1, input_shape=(2,))])
    model.compile("sgd", "mse", distribute="fsdp")
    model.save_state(tmp_path / "alone")  # in one process there are no shards
    monkeypatch.setattr(fully_sharded, "several", lambda: True)
    with pytest.raises(ValueError, match=r"save_state cannot keep the state of model 'sequential.*ModelCheckpoint\(save_weights_only=True\)"):
        model.save_state(tmp_path / "state")
    with pytest.raises(ValueError, match=r"BackupAndRestore cannot keep the state .* distribute='ddp'"):
        Resuming.of(model, [BackupAndRestore(tmp_path / "backup")])
    assert [path.name for path in tmp_path.iterdir()] == ["alone"]
