"""The gate for `.keras` archives."""

from __future__ import annotations

import json
import os
import random
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.golden_cases import golden
from torchkeras.saving import archive
from torchkeras.saving.archive import CONFIG, MEMBERS, METADATA, WEIGHTS, open_archive, write_archive
from torchkeras.saving.errors import ContentError, DamagedFileError, FileError, LimitError, UnsafeFileError
from torchkeras.saving.hdf5 import open_safely
from torchkeras.saving.limits import using_limits

GENUINE = golden("saved", versions=("3.15.1",))


def fill(file: h5py.File) -> None:
    file["layers/dense/vars/0"] = np.arange(4.0)


def good(path: Path) -> None:
    write_archive(path, '{"class_name": "Sequential"}', '{"keras_version": "3.15.1"}', fill)


def read_all(path: Path) -> dict[str, bytes]:
    with open_archive(path) as members:
        return {name: members.read(name) for name in MEMBERS}


@pytest.mark.parametrize("case", GENUINE, ids=str)
def test_genuine_archives_are_read(case):
    with open_archive(case.folder / case["model_file"]) as members:
        assert json.loads(members.read(METADATA))["keras_version"] == "3.15.1"
        assert json.loads(members.read(CONFIG)) == json.loads((case.folder / case["json_file"]).read_text()) or "compile_config" in json.loads(
            members.read(CONFIG)
        )
        with open_safely(members.read(WEIGHTS), f"{WEIGHTS} of {case}") as file:
            stored = {array.read(None, "fiu").tobytes() for array in file.walk() if hasattr(array, "shape")}
    assert {array.tobytes() for array in case.arrays("weights")} <= stored
    assert {array.tobytes() for array in case.arrays("optimizer_weights")} <= stored


def test_what_is_written_comes_back(tmp_path):
    good(tmp_path / "m.keras")
    with open_archive(tmp_path / "m.keras") as members:
        assert members.read(CONFIG) == b'{"class_name": "Sequential"}'
        assert members.read(METADATA) == b'{"keras_version": "3.15.1"}'
        assert CONFIG in members
        assert "assets/x" not in members
        assert members.size(CONFIG) == 28
        with open_safely(members.read(WEIGHTS)) as file:
            assert file.read("layers/dense/vars/0", (4,)).tolist() == [0, 1, 2, 3]


