"""docs/layers.md says the truth, and the stable releases are here in full."""

import pytest

from tests import layer_table


def test_the_page_is_up_to_date():
    # that every case passes is what the golden tests show
    wanted = layer_table.render(layer_table.recorded())
    assert layer_table.PAGE.read_text() == wanted, "run `python -m tests.layer_table`"


@pytest.mark.parametrize("release", layer_table.STABLE)
def test_nothing_is_missing_without_a_reason(release):
    assert set(layer_table.missing(release)) <= set(layer_table.LEFT_OUT)


@pytest.mark.parametrize("release", layer_table.STABLE)
def test_every_argument_of_the_stable_releases_is_taken(release):
    cells = {name: layer_table.cell(name, release) for name in layer_table.API[release]}
    assert {name: text for name, text in cells.items() if text.startswith("without")} == {}


def test_arguments_are_read_from_signatures():
    assert layer_table.arguments("(units, strides=(1, 1), f=<function f at 0>, *, x={'a': 1}, **kwargs)") == ["units", "strides", "f", "x"]
    assert layer_table.arguments("()") == []


def test_taken_looks_through_kwargs_and_no_further():
    class Base:
        def __init__(self, a=1):
            pass

    class Open(Base):
        def __init__(self, b=1, **kwargs):
            pass

    class Closed(Base):
        def __init__(self, c=1):
            pass

    assert {"a", "b"} <= layer_table.taken(Open)
    assert "a" not in layer_table.taken(Closed)


def test_a_module_is_no_layer():
    assert layer_table.find("core") is None
    assert layer_table.find("experimental.preprocessing.Resizing") is not None
