"""get_file, against a server on this machine that can be told to misbehave."""

import hashlib
import http.server
import io
import os
import tarfile
import threading
from pathlib import Path

import pytest

from torchkeras.utils import download
from torchkeras.utils.data_utils import get_file, validate_file

CONTENT = bytes(range(256)) * 2000  # 512,000 bytes: several chunks


class Server(http.server.BaseHTTPRequestHandler):
    """Serves `files`; knows ranges; breaks off the next answer after `break_after` bytes."""

    files: dict = {}
    break_after = None
    etag = '"one"'
    requests: list = []

    def do_GET(self):
        type(self).requests.append((self.path, self.headers.get("Range")))
        content = self.files.get(self.path)
        if content is None:
            self.send_error(404, "Not here")
            return
        start, status = 0, 200
        asked = self.headers.get("Range")
        if asked and self.headers.get("If-Range") == self.etag:
            start, status = int(asked.removeprefix("bytes=").removesuffix("-")), 206
            if start >= len(content):
                self.send_error(416)
                return
        self.send_response(status)
        self.send_header("Content-Length", str(len(content) - start))
        if self.etag:
            self.send_header("ETag", self.etag)
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        end = len(content) if self.break_after is None else self.break_after
        type(self).break_after = None
        self.wfile.write(content[start:end])

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    Server.files, Server.break_after, Server.etag, Server.requests = {"/data.bin": CONTENT}, None, '"one"', []
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=running.serve_forever, args=(0.01,))
    thread.start()
    Server.url = f"http://127.0.0.1:{running.server_port}"
    yield Server
    running.shutdown()
    running.server_close()
    thread.join()


def sha(content):
    return hashlib.sha256(content).hexdigest()


def test_a_file_is_downloaded_once_into_keras_folder(server, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    paths = {get_file("data.bin", f"{server.url}/data.bin") for _ in range(2)}
    assert paths == {str(tmp_path / ".keras/datasets/data.bin")}
    assert (tmp_path / ".keras/datasets/data.bin").read_bytes() == CONTENT
    assert os.listdir(tmp_path / ".keras/datasets") == ["data.bin"]
    assert len(server.requests) == 1
    out = capsys.readouterr().out
    assert out.startswith(f"Downloading data from {server.url}/data.bin\n")
    assert "512000/512000 [==============================] - 0s" in out


def test_the_folder_and_the_name_are_the_callers(server, tmp_path):
    assert get_file("a/b.bin", f"{server.url}/data.bin", cache_subdir="models", cache_dir=tmp_path) == str(tmp_path / "models/a/b.bin")
    assert get_file(tmp_path / "c.bin", f"{server.url}/data.bin") == str(tmp_path / "c.bin")
    assert get_file(None, f"{server.url}/data.bin", cache_dir=tmp_path) == str(tmp_path / "datasets/data.bin")


@pytest.mark.parametrize("hashed", [{"file_hash": sha(CONTENT)}, {"file_hash": sha(CONTENT).upper()}, {"md5_hash": hashlib.md5(CONTENT).hexdigest()}])
def test_a_file_with_another_hash_is_downloaded_anew(server, tmp_path, hashed, capsys):
    (tmp_path / "datasets").mkdir()
    path = tmp_path / "datasets/data.bin"
    path.write_bytes(b"old")
    get_file("data.bin", f"{server.url}/data.bin", cache_dir=tmp_path, **hashed)
    assert path.read_bytes() == CONTENT
    assert "downloaded again" in capsys.readouterr().out
    get_file("data.bin", f"{server.url}/data.bin", cache_dir=tmp_path, **hashed)
    assert len(server.requests) == 1


def test_a_download_with_a_wrong_hash_leaves_the_old_file(server, tmp_path):
    (tmp_path / "datasets").mkdir()
    path = tmp_path / "datasets/data.bin"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match=f"does not have the sha256 hash {'0' * 64}"):
        get_file("data.bin", f"{server.url}/data.bin", cache_dir=tmp_path, file_hash="0" * 64)
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == ["data.bin"]