def test_the_members_stand_as_genuine_keras_writes_them(tmp_path):
    good(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as mine, zipfile.ZipFile(GENUINE[0].folder / GENUINE[0]["model_file"]) as genuine:
        assert mine.namelist() == genuine.namelist()
        assert [info.compress_type for info in mine.infolist()] == [info.compress_type for info in genuine.infolist()]
        assert mine.testzip() is None


def test_equal_models_give_equal_files(tmp_path):
    good(tmp_path / "a.keras")
    good(tmp_path / "b.keras")
    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()


def test_a_failure_while_writing_leaves_the_old_file(tmp_path):
    (tmp_path / "m.keras").write_bytes(b"old")

    def fail(file: h5py.File) -> None:
        fill(file)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_archive(tmp_path / "m.keras", "{}", "{}", fail)
    assert (tmp_path / "m.keras").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["m.keras"]


Add = Callable[[zipfile.ZipFile], None]


def member(name: str, content: bytes = b"x", mode: int = 0, method: int = zipfile.ZIP_STORED) -> Add:
    def add(file: zipfile.ZipFile) -> None:
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        file.writestr(info, content, compress_type=method)

    return add


OUTSIDE = "Its name leads out of the archive"
HOSTILE: dict[str, tuple[Add, str]] = {
    **{
        f"the name {name}": (member(name), f"but a .keras file holds only.*{OUTSIDE}")
        for name in ("../evil.py", "/etc/cron.d/evil", "assets/../../evil.py", "C:\\evil.py", "\\\\host\\evil", "a" * 5000 + "/../../x")
    },
    "another name": (member("evil.py"), "has the member 'evil.py', but a .keras file holds only metadata.json, config.json, model.weights.h5"),
    "the same name in another case": (member("CONFIG.JSON"), "has the member 'CONFIG.JSON'"),
    "assets": (member("assets/vocabulary.txt"), "Assets .vocabularies of text layers. are not read"),
    "a folder": (member("assets/"), "has the member 'assets/'"),
    "an npz of weights": (member("model.weights.npz"), r"has the member 'model\.weights\.npz'"),
    "a torch file": (member("archive/data.pkl"), r"looks like a file written by torch\.save"),
    "a symbolic link": (member(CONFIG, b"/etc/passwd", stat.S_IFLNK | 0o777), "'config.json' is a symbolic link"),
    "a device": (member(CONFIG, b"", stat.S_IFCHR | 0o666), "'config.json' is no regular file"),
    "another packing": (member(CONFIG, b"{}", method=zipfile.ZIP_BZIP2), "'config.json' is packed by method 12"),
    "a bomb": (
        member(CONFIG, bytes(50 << 20), method=zipfile.ZIP_DEFLATED),
        r"config.json would unpack from 4.\..* KiB to 50 MiB.*member_expansion=100",
    ),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_archives_are_refused(tmp_path, what):
    add, reason = HOSTILE[what]
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as file:
        add(file)
    before = sorted(Path(tmp_path).rglob("*"))
    with pytest.raises(UnsafeFileError, match=reason), open_archive(tmp_path / "m.keras"):
        pass
    assert sorted(Path(tmp_path).rglob("*")) == before, "nothing is extracted"


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name_are_refused(tmp_path):
    good(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras", "a") as file:
        file.writestr(CONFIG, '{"class_name": "Lambda"}')
    with pytest.raises(UnsafeFileError, match=r"two members called 'config\.json'"), open_archive(tmp_path / "m.keras"):
        pass


def test_a_name_with_a_null_character_hides_nothing(tmp_path):
    good(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras", "a") as file:
        file.writestr("config.jsonX.py", "{}")
    content = (tmp_path / "m.keras").read_bytes().replace(b"config.jsonX.py", b"config.json\0.py")
    (tmp_path / "m.keras").write_bytes(content)
    with pytest.raises(UnsafeFileError, match=r"two members called 'config\.json'"), open_archive(tmp_path / "m.keras"):
        pass


def test_encrypted_members_are_refused(tmp_path):
    good(tmp_path / "m.keras")
    content = bytearray((tmp_path / "m.keras").read_bytes())
    place = content.find(b"PK\x01\x02")
    content[place + 8] |= 1
    (tmp_path / "m.keras").write_bytes(content)
    with pytest.raises(UnsafeFileError, match=r"'metadata\.json' is encrypted"), open_archive(tmp_path / "m.keras"):
        pass


def test_overlapping_members_are_refused(tmp_path):
    """Members that share the same packed bytes unpack to far more than the file holds."""
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as file:
        file.writestr(METADATA, os.urandom(600))
        file.writestr(CONFIG, b"{}")
    content = bytearray((tmp_path / "m.keras").read_bytes())
    second = content.find(b"PK\x01\x02", content.find(b"PK\x01\x02") + 4)
    struct.pack_into("<II", content, second + 20, 600, 600)
    (tmp_path / "m.keras").write_bytes(content)
    with pytest.raises(FileError, match=r"its members overlap|Overlapped|is damaged"):
        read_all(tmp_path / "m.keras")


def test_a_list_of_a_million_members_is_not_read(tmp_path):
    entry = struct.pack("<4s6H3L5H2L", b"PK\x01\x02", 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"x"
    count = 100_000
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count & 0xFFFF, count & 0xFFFF, len(entry) * count, 0, 0)
    (tmp_path / "m.keras").write_bytes(entry * count + end)
    with pytest.raises(LimitError, match=r"list of members is longer than 1 MiB; a \.keras file has three"), open_archive(tmp_path / "m.keras"):
        pass


def test_members_are_held_to_their_limits(tmp_path):
    good(tmp_path / "m.keras")
    with using_limits(json_bytes=27), pytest.raises(LimitError, match=r"config\.json is 28 bytes long, more than the limit of 27 bytes"):
        read_all(tmp_path / "m.keras")
    with using_limits(member_bytes=100), open_archive(tmp_path / "m.keras") as members:
        with pytest.raises(LimitError, match=r"model\.weights\.h5 is .* long, more than the limit of 100 bytes"):
            members.read(WEIGHTS)
        with pytest.raises(LimitError, match=r"config\.json is 28 bytes long, more than the limit of 5 bytes"):
            members.read(CONFIG, 5)


def test_a_missing_member_is_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as file:
        file.writestr(CONFIG, "{}")
    with open_archive(tmp_path / "m.keras") as members, pytest.raises(ContentError, match=r"lacks 'metadata\.json'; a \.keras file holds"):
        members.read(METADATA)


def test_a_changed_byte_is_noticed(tmp_path):
    good(tmp_path / "m.keras")
    content = bytearray((tmp_path / "m.keras").read_bytes())
    content[content.find(b"Sequential")] ^= 1
    (tmp_path / "m.keras").write_bytes(content)
    with pytest.raises(DamagedFileError, match=r"config\.json is damaged \(Bad CRC-32"):
        read_all(tmp_path / "m.keras")


def test_a_length_that_is_not_true_is_noticed(tmp_path):
    with zipfile.ZipFile(tmp_path / "m.keras", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(CONFIG, "{}" * 100)
    content = bytearray((tmp_path / "m.keras").read_bytes())
    struct.pack_into("<I", content, content.find(b"PK\x01\x02") + 24, 2000)
    (tmp_path / "m.keras").write_bytes(content)
    with open_archive(tmp_path / "m.keras") as members, pytest.raises(DamagedFileError, match=r"config\.json"):
        members.read(CONFIG)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"\x89HDF\r\n\x1a\n...", "it looks like an HDF5 file"),
        (b"PK\x03\x04...", r"the file is cut short or damaged \(7 bytes long\)"),
        (b"nonsense", "it begins with b'nonsense'"),
    ],
)
def test_other_kinds_of_files_are_recognized(tmp_path, content, reason):
    (tmp_path / "m.keras").write_bytes(content)
    with pytest.raises(DamagedFileError, match=f"cannot be read as a .keras archive: {reason}"), open_archive(tmp_path / "m.keras"):
        pass


def test_an_archive_that_was_cut_short_is_recognized(tmp_path):
    good(tmp_path / "m.keras")
    content = (tmp_path / "m.keras").read_bytes()
    generator = random.Random(0)
    for _ in range(50):
        (tmp_path / "m.keras").write_bytes(content[: generator.randrange(len(content))])
        with pytest.raises(DamagedFileError, match=r"cannot be read as a \.keras archive|is damaged"):
            read_all(tmp_path / "m.keras")


def test_no_member_is_ever_extracted():
    source = Path(archive.__file__).read_text()
    assert ".extract" not in source
