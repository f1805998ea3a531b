"""Names, sessions, settings in Keras 1's words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from torchkeras import backend as K
from torchkeras.layers.core import Dense
from torchkeras.metrics import AUC
from torchkeras.models import Sequential


def test_clear_session_starts_names_anew():
    K.clear_session()
    first = Dense(1).name
    assert Dense(1).name != first
    K.clear_session()
    assert Dense(1).name == first


def test_clear_session_starts_names_of_metrics_anew():
    K.clear_session()
    first = AUC().name
    assert AUC().name != first
    K.clear_session()
    assert AUC().name == first


def test_constants_in_a_loss_are_where_the_model_is():
    model = Sequential([Dense(1, input_shape=(2,))])
    elsewhere = Sequential([Dense(1, input_shape=(2,))]).to("meta")
    elsewhere._place()
    assert K.constant(1.0).device.type == "meta"
    model.compile("sgd", lambda y_true, y_pred: K.mean(K.square(y_true - y_pred) * K.constant(2.0), axis=-1))
    assert np.isfinite(model.train_on_batch(np.ones((3, 2)), np.ones((3, 1))))
    assert K.constant(1.0).device.type == "cpu"


def test_uids_count_by_prefix():
    K.reset_uids()
    assert [K.get_uid("a"), K.get_uid("a"), K.get_uid("b"), K.get_uid()] == [1, 2, 1, 1]
    K.reset_uids()
    assert K.get_uid("a") == 1


@pytest.mark.parametrize(("call", "hint"), [(lambda: K.get_session(), r"K.get_value\(x\)")])
def test_sessions_are_refused_with_a_hint(call: Callable[[], Any], hint: str):
    with pytest.raises(RuntimeError, match=rf"without sessions.*{hint}"):
        call()


def test_a_session_that_is_set_changes_nothing():
    with pytest.warns(UserWarning, match=r"without sessions.*model.to\(device\)"):
        K.set_session(object())


def test_variables_are_never_initialized_by_hand():
    K.manual_variable_initialization(False)
    with pytest.warns(UserWarning, match="every variable has its value as soon as it is made"):
        K.manual_variable_initialization(True)


def test_dim_ordering_is_the_data_format_of_keras_1():
    assert K.image_dim_ordering() == "tf"
    K.set_image_dim_ordering("th")
    assert K.image_data_format() == "channels_first"
    with pytest.raises(ValueError, match=r"takes 'tf' \(channels last\) or 'th' \(channels first\), but got 'channels_last'"):
        K.set_image_dim_ordering("channels_last")


def test_the_old_order_of_weights_is_refused():
    assert K.legacy_weight_ordering() is False
    K.set_legacy_weight_ordering(False)
    with pytest.raises(ValueError, match=r"is that of Keras 1\.2\.2 and later"):
        K.set_legacy_weight_ordering(True)


def test_the_backend_has_a_name():
    assert K.backend() == "torch"
