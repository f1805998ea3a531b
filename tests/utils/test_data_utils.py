"""Batches packed and unpacked, and what `torchkeras.utils` offers."""

import subprocess
import sys

import numpy as np
import pytest

from torchkeras import utils


@pytest.mark.parametrize("data", [(1,), (1, 2), (1, 2, 3)])
def test_a_batch_is_unpacked_and_packed(data):
    x, y, weight = utils.unpack_x_y_sample_weight(data)
    assert (x, y, weight) == (*data, None, None)[:3]
    assert utils.pack_x_y_sample_weight(x, y, weight) == (data if len(data) > 1 else 1)


def test_single_inputs_and_lists_of_inputs():
    x = np.ones(3)
    assert utils.unpack_x_y_sample_weight(x) == (x, None, None)
    assert utils.unpack_x_y_sample_weight([1, 2]) == ([1, 2], None, None)
    assert utils.pack_x_y_sample_weight([1, 2]) == ([1, 2],)


def test_a_batch_of_another_length_is_named():
    with pytest.raises(ValueError, match="but got a tuple of 4"):
        utils.unpack_x_y_sample_weight((1, 2, 3, 4))


def test_every_name_is_there():
    assert all(hasattr(utils, name) for name in utils.__all__)


def test_the_tools_import_nothing_heavy():
    code = "import sys, torchkeras.utils, torchkeras.preprocessing; print(*sorted({'h5py', 'PIL', 'scipy', 'pandas', 'ignite'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""
