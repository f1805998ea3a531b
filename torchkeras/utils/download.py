"""Downloads into Keras' cache folder: checked, resumable, whole or not there at all.

Source: `keras.utils.get_file` (Keras 2.2.4, tf.keras 2.4.0).
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, Final

from torchkeras.utils.archives import PathLike, extract_archive
from torchkeras.utils.atomic import atomic_text
from torchkeras.utils.progress import Progbar

try:
    import fcntl
except ImportError:  # not a POSIX system: two downloads of one file at once are not kept apart
    fcntl = None  # type: ignore[assignment]

SCHEMES: Final = ("http", "https", "ftp", "file")
HASHES: Final = {32: "md5", 64: "sha256"}  # length of the hexadecimal text -> algorithm
CHUNK: Final = 2**16


def get_file(
    fname: PathLike | None,
    origin: str,
    untar: bool = False,
    md5_hash: str | None = None,
    file_hash: str | None = None,
    cache_subdir: str = "datasets",
    hash_algorithm: str = "auto",
    extract: bool = False,
    archive_format: str | Iterable[str] | None = "auto",
    cache_dir: PathLike | None = None,
    *,
    timeout: float = 60.0,
) -> str:
    """The path of a file in the cache, downloaded where it is not there yet.

    A download that breaks off leaves `<name>.part`, and the next call goes on from there where the server tells that the file is still the
    same. The file appears under its name only when it is complete and its hash is right. Processes that ask
    for one file at the same time download it once.

    Args:
        fname: Name in the cache folder, or an absolute path; `None`: the last part of the URL.
        origin: URL: http, https, ftp or file.
        untar: Unpack `<fname>.tar.gz` and return the path of `<fname>` (Keras 1; `extract` is newer).
        md5_hash: MD5 of the file (Keras 1; `file_hash` is newer).
        file_hash: Hash of the file; a file with another hash is downloaded anew.
        cache_subdir: Folder below `cache_dir`, or an absolute path.
        hash_algorithm: "md5", "sha256", or "auto" to tell by the length of `file_hash`.
        extract: Whether to unpack the file, if it is an archive, into its folder.
        archive_format: "tar", "zip", "auto", a list, or `None`, see `extract_archive`.
        cache_dir: The cache; `None`: ~/.keras, or .keras in the temporary folder where that cannot be written.
        timeout: How long the server may be silent, seconds.

    Returns:
        The path of the file; with `untar`, of the folder or file unpacked.

    Raises:
        ValueError: a name that leads out of the cache, a URL of another kind, a hash of no known length, or a download with another hash.
        RuntimeError: the server could not be reached, refused, or broke off.
        ArchiveError: the archive may not be unpacked, see `extract_archive`.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `get_file`.
    """
    if md5_hash is not None and file_hash is None:
        file_hash, hash_algorithm = md5_hash, "md5"
    algorithm = None if file_hash is None else _algorithm(file_hash, hash_algorithm)
    _check_url(origin)
    folder = _cache_folder(cache_dir) / cache_subdir
    name = _name_in_url(origin) if fname is None else os.fspath(fname)
    wanted = _below(folder, name)
    path = wanted.with_name(wanted.name + ".tar.gz") if untar else wanted
    path.parent.mkdir(parents=True, exist_ok=True)
    if not _is_good(path, file_hash, algorithm, tell=True):
        print("Downloading data from", origin)
        _download(origin, path, file_hash, algorithm, timeout)
    if untar:
        if not wanted.exists() and not extract_archive(path, path.parent, "tar"):
            raise ValueError(f"get_file was asked to untar {path}, which is no tar archive. Leave untar away to have the file as it is.")
        return str(wanted)
    if extract:
        extract_archive(path, path.parent, archive_format)
    return str(path)


def validate_file(fpath: PathLike, file_hash: str, algorithm: str = "auto", chunk_size: int = 65535) -> bool:
    """Whether a file has this hash.

    Args:
        fpath: The file.
        file_hash: MD5 or SHA-256 as hexadecimal text.
        algorithm: "md5", "sha256", or "auto" to tell by the length.
        chunk_size: Bytes read at a time.

    Raises:
        ValueError: another algorithm, or a hash of no known length.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `validate_file`.
    """
    hasher = hashlib.new(_algorithm(file_hash, algorithm), usedforsecurity=False)
    with open(fpath, "rb") as file:
        while chunk := file.read(chunk_size):
            hasher.update(chunk)
    return hasher.hexdigest() == str(file_hash).lower()


def _algorithm(file_hash: str, algorithm: str) -> str:
    if algorithm not in ("auto", *HASHES.values()):
        raise ValueError(f"hash_algorithm must be 'md5', 'sha256' or 'auto', but got {algorithm!r}.")
    found = HASHES.get(len(str(file_hash)))
    if found is None or algorithm not in ("auto", found):
        raise ValueError(f"file_hash must be 32 (MD5) or 64 (SHA-256) hexadecimal digits, but got {file_hash!r} for hash_algorithm={algorithm!r}.")
    return found


def _check_url(origin: str) -> None:
    scheme = urllib.parse.urlsplit(origin).scheme.lower()
    if scheme not in SCHEMES:
        raise ValueError(f"get_file takes a URL that starts with {', '.join(f'{s}://' for s in SCHEMES)}, but got {origin!r}.")


def _name_in_url(origin: str) -> str:
    name = urllib.parse.unquote(urllib.parse.urlsplit(origin).path.rpartition("/")[2])
    if name in ("", ".", "..") or any(character in name for character in "/\\:\0"):
        raise ValueError(f"get_file finds no safe file name in the URL {origin!r}. Give fname.")
    return name


def _cache_folder(cache_dir: PathLike | None) -> Path:
    folder = Path(os.path.expanduser("~/.keras" if cache_dir is None else cache_dir))
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    if os.access(folder, os.W_OK):
        return folder
    shared = Path(tempfile.gettempdir()) / ".keras"
    shared.mkdir(mode=0o700, exist_ok=True)
    # in a folder that everyone may write to, somebody else could have put a cache of theirs there
    if shared.is_symlink() or (hasattr(os, "getuid") and shared.stat().st_uid != os.getuid()):
        raise RuntimeError(f"get_file can write neither to {folder} nor to {shared}, which belongs to somebody else. Give cache_dir.")
    return shared


def _below(folder: Path, name: str) -> Path:
    """`folder / name`, where a relative name stays inside; an absolute one is the caller's own choice."""
    path = Path(name)
    if path.is_absolute():
        return path
    if not path.parts or ".." in path.parts or "\\" in name or "\0" in name:
        raise ValueError(f"get_file takes a name inside the cache folder or an absolute path as fname, but got {name!r}.")
    return folder / path


