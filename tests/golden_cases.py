"""Read the cases recorded from genuine Keras releases (`tests/golden/README.md` describes them)."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np

GOLDEN = Path(__file__).parent / "golden"
FOLDERS = {"1.2.2": "keras-1.2.2", "2.2.4": "keras-2.2.4", "2.4.0": "tf.keras-2.4.0", "3.15.1": "keras-3.15.1"}


@functools.cache
def manifest(version: str) -> dict[str, Any]:
    return json.loads((GOLDEN / FOLDERS[version] / "manifest.json").read_text())


@functools.cache
def _arrays(version: str, file: str) -> Any:
    return np.load(GOLDEN / FOLDERS[version] / file)


class Case:
    """One recorded case: its fields as attributes of `info`, its arrays by key."""

    def __init__(self, version: str, info: dict[str, Any]) -> None:
        self.version = version
        self.info = info

    def __repr__(self) -> str:
        return f"{self.version}-{self.info['id']}"

    def __getitem__(self, field: str) -> Any:
        return self.info[field]

    def get(self, field: str, default: Any = None) -> Any:
        return self.info.get(field, default)

    @property
    def folder(self) -> Path:
        return GOLDEN / FOLDERS[self.version]

    def array(self, key: str | None) -> Any:
        """The array of a key; `None` for none."""
        return None if key is None else _arrays(self.version, self.info["file"])[key]

    def arrays(self, field: str) -> list[Any]:
        """The arrays that a field lists."""
        return [self.array(key) for key in self.info.get(field) or []]

    def text(self, field: str) -> str:
        return (self.folder / self.info[field]).read_bytes().decode()


def golden(kind: str, *classes: str, versions: tuple[str, ...] = ("2.2.4", "2.4.0")) -> list[Case]:
    """The cases of a kind, of some classes or of all.

    Use as `@pytest.mark.parametrize("case", golden("layer", "Dense"), ids=str)`.
    """
    return [
        Case(version, info)
        for version in versions
        for info in manifest(version)["cases"]
        if info["kind"] == kind and (not classes or info["class"] in classes)
    ]
