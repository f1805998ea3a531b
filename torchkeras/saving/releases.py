"""Which Keras release a file or a model follows."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

from torchkeras import generations
from torchkeras.saving.errors import ContentError


def release_of(version: str, who: str) -> str:
    """The release among `generations.VERSIONS` (or Keras 3) whose defaults and meanings a file of some Keras version has.

    Args:
        version: What the file says, such as "2.2.4-tf"; "1" where it says nothing.
        who: The file, for messages.

    Raises:
        ContentError: no version, or one of the future.
    """
    found = re.match(r"(\d+)(?:\.(\d+))?", version)
    if found is None:
        raise ContentError(f"{who} says that it was written by Keras {version!r:.60}, which is no version.")
    major, minor = int(found[1]), int(found[2] or 0)
    if major > 3:
        raise ContentError(
            f"{who} was written by Keras {version[:60]}, which is newer than this library knows. Save it in the form of Keras 3 or older."
        )
    if major <= 1:
        return "1.2.2"
    # the Keras inside of TensorFlow 1.13 to 2.2 calls itself 2.2.4-tf or 2.3.0-tf
    if major == 3:
        return generations.KERAS3
    return "2.4.0" if minor >= 4 or "tf" in version else "2.2.4"


@contextlib.contextmanager
def following(version: str, who: str) -> Iterator[None]:
    """Inside the `with` block new objects have the defaults and meanings of the Keras that wrote a file.

    Args:
        version: What the file says.
        who: The file, for messages.

    Raises:
        ContentError: as `release_of`.
    """
    with generations.using_keras_version(release_of(version, who)):
        yield


def release_of_model(model: Any) -> str:
    """The release that a model was made in."""
    return model.__dict__.get("_release") or generations.release()


def form_of(release: str) -> str:
    """The release in whose form a model of a release is written: `.h5` has none of Keras 1, since Keras 2 reads its own, nor of Keras 3."""
    return {"1.2.2": "2.2.4", generations.KERAS3: "2.4.0"}.get(release, release)


# Beside `keras_version` in files, where that is not the release of the model but only of the form.
OWN_RELEASE = "torchkeras_release"
