"""Small functions that ported code calls."""

import numpy as np
import pytest

from torchkeras.utils import generic_utils


class Box:
    """An object with a config."""

    def __init__(self, size=1):
        self.size = size

    def get_config(self):
        return {"size": self.size}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def test_objects_go_to_configs_and_back():
    config = generic_utils.serialize_keras_object(Box(3))
    assert config == {"class_name": "Box", "config": {"size": 3}}
    assert generic_utils.deserialize_keras_object(config, module_objects={"Box": Box}).size == 3
    assert generic_utils.deserialize_keras_object("len", custom_objects={"len": len}) is len
    assert generic_utils.deserialize_keras_object("Box", {"Box": Box}).size == 1


def test_an_unknown_name_is_never_imported():
    with pytest.raises(ValueError, match=r"Unknown box: 'os\.system'"):
        generic_utils.deserialize_keras_object("os.system", {"Box": Box}, printable_module_name="box")


def test_has_arg_tells_what_can_be_given_by_name():
    def function(a, /, b, *, c=1, **rest):
        return a, b, c, rest

    assert not generic_utils.has_arg(function, "a")
    assert generic_utils.has_arg(function, "b") and generic_utils.has_arg(function, "c")
    assert not generic_utils.has_arg(function, "rest")
    assert not generic_utils.has_arg(function, "other") and generic_utils.has_arg(function, "other", accept_all=True)


def test_lists_and_singletons():
    assert generic_utils.to_list((1, 2)) == [(1, 2)]
    assert generic_utils.to_list((1, 2), allow_tuple=True) == [1, 2]
    given = [1]
    assert generic_utils.to_list(given) is given
    assert generic_utils.make_tuple(1, 2) == (1, 2)
    assert generic_utils.unpack_singleton([5]) == 5
    assert generic_utils.unpack_singleton([5, 6]) == [5, 6]
    assert generic_utils.is_all_none([None, None]) and generic_utils.is_all_none(None)
    assert not generic_utils.is_all_none([None, 0])
    assert generic_utils.object_list_uid([given, given]) == f"{id(given)}, {id(given)}"


def test_slice_arrays_takes_ranges_and_row_numbers():
    x = np.arange(5)
    assert generic_utils.slice_arrays(None) == [None]
    np.testing.assert_array_equal(generic_utils.slice_arrays(x, 1, 3), [1, 2])
    np.testing.assert_array_equal(generic_utils.slice_arrays(x, np.array([4, 0])), [4, 0])
    first, nothing = generic_utils.slice_arrays([x, None], 3)
    np.testing.assert_array_equal(first, [3, 4])
    assert nothing is None
    with pytest.raises(ValueError, match="row numbers and stop=2"):
        generic_utils.slice_arrays(x, [0, 1], 2)


def test_transpose_shape_moves_the_channels():
    assert generic_utils.transpose_shape((16, 128, 64, 3), "channels_first", (1, 2)) == (16, 3, 128, 64)
    assert generic_utils.transpose_shape([128, 64, 3], "channels_first", (0, 1)) == [3, 128, 64]
    assert generic_utils.transpose_shape((16, 128, 64, 3), "channels_last", (1, 2)) == (16, 128, 64, 3)
    with pytest.raises(ValueError, match="but got 'middle'"):
        generic_utils.transpose_shape((1, 2, 3), "middle", (1,))


def test_bytecode_is_neither_written_nor_run():
    with pytest.raises(RuntimeError, match="func_load is refused"):
        generic_utils.func_load("abc")
    with pytest.raises(RuntimeError, match="custom_objects"):
        generic_utils.func_dump(len)
