"""The door for every file that is read: is it there, is it a file, may it be read, and what is it really?"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from torchkeras.saving.errors import DamagedFileError, FileError, FolderError, MissingFileError, NoPermissionError

PathLike = str | os.PathLike[str]

_CONVERT = "Turn it into an .h5 file with TensorFlow: `model = tf.keras.models.load_model({path!r})`, then `model.save('model.h5')`."
_CHECKPOINT = (
    "Turn it into an .h5 file with TensorFlow: build the model there and call `model.load_weights({path!r})`, "
    "then `model.save_weights('weights.h5')`."
)

# The parts of a TensorFlow checkpoint: "name.index" and "name.data-00000-of-00001".
_PART = re.compile(r"(.+)\.(?:index|data-\d{5}-of-\d{5})")

_BEGINNINGS = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"PK\x03\x04", "a zip archive (a .keras file, or a file written by torch.save)"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\x93NUMPY", "a numpy array (.npy)"),
    (b"\x1f\x8b", "a gzip file"),
    (b"\x80", "a Python pickle, perhaps of an old torch.save"),
    (b"model_checkpoint_path", "TensorFlow's list of checkpoints; give the name of one, or the folder"),
    (b"{", "a JSON text; model_from_json reads an architecture without weights"),
    (b"<", "a web page or XML text; perhaps a download went wrong"),
    (b"version https://git-lfs", "a Git LFS pointer; fetch the file itself with `git lfs pull`"),
)


def check_file(path: PathLike) -> str:
    """`path` as text, once it is known to be a regular file that may be read.

    Raises:
        MissingFileError: nothing is there.
        FolderError: it is a folder; for a SavedModel, the message says how to turn it into `.h5`.
        NoPermissionError: it may not be read.
        FileError: it is a device or a pipe.
        DamagedFileError: it is a part of a TensorFlow checkpoint; the message says how to turn that into `.h5`.
    """
    text = os.fspath(path)
    try:
        state = os.stat(text)
    except PermissionError:
        raise NoPermissionError(f"No permission to read {text!r}.") from None
    except (OSError, ValueError) as error:
        raise MissingFileError(_missing(text, error)) from None
    if stat.S_ISDIR(state.st_mode):
        raise FolderError(_folder(text))
    if not stat.S_ISREG(state.st_mode):
        raise FileError(f"{text!r} is a device or a pipe, not a regular file.")
    if not os.access(text, os.R_OK, effective_ids=os.access in os.supports_effective_ids):
        raise NoPermissionError(f"No permission to read {text!r}.")
    part = _PART.fullmatch(text)
    if part is not None and os.path.exists(part[1] + ".index"):
        raise DamagedFileError(f"{text!r} is a part of a TensorFlow checkpoint. " + _CHECKPOINT.format(path=part[1]))
    return text


def kind_of(start: bytes) -> str:
    """What a file is, in words, from its first bytes; an empty text where that is not known."""
    return next((words for beginning, words in _BEGINNINGS if start.startswith(beginning)), "")


def wrong_kind(name: str, wanted: str, magic: bytes, start: bytes, size: int, reason: str = "") -> DamagedFileError:
    """The error for a file that is not of the kind wanted.

    Args:
        name: The file.
        wanted: The kind, such as "an HDF5 file".
        magic: How files of that kind begin.
        start: The file's first bytes.
        size: Its length in bytes.
        reason: What the reader said.
    """
    found = kind_of(start)
    if size == 0:
        what = "the file is empty"
    elif start.startswith(magic):
        what = f"the file is cut short or damaged ({size:,} bytes long)"
    elif found:
        what = f"it looks like {found}"
    else:
        what = f"it begins with {start[:8]!r}"
    return DamagedFileError(f"{name} cannot be read as {wanted}: {what}." + (f" ({reason})" if reason else ""))


def _missing(text: str, error: Exception) -> str:
    if os.path.exists(text + ".index"):
        return f"{text!r} is a TensorFlow checkpoint. " + _CHECKPOINT.format(path=text)
    folder = Path(text).parent if "\0" not in text else Path(".")
    if not folder.is_dir():
        return f"There is no file {text!r}: the folder {str(folder)!r} does not exist."
    return f"There is no file {text!r}" + ("." if isinstance(error, FileNotFoundError) else f" ({error}).")


def _folder(text: str) -> str:
    if os.path.exists(os.path.join(text, "saved_model.pb")) or os.path.exists(os.path.join(text, "saved_model.pbtxt")):
        return f"{text!r} is a TensorFlow SavedModel folder. " + _CONVERT.format(path=text)
    parts = sorted(Path(text).glob("*.index"), key=lambda part: part.stat().st_mtime)
    if parts:
        return f"{text!r} is a folder of TensorFlow checkpoints. " + _CHECKPOINT.format(path=str(parts[-1].with_suffix("")))
    return f"{text!r} is a folder. Give the file in it."
