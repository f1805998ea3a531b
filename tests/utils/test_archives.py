"""Archives: good ones are unpacked, hostile and broken ones are refused and leave nothing behind."""

import io
import os
import random
import stat
import subprocess
import sys
import tarfile
import textwrap
import zipfile
from pathlib import Path

import pytest

from torchkeras.utils import archives
from torchkeras.utils.archives import ArchiveError, extract_archive

ROOT = Path(__file__).parents[2]


def tar_of(path, *members, mode="w:gz"):
    """A tar of (name, content or TarInfo changes) pairs."""
    with tarfile.open(path, mode) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            data = content if isinstance(content, bytes) else b""
            info.size = len(data)
            for attribute, value in content.items() if isinstance(content, dict) else ():
                setattr(info, attribute, value)
            archive.addfile(info, io.BytesIO(data))
    return path


def zip_of(path, *members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content, *mode in members:
            info = zipfile.ZipInfo(name)
            if mode:
                info.external_attr = mode[0] << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return path


def files_below(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_tars_of_every_compression_are_unpacked(tmp_path, mode):
    archive = tar_of(tmp_path / "a.tar", ("top", {"type": tarfile.DIRTYPE}), ("top/x.txt", b"x"), ("./top/deep/y.txt", b"yy"), mode=mode)
    assert extract_archive(archive, tmp_path / "out")
    assert files_below(tmp_path / "out") == ["top", "top/deep", "top/deep/y.txt", "top/x.txt"]
    assert (tmp_path / "out/top/deep/y.txt").read_bytes() == b"yy"


def test_a_zip_is_unpacked_and_replaces_older_files(tmp_path):
    out = tmp_path / "out"
    (out / "top").mkdir(parents=True)
    (out / "top/x.txt").write_text("old")
    (out / "top/kept.txt").write_text("kept")
    archive = zip_of(tmp_path / "a.zip", ("top/", b""), ("top/x.txt", b"new"), ("top/y/z.txt", b"z"))
    assert extract_archive(archive, out, "zip")
    assert (out / "top/x.txt").read_text() == "new" and (out / "top/kept.txt").read_text() == "kept"
    assert files_below(out) == ["top", "top/kept.txt", "top/x.txt", "top/y", "top/y/z.txt"]


def test_what_is_no_archive_of_the_formats_is_left_alone(tmp_path):
    plain = tmp_path / "plain.gz"
    plain.write_bytes(b"no archive" * 100)
    assert not extract_archive(plain, tmp_path / "out")
    archive = tar_of(tmp_path / "a.tar", ("x", b"x"))
    assert not extract_archive(archive, tmp_path / "out", "zip")
    assert not extract_archive(archive, tmp_path / "out", None)
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match="but got 'rar'"):
        extract_archive(archive, tmp_path / "out", "rar")


HOSTILE_TARS = {
    "parent": [("../evil", b"x")],
    "parent within": [("a/../../evil", b"x")],
    "absolute": [("/tmp/evil", b"x")],
    "drive": [("C:evil", b"x")],
    "backslash": [("..\\evil", b"x")],
    "symlink": [("link", {"type": tarfile.SYMTYPE, "linkname": "/etc"})],
    "through a symlink": [("link", {"type": tarfile.SYMTYPE, "linkname": ".."}), ("link/evil", b"x")],
    "hard link": [("link", {"type": tarfile.LNKTYPE, "linkname": "/etc/passwd"})],
    "device": [("null", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3})],
    "pipe": [("pipe", {"type": tarfile.FIFOTYPE})],
    "long part": [("a" * 256, b"x")],
    "long path": [("/".join(["a" * 200] * 30) + "/../" * 40 + "evil", b"x")],
    "long clean path": [("/".join(["a" * 200] * 6), b"x")],
}


@pytest.mark.parametrize("members", HOSTILE_TARS.values(), ids=HOSTILE_TARS)
def test_a_hostile_tar_is_refused_and_leaves_nothing(tmp_path, members):
    archive = tar_of(tmp_path / "a.tar.gz", ("good", b"x"), *members)
    with pytest.raises(ArchiveError, match="is refused"):
        extract_archive(archive, tmp_path / "deep/out")
    assert files_below(tmp_path / "deep") == ["out"]


HOSTILE_ZIPS = {
    "parent": ("../evil", b"x"),
    "absolute": ("/tmp/evil", b"x"),
    "symlink": ("link", b"/etc/passwd", stat.S_IFLNK | 0o777),
    "device": ("device", b"", stat.S_IFCHR | 0o666),
    "long part": ("a" * 256, b"x"),
}