def test_a_broken_download_goes_on_where_it_stopped(server, tmp_path):
    server.break_after = 200_000
    with pytest.raises(RuntimeError, match=r"broke off after 200000 of 512000 bytes\. The 200000 bytes that came are kept"):
        get_file("data.bin", f"{server.url}/data.bin", cache_dir=tmp_path)
    assert not (tmp_path / "datasets/data.bin").exists()
    get_file("data.bin", f"{server.url}/data.bin", cache_dir=tmp_path)
    assert (tmp_path / "datasets/data.bin").read_bytes() == CONTENT
    assert server.requests == [("/data.bin", None), ("/data.bin", "bytes=200000-")]
    assert os.listdir(tmp_path / "datasets") == ["data.bin"]


def test_a_file_that_changed_in_between_starts_anew(server, tmp_path):
    server.break_after = 200_000
    with pytest.raises(RuntimeError, match="broke off"):
        get_file("data.bin", f"{server.url}/data.bin", cache_dir=tmp_path)
    server.files["/data.bin"], server.etag = CONTENT[::-1], '"two"'
    get_file("data.bin", f"{server.url}/data.bin", cache_dir=tmp_path)
    assert (tmp_path / "datasets/data.bin").read_bytes() == CONTENT[::-1]


def test_a_partial_file_of_another_url_is_not_continued(server, tmp_path):
    server.files["/other.bin"] = CONTENT[::-1]
    server.break_after = 200_000
    with pytest.raises(RuntimeError, match="broke off"):
        get_file("data.bin", f"{server.url}/other.bin", cache_dir=tmp_path)
    get_file("data.bin", f"{server.url}/data.bin", cache_dir=tmp_path)
    assert (tmp_path / "datasets/data.bin").read_bytes() == CONTENT


def test_a_first_half_that_went_bad_is_found_by_the_hash(server, tmp_path):
    server.break_after = 200_000
    with pytest.raises(RuntimeError, match="broke off"):
        get_file("data.bin", f"{server.url}/data.bin", cache_dir=tmp_path)
    part = tmp_path / "datasets/data.bin.part"
    part.write_bytes(bytes(200_000))
    get_file("data.bin", f"{server.url}/data.bin", cache_dir=tmp_path, file_hash=sha(CONTENT))
    assert (tmp_path / "datasets/data.bin").read_bytes() == CONTENT
    assert [asked for _, asked in server.requests] == [None, "bytes=200000-", None]


def test_a_complete_partial_file_is_not_a_trap(server, tmp_path):
    server.break_after = 200_000
    with pytest.raises(RuntimeError, match="broke off"):
        get_file("data.bin", f"{server.url}/data.bin", cache_dir=tmp_path)
    (tmp_path / "datasets/data.bin.part").write_bytes(CONTENT)
    get_file("data.bin", f"{server.url}/data.bin", cache_dir=tmp_path)
    assert (tmp_path / "datasets/data.bin").read_bytes() == CONTENT


def test_many_askers_download_once(server, tmp_path):
    asked = [
        threading.Thread(target=get_file, args=("data.bin", f"{server.url}/data.bin"), kwargs={"cache_dir": tmp_path, "file_hash": sha(CONTENT)})
        for _ in range(6)
    ]
    for thread in asked:
        thread.start()
    for thread in asked:
        thread.join()
    assert (tmp_path / "datasets/data.bin").read_bytes() == CONTENT
    assert len(server.requests) == 1
    assert os.listdir(tmp_path / "datasets") == ["data.bin"]


def test_what_a_server_refuses_is_said(server, tmp_path):
    with pytest.raises(RuntimeError, match=r"Could not download .*/none: the server answers 404 Not here\."):
        get_file("none", f"{server.url}/none", cache_dir=tmp_path)
    with pytest.raises(RuntimeError, match=r"Could not download http://127\.0\.0\.1:1/x"):
        get_file("none", "http://127.0.0.1:1/x", cache_dir=tmp_path)
    assert not (tmp_path / "datasets/none").exists()


