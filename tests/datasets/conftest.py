"""A cache folder of the test's own, and no way out: a download is an error."""

import numpy as np
import pytest

from torchkeras.datasets import cache, cifar


@pytest.fixture
def keras_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))

    def refuse(fname, origin, **options):
        raise ConnectionError(f"would download {origin}")

    monkeypatch.setattr(cache, "get_file", refuse)
    monkeypatch.setattr(cifar, "get_file", refuse)
    folder = tmp_path / ".keras" / "datasets"
    folder.mkdir(parents=True)
    return folder


def lists_of(*lists):
    """An array of lists, as Keras' files have them."""
    array = np.empty(len(lists), dtype=object)
    for place, words in enumerate(lists):
        array[place] = list(words)
    return array
