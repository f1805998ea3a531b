"""Recurrent models whose kernel torch.compile does not take train as they are."""

from __future__ import annotations

import numpy as np
import pytest

from torchkeras.layers import LSTM, Dense
from torchkeras.models import Sequential

pytestmark = pytest.mark.usefixtures("fresh_compiler")


def test_an_lstm_that_does_not_compile_trains_all_the_same():
    x, y = np.random.rand(8, 5, 3).astype("float32"), np.zeros((8, 1), "float32")
    model = Sequential([LSTM(4, input_shape=(5, 3)), Dense(1)])
    twin = Sequential.from_config(model.get_config())
    twin.set_weights(model.get_weights())
    model.compile("sgd", "mse", jit_compile=True)
    twin.compile("sgd", "mse")
    with pytest.warns(RuntimeWarning, match="could not compile model"):
        found = model.fit(x, y, batch_size=4, shuffle=False, verbose=0).history["loss"]
    np.testing.assert_allclose(found, twin.fit(x, y, batch_size=4, shuffle=False, verbose=0).history["loss"], rtol=1e-5)
    for own, other in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-5, atol=1e-6)
