"""The benchmark of data that is read while the model trains: it runs in its smallest size, and both sides see the same rows."""

import numpy as np
import pytest

pytest.importorskip("h5py")
pytest.importorskip("PIL")
from benchmarks import streaming


def test_it_writes_a_row_for_each_source(tmp_path, capsys):
    small = ["--megabytes", "1", "--pictures", "40", "--workers", "0", "--batches", "2", "--milliseconds", "1", "--rounds", "1"]
    assert streaming.main([*small, "--folder", str(tmp_path), "--output", str(tmp_path)]) == 0
    text = (tmp_path / "streaming.md").read_text(encoding="utf-8")
    assert [text.count(name) for name in ("np.memmap", "HDF5", "folder of 40", "generator of 2")] == [10, 10, 1, 2]
    assert text in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["np.memmap", "HDF5"])
def test_the_files_hold_the_same_rows(tmp_path, kind):
    import h5py

    paths, y = streaming.write_rows(tmp_path, 2)
    raw = np.fromfile(paths["np.memmap"], "float32").reshape(len(y), streaming.FEATURES)
    with h5py.File(paths["HDF5"], "r") as file:
        assert np.array_equal(file["x"][:], raw)
    for shuffle in (False, "batch", True):
        calls = streaming.rows_on_disk(kind, paths[kind], y, shuffle)
        assert set(calls) == {"by hand", "torchkeras", "reading alone", "batches alone", "file cached"}
        for call in calls.values():
            assert call() > 0


def test_a_forgotten_file_is_not_in_the_cache(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(1 << 20))
    path.read_bytes()
    if streaming.share_cached(path) is None:
        pytest.skip("the system does not tell, or the disk is memory")
    assert streaming.share_cached(path) > 0.9
    streaming.forget(path)
    assert streaming.share_cached(path) < 0.02
    rows = np.memmap(path, "float32", "r", shape=(1 << 18,))
    assert not rows.sum()
    with pytest.raises(RuntimeError, match="are still in the system's cache: some program has it mapped"):
        streaming.forget(path)
    del rows
    streaming.forget(path)


def test_a_generator_can_be_read_by_two_threads():
    calls = streaming.slow_source(3, 0.001, 2)
    assert len(calls["torchkeras"]().epoch) == 1
