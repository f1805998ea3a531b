"""Files that attack whoever reads them, made by hand: every way in which an HDF5 file can ask for more than its own numbers."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

SECRET = np.array([4.0, 8.0, 15.0, 16.0], np.float32)


def good(path: Path) -> h5py.File:
    """A sound weights-only file with one layer, open for changes."""
    file = h5py.File(path, "w")
    file.attrs["layer_names"] = np.array([b"dense"])
    file.create_group("dense").attrs["weight_names"] = np.array([b"dense/kernel:0"])
    file["dense/dense/kernel:0"] = np.zeros(4, np.float32)
    return file


def secret_file(folder: Path) -> Path:
    """Another file of the user, which no model file may read: a sound weights file, and raw numbers behind it."""
    path = folder / "secret.h5"
    with good(path) as file:
        file["dense/dense/kernel:0"][...] = SECRET
    SECRET.tofile(folder / "secret.bin")
    return path


def _link(place: str, kind: str) -> Callable[[Path], None]:
    """A link of `kind` ("soft" or "external") in place of the object at `place`."""

    def make(path: Path) -> None:
        secret_file(path.parent)
        with good(path) as file:
            if kind == "soft":
                file.move(place, "elsewhere")
                file[place] = h5py.SoftLink("/elsewhere")
            else:
                del file[place]
                file[place] = h5py.ExternalLink("secret.h5", f"/{place}")

    return make


def model_weights_link(kind: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        secret_file(path.parent)
        with h5py.File(path, "w") as file:
            if kind == "soft":
                file["model_weights"] = h5py.SoftLink("/elsewhere")
                file.create_group("elsewhere")
            else:
                file["model_weights"] = h5py.ExternalLink("secret.h5", "/")

    return make


def external_storage(path: Path) -> None:
    secret_file(path.parent)
    with good(path) as file:
        del file["dense/dense/kernel:0"]
        file["dense/dense"].create_dataset("kernel:0", shape=(4,), dtype="f4", external=[(str(path.parent / "secret.bin"), 0, 16)])


def virtual_array(path: Path) -> None:
    secret = secret_file(path.parent)
    layout = h5py.VirtualLayout(shape=(4,), dtype="f4")
    layout[:] = h5py.VirtualSource(str(secret), "dense/dense/kernel:0", shape=(4,))
    with good(path) as file:
        del file["dense/dense/kernel:0"]
        file["dense/dense"].create_virtual_dataset("kernel:0", layout)


def virtual_array_of_itself(path: Path) -> None:
    layout = h5py.VirtualLayout(shape=(4,), dtype="f4")
    layout[:] = h5py.VirtualSource(".", "elsewhere", shape=(4,))
    with good(path) as file:
        file.move("dense/dense/kernel:0", "elsewhere")
        file["dense/dense"].create_virtual_dataset("kernel:0", layout)


def _kernel(**arguments: object) -> Callable[[Path], None]:
    """Another array in place of the kernel."""

    def make(path: Path) -> None:
        with good(path) as file:
            del file["dense/dense/kernel:0"]
            file["dense/dense"].create_dataset("kernel:0", **arguments)

    return make


def bomb_in_a_chunk(path: Path) -> None:
    """A chunk of 4 KiB whose packed bytes unpack to 64 MiB."""
    with good(path) as file:
        del file["dense/dense/kernel:0"]
        array = file["dense/dense"].create_dataset("kernel:0", shape=(1024,), dtype="f4", chunks=(1024,), compression="gzip")
        packer = zlib.compressobj(9)
        packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(64)) + packer.flush()
        array.id.write_direct_chunk((0,), packed)


def committed_type(path: Path) -> None:
    with good(path) as file:
        del file["dense/dense/kernel:0"]
        file["dense/dense/kernel:0"] = np.dtype("f4")


def layer_names(*names: bytes) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        with good(path) as file:
            file.attrs["layer_names"] = np.array(names)

    return make


def weight_names(*names: bytes) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        with good(path) as file:
            file["dense"].attrs["weight_names"] = np.array(names)

    return make


def shared_long_text(path: Path) -> None:
    """20,000 names that all lead to one text of 1 MiB: 20 GiB once they are read."""
    count, size = 20_000, 1 << 20
    with h5py.File(path, "w", libver="latest") as file:
        file.attrs["long"] = "n" * size
        file.attrs.create("layer_names", ["x" * 30] * count, dtype=h5py.string_dtype())
    data = bytearray(path.read_bytes())
    texts = list(_stored_texts(data))
    long = next(reference for reference, length in texts if length == size)
    first = next(reference for reference, length in texts if length == 30)
    # the names lie side by side as (length, address, index); all of them shall lead to the long text
    place = data.find(struct.pack("<I", 30) + first)
    data[place : place + 16 * count] = (struct.pack("<I", size) + long) * count
    path.write_bytes(data)


def text_of_a_wrong_length(path: Path) -> None:
    """A reference that declares 2 GiB for a text of 25 bytes: HDF5 takes that much memory before it looks."""
    with good(path) as file:
        file.attrs["backend"] = "a text of twenty-five byte"
    data = bytearray(path.read_bytes())
    reference = next(reference for reference, length in _stored_texts(data) if length == 26)
    place = data.find(struct.pack("<I", 26) + reference)
    data[place : place + 4] = struct.pack("<I", 1 << 31)
    path.write_bytes(data)


def collection_without_end(path: Path) -> None:
    """A stored text whose length, rounded up, comes to zero: HDF5 looks for the next one at the same place, for ever."""
    with good(path) as file:
        file.attrs["backend"] = "tensorflow"
    data = bytearray(path.read_bytes())
    place = data.find(b"GCOL") + 16
    struct.pack_into("<Q", data, place + 8, (1 << 64) - 16)
    path.write_bytes(data)


def _stored_texts(data: bytearray) -> list[tuple[bytes, int]]:
    found = []
    start = data.find(b"GCOL")
    while start >= 0:
        end = start + struct.unpack_from("<Q", data, start + 8)[0]
        place = start + 16
        while place + 16 <= end:
            index, size = struct.unpack_from("<H6xQ", data, place)
            if index == 0:
                break
            found.append((struct.pack("<QI", start, index), size))
            place += 16 + (size + 7) // 8 * 8
        start = data.find(b"GCOL", start + 4)
    return found


RECORD = np.dtype([("a", "f4"), ("b", "f4")])

# name -> (how it is made, what the refusal says)
FILES: dict[str, tuple[Callable[[Path], None], str]] = {
    **{
        f"{kind} link as {what}": (_link(place, kind), f"/{place} is an? {kind} link")
        for kind in ("soft", "external")
        for what, place in (("layer", "dense"), ("group in a path", "dense/dense"), ("array", "dense/dense/kernel:0"))
    },
    "soft link as the weights group": (model_weights_link("soft"), "/model_weights is a soft link"),
    "external link as the weights group": (model_weights_link("external"), "/model_weights is an external link, which leads to another file"),
    "external storage": (external_storage, r"has external storage: its numbers lie in the file .*secret\.bin"),
    "virtual array of another file": (virtual_array, "is a virtual array"),
    "virtual array of the same file": (virtual_array_of_itself, "is a virtual array"),
    "huge packed shape": (
        _kernel(shape=(2**50,), dtype="f4", chunks=(1024,), compression="gzip"),
        r"declares the shape \(1125899906842624,\).*array_bytes",
    ),
    "huge empty shape": (_kernel(shape=(2**31,), dtype="f4"), r"declares the shape \(2147483648,\), 8 GiB, but the file stores 0 bytes"),
    "huge chunks": (_kernel(shape=(4,), maxshape=(None,), dtype="f4", chunks=(2**28,), compression="gzip"), "in chunks of 1 GiB each"),
    "many chunks": (_kernel(shape=(2**20,), dtype="f4", chunks=(1,)), "in 1,048,576 chunks"),
    "bomb in a chunk": (bomb_in_a_chunk, "unpacks to more than its declared shape"),
    "another filter": (_kernel(data=np.zeros(100), compression="lzf"), "packed by filter 32000.*h5repack"),
    "records": (_kernel(data=np.zeros(4, RECORD)), "holds no plain numbers, but Compound"),
    "texts": (_kernel(data=[b"a", b"b"]), "holds no plain numbers, but String"),
    "texts of any length": (_kernel(data=["a", "b"], dtype=h5py.string_dtype()), "holds no plain numbers, but String"),
    "complex numbers": (_kernel(data=np.zeros(4, np.complex64)), "holds no plain numbers"),
    "arrays of any length": (_kernel(shape=(4,), dtype=h5py.vlen_dtype(np.float32)), "holds no plain numbers, but Vlen"),
    "references": (_kernel(shape=(4,), dtype=h5py.ref_dtype), "holds no plain numbers, but Reference"),
    "opaque bytes": (_kernel(data=np.zeros(4, "V2")), "holds no plain numbers, but Opaque"),
    "no shape": (_kernel(data=h5py.Empty("f4")), "is declared without a shape"),
    "a type in place of an array": (committed_type, "is neither a group nor an array"),
    "a group in place of an array": (weight_names(b"dense"), "is a group, but an array is needed"),
    "an array in place of a layer": (layer_names(b"dense/dense/kernel:0"), "is an array, but a group is needed"),
    "a layer's name from the root": (layer_names(b"/dense"), "starts with '/', so it would lead out of its group"),
    "a weight's name from the root": (weight_names(b"/dense/dense/kernel:0"), "starts with '/', so it would lead out of its group"),
    "a layer's name that climbs": (layer_names(b"../../etc/passwd"), r"nothing is called '\.\./\.\./etc/passwd' in /"),
    "a weight's name that climbs": (weight_names(b"../../dense"), r"nothing is called '\.\./\.\./dense' in /dense"),
    "a name of nothing": (layer_names(b"."), r"'\.' names nothing"),
    "a name without end": (layer_names(b"/".join([b"a"] * 500)), "has 500 parts"),
    "a missing layer": (layer_names(b"dense", b"dense_1"), "nothing is called 'dense_1' in /. Its members are: dense"),
    "a name that is no text": (layer_names(b"\xff\xfe"), "'layer_names' of / is not text in UTF-8"),
    "one long text many times": (shared_long_text, r"'layer_names' of / takes 19\.5. GiB, more than the limit attribute_bytes"),
    "a text of a wrong length": (text_of_a_wrong_length, "attribute 'backend' of / is damaged: it refers to a text of 2,147,483,648 bytes"),
    "stored texts without end": (collection_without_end, "the text stored at byte .* would be 18,446,744,073,709,551,600 bytes long"),
}