def test_a_file_url_is_copied(tmp_path):
    source = tmp_path / "source.bin"
    source.write_bytes(CONTENT)
    assert Path(get_file("copy.bin", source.as_uri(), cache_dir=tmp_path)).read_bytes() == CONTENT


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "..\\evil", "", ".."])
def test_a_name_that_leads_out_of_the_cache_is_refused(server, tmp_path, name):
    with pytest.raises(ValueError, match="a name inside the cache folder"):
        get_file(name, f"{server.url}/data.bin", cache_dir=tmp_path / "cache")
    assert server.requests == []


@pytest.mark.parametrize("end", ["/..%2f..%2fevil", "/", "/%2e%2e", "/a%5cb", ""])
def test_a_name_in_a_url_is_used_only_where_it_is_one(server, tmp_path, end):
    with pytest.raises(ValueError, match="no safe file name in the URL"):
        get_file(None, server.url + end, cache_dir=tmp_path)


@pytest.mark.parametrize("url", ["data:text/plain,x", "/etc/passwd", "gopher://x/y"])
def test_other_kinds_of_url_are_refused(tmp_path, url):
    with pytest.raises(ValueError, match="takes a URL that starts with http://"):
        get_file("x", url, cache_dir=tmp_path)


def test_hashes_of_no_known_length_are_refused(tmp_path):
    with pytest.raises(ValueError, match="but got 'abc'"):
        get_file("x", "http://127.0.0.1/x", file_hash="abc", cache_dir=tmp_path)
    with pytest.raises(ValueError, match="for hash_algorithm='md5'"):
        get_file("x", "http://127.0.0.1/x", file_hash="0" * 64, hash_algorithm="md5", cache_dir=tmp_path)
    with pytest.raises(ValueError, match="but got 'crc'"):
        validate_file(tmp_path / "x", "0" * 32, algorithm="crc")


def tar_bytes(name, content):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def test_archives_are_unpacked_in_both_spellings(server, tmp_path):
    server.files["/set.tar.gz"] = tar_bytes("flowers/a.txt", b"a")
    folder = get_file("flowers", f"{server.url}/set.tar.gz", untar=True, cache_dir=tmp_path)
    assert folder == str(tmp_path / "datasets/flowers") and os.listdir(folder) == ["a.txt"]
    path = get_file("set.tar.gz", f"{server.url}/set.tar.gz", extract=True, cache_dir=tmp_path, cache_subdir="other")
    assert path == str(tmp_path / "other/set.tar.gz") and (tmp_path / "other/flowers/a.txt").read_bytes() == b"a"


def test_untar_needs_a_tar(server, tmp_path):
    with pytest.raises(ValueError, match="no tar archive"):
        get_file("data", f"{server.url}/data.bin", untar=True, cache_dir=tmp_path)


def test_a_hostile_archive_is_downloaded_but_not_unpacked(server, tmp_path):
    server.files["/set.tar.gz"] = tar_bytes("../../evil", b"x")
    with pytest.raises(ValueError, match="leads out of the folder"):
        get_file("set.tar.gz", f"{server.url}/set.tar.gz", extract=True, cache_dir=tmp_path / "cache")
    assert not (tmp_path / "evil").exists()


def test_a_cache_that_cannot_be_written_gives_way_to_the_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(download.tempfile, "gettempdir", lambda: str(tmp_path))
    (tmp_path / "file").write_text("in the way")
    assert download._cache_folder(tmp_path / "file/cache") == tmp_path / ".keras"
    monkeypatch.setattr(download.os, "getuid", lambda: -1)
    with pytest.raises(RuntimeError, match="belongs to somebody else"):
        download._cache_folder(tmp_path / "file/cache")
