"""A callback that raises leaves its files closed and the engines as they were."""

from __future__ import annotations

import numpy as np
import pytest

from torchkeras.callbacks import Callback
from torchkeras.layers import Dense
from torchkeras.models import Sequential


@pytest.mark.parametrize("which", ["evaluate", "predict"])
@pytest.mark.parametrize("hook", ["begin", "batch_end", "end"])
def test_an_error_in_a_hook_of_evaluate_or_predict_closes_the_callbacks(which, hook):
    class Fails(Callback):
        closed = 0

        def close(self) -> None:
            self.closed += 1

    def fail(*args):
        raise OSError("no space")

    prefix = {"evaluate": "test", "predict": "predict"}[which]
    callback = Fails()
    setattr(callback, f"on_{prefix}_{hook}", fail)
    model = Sequential([Dense(1, input_shape=(2,))])
    model.compile("sgd", "mse")
    x, y = np.zeros((8, 2)), np.zeros((8, 1))
    arguments = (x, y) if which == "evaluate" else (x,)
    with pytest.raises(OSError, match="no space"):
        getattr(model, which)(*arguments, verbose=0, callbacks=[callback])
    assert callback.closed == 1
    getattr(model, which)(*arguments, verbose=0)  # nothing of the callback is left on the engine