@pytest.mark.parametrize("member", HOSTILE_ZIPS.values(), ids=HOSTILE_ZIPS)
def test_a_hostile_zip_is_refused_and_leaves_nothing(tmp_path, member):
    archive = zip_of(tmp_path / "a.zip", ("good", b"x"), member)
    with pytest.raises(ArchiveError, match="is refused"):
        extract_archive(archive, tmp_path / "out")
    assert files_below(tmp_path / "out") == []


def test_bombs_are_refused_by_their_proportion(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "ALLOWANCE", 1000)
    for archive in (tar_of(tmp_path / "a.tar.gz", ("zeros", bytes(10**6))), zip_of(tmp_path / "a.zip", ("zeros", bytes(10**6)))):
        with pytest.raises(ArchiveError, match="out of all proportion"):
            extract_archive(archive, tmp_path / "out")


def test_a_zip_whose_entry_is_larger_than_it_says_is_refused(tmp_path):
    archive = zip_of(tmp_path / "a.zip", ("zeros", bytes(5000)))
    content = archive.read_bytes()
    archive.write_bytes(content.replace((5000).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    with pytest.raises(ArchiveError, match=r"is broken|came out of it"):
        extract_archive(archive, tmp_path / "out")
    assert files_below(tmp_path / "out") == []


def test_too_many_entries_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_MEMBERS", 3)
    archive = tar_of(tmp_path / "a.tar", *[(str(number), b"") for number in range(4)])
    with pytest.raises(ArchiveError, match="entry number 4"):
        extract_archive(archive, tmp_path / "out")


def test_an_encrypted_zip_is_refused(tmp_path):
    archive = zip_of(tmp_path / "a.zip", ("x", b"x"))
    content = bytearray(archive.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(content)
    with pytest.raises(ArchiveError, match="is encrypted"):
        extract_archive(archive, tmp_path / "out")


def test_nothing_is_written_through_a_link_in_the_target(tmp_path):
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    out.mkdir()
    elsewhere.mkdir()
    (out / "top").symlink_to(elsewhere)
    with pytest.raises(ArchiveError, match="of another kind"):
        extract_archive(tar_of(tmp_path / "a.tar", ("top/x", b"x")), out)
    assert files_below(elsewhere) == []


def test_unpacked_files_get_no_special_permissions(tmp_path):
    archive = tar_of(tmp_path / "a.tar", ("x", {"mode": 0o6777}))
    extract_archive(archive, tmp_path / "out")
    assert not (tmp_path / "out/x").stat().st_mode & (stat.S_ISUID | stat.S_ISGID | stat.S_IXUSR)


FUZZ = """
    import random, resource, sys
    from pathlib import Path
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    from torchkeras.utils.archives import ArchiveError, extract_archive
    folder = Path(sys.argv[1])
    draw = random.Random(int(sys.argv[2]))
    outcomes = {"fine": 0, "refused": 0}
    for original in sorted(folder.glob("good.*")):
        content = original.read_bytes()
        for round in range(60):
            bytes_ = bytearray(content)
            kind = draw.randrange(3)
            if kind == 0:
                for _ in range(draw.randrange(1, 8)):
                    bytes_[draw.randrange(len(bytes_))] ^= 1 << draw.randrange(8)
            elif kind == 1:
                del bytes_[draw.randrange(len(bytes_)):]
            else:
                i, j = sorted(draw.randrange(len(bytes_)) for _ in range(2))
                bytes_[i:j] = bytes_[j : j + (j - i)]
            path = folder / ("bad" + "".join(original.suffixes))
            path.write_bytes(bytes_)
            try:
                extract_archive(path, folder / "out")
                outcomes["fine"] += 1
            except ArchiveError:
                outcomes["refused"] += 1
    print(outcomes["fine"], outcomes["refused"])
"""


def test_damaged_archives_raise_only_our_own_error(tmp_path):
    members = [("top/x.txt", b"hello" * 50), ("top/y.bin", random.Random(0).randbytes(2000))]
    for suffix, mode in ((".tar", "w"), (".tar.gz", "w:gz"), (".tar.xz", "w:xz"), (".tar.bz2", "w:bz2")):
        tar_of(tmp_path / f"good{suffix}", *members, mode=mode)
    zip_of(tmp_path / "good.zip", *members)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(FUZZ), str(tmp_path), "7"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    fine, refused = map(int, ran.stdout.split())
    assert fine + refused == 300 and refused > 30
    assert {path.name for path in tmp_path.iterdir()} <= {
        "out",
        *(p.name for p in tmp_path.glob("good.*")),
        *(p.name for p in tmp_path.glob("bad.*")),
    }