def _is_good(path: Path, file_hash: str | None, algorithm: str | None, tell: bool = False) -> bool:
    if not path.exists():
        return False
    if file_hash is None or validate_file(path, file_hash, algorithm or "auto"):
        return True
    if tell:
        print(f"{path} does not have the {algorithm} hash {file_hash}: it is incomplete or outdated, and is downloaded again.")
    return False


def _download(origin: str, path: Path, file_hash: str | None, algorithm: str | None, timeout: float) -> None:
    part = path.with_name(path.name + ".part")
    with _locked(part) as file:
        if _is_good(path, file_hash, algorithm):  # another process was faster
            part.unlink(missing_ok=True)
            return
        try:
            resumed = _fetch(origin, file, part, timeout)
            if resumed and file_hash is not None and not validate_file(part, file_hash):
                file.truncate(0)  # the first half was of another file
                _fetch(origin, file, part, timeout)
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"Could not download {origin}: the server answers {error.code} {error.reason}.") from error
        except (OSError, http.client.HTTPException) as error:  # URLError and time-outs among them
            kept = f" The {part.stat().st_size} bytes that came are kept for the next try." if part.exists() and part.stat().st_size else ""
            raise RuntimeError(f"Could not download {origin}: {getattr(error, 'reason', None) or error}.{kept}") from error
        file.flush()
        os.fsync(file.fileno())
        if file_hash is not None and not validate_file(part, file_hash):
            part.unlink()
            _note_of(part).unlink(missing_ok=True)
            raise ValueError(f"The file from {origin} does not have the {algorithm} hash {file_hash}. It was deleted; check the hash and the URL.")
        if fcntl is None:
            file.close()  # Windows moves no open file
        os.replace(part, path)
    _note_of(part).unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(part: Path) -> Iterator[IO[bytes]]:
    """The partial file, open for appending, for this process alone."""
    while True:
        with open(part, "a+b") as file:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX)
                try:  # while this process waited, the other may have finished and moved the file away
                    same = os.fstat(file.fileno()).st_ino == part.stat().st_ino
                except FileNotFoundError:
                    same = False
                if not same:
                    continue
            yield file
            return


def _note_of(part: Path) -> Path:
    """Where it is noted which version of which file the partial file is of."""
    return part.with_name(part.name + ".json")


def _version_of(part: Path, origin: str) -> str | None:
    """What the server called the version of the partial file, if it is of this URL."""
    try:
        note = json.loads(_note_of(part).read_text())
        return note["version"] if note["origin"] == origin and isinstance(note["version"], str) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _fetch(origin: str, file: IO[bytes], part: Path, timeout: float) -> bool:
    """Append the rest of `origin` to `file`, or all of it; whether it was only the rest."""
    had = file.seek(0, os.SEEK_END)
    version = _version_of(part, origin) if had else None
    headers = {"User-Agent": "torchkeras"}
    if version is not None:
        headers |= {"Range": f"bytes={had}-", "If-Range": version}
    try:
        opened = urllib.request.urlopen(urllib.request.Request(origin, headers=headers), timeout=timeout)
    except urllib.error.HTTPError as error:
        if error.code != 416 or version is None:
            raise
        file.truncate(0)  # there is no rest: start anew
        return _fetch(origin, file, part, timeout)
    with opened as answer:
        resumed = getattr(answer, "status", None) == 206 and str(answer.headers.get("Content-Range", "")).startswith(f"bytes {had}-")
        if not resumed:
            if getattr(answer, "status", None) == 206:
                raise OSError(f"the server sent {answer.headers.get('Content-Range')!r} instead of the rest from byte {had}")
            had = 0
            file.truncate(0)
            _note_version(part, origin, answer.headers)
        length = answer.headers.get("Content-Length")
        total = had + int(length) if length and length.isdigit() else None
        _copy(answer, file, had, total)
    return resumed


def _note_version(part: Path, origin: str, headers: Any) -> None:
    tag = headers.get("ETag")
    version = tag if tag and not tag.startswith("W/") else headers.get("Last-Modified")
    with atomic_text(_note_of(part)) as note:
        note.write(json.dumps({"origin": origin, "version": version}))


def _copy(answer: Any, file: IO[bytes], had: int, total: int | None) -> None:
    bar = Progbar(total)
    done = had
    while chunk := answer.read(CHUNK):
        file.write(chunk)
        done += len(chunk)
        if total is None or done < total:
            bar.update(done)
    file.flush()
    if total is not None and done != total:
        raise OSError(f"the connection broke off after {done} of {total} bytes")
    bar.target = done
    bar.update(done, finalize=True)
