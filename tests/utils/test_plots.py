"""Pictures of a History."""

from __future__ import annotations

import numpy as np
import pytest

from tests.callbacks.recorded import data, make_model
from torchkeras.callbacks import History
from torchkeras.utils.plots import plot_history


def test_history_plots_a_panel_for_each_value(tmp_path):
    x, y = data()
    history = make_model().fit(x, y, epochs=3, verbose=0, validation_data=(x, y))
    figure = history.plot(tmp_path / "history.png", title="a run")
    assert [axes.get_title() for axes in figure.axes] == ["loss", "accuracy"]
    for axes, name in zip(figure.axes, ("loss", "accuracy"), strict=True):
        for line, key in zip(axes.lines, (name, f"val_{name}"), strict=True):
            np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3])
            np.testing.assert_allclose(line.get_ydata(), history.history[key])
    assert (tmp_path / "history.png").read_bytes().startswith(b"\x89PNG")


def test_names_choose_and_gaps_are_allowed():
    figure = plot_history({"loss": [3.0, 2.0, 1.0], "val_loss": [2.0], "lr": [1.0, 1.0, 1.0]}, [4, 5, 6], names=["loss"])
    assert [axes.get_title() for axes in figure.axes] == ["loss"]
    np.testing.assert_array_equal(figure.axes[0].lines[0].get_xdata(), [5, 6, 7])
    np.testing.assert_array_equal(figure.axes[0].lines[1].get_xdata(), [1])


def test_unknown_names_and_empty_histories_are_told_of():
    with pytest.raises(ValueError, match="no values called 'lss'"):
        plot_history({"loss": [1.0]}, names=["lss"])
    with pytest.raises(ValueError, match="no epoch has been run yet"):
        History().plot()
