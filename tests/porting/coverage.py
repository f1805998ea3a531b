"""Which public names of each Keras release are here: `python -m tests.porting.coverage` writes docs/coverage.md."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any, NamedTuple

from torchkeras import set_keras_version
from torchkeras.absent import Absent
from torchkeras.porting import install_as_keras, uninstall_as_keras

ROOT = Path(__file__).parent.parent.parent
NAMES = ROOT / "tests" / "api"
PAGE = ROOT / "docs" / "coverage.md"
RELEASES = {"1.2.2": "Keras 1.2.2", "2.2.4": "Keras 2.2.4", "2.4.0": "tf.keras 2.4.0"}
HEAD = """# Names of Keras

Every public name of three releases, as Keras itself lists them: there, or refused with a reason. No name is missing. A refused name can be
imported, so that a program that takes it in passing still starts; what it says when it is used is below each table. This page is made by
`python -m tests.porting.coverage`, and a test holds it.
"""


class Names(NamedTuple):
    """What a module of a release offers: names that are here, those refused with the reason, those missing."""

    there: list[str]
    refused: dict[str, str]
    missing: list[str]


def names_of(version: str) -> dict[str, Names]:
    """Each documented module of a release, with its names by what became of them."""
    set_keras_version(version)
    install_as_keras()
    package = "tensorflow.keras" if version == "2.4.0" else "keras"
    try:
        wanted = json.loads((NAMES / f"names-{version}.json").read_text())
        return {path: _module_names(package if path == "keras" else f"{package}.{path}", names) for path, names in wanted.items()}
    finally:
        uninstall_as_keras()


def _module_names(module: str, names: list[str]) -> Names:
    try:
        place: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        _, found, reason = str(error).partition(" is not in torchkeras: ")
        return Names([], dict.fromkeys(names, reason.rstrip(".")), []) if found else Names([], {}, names)
    values = {name: getattr(place, name, None) for name in names if hasattr(place, name)}
    reasons = {name: value.reason for name, value in values.items() if isinstance(value, Absent)}
    return Names([name for name in values if name not in reasons], reasons, [name for name in names if name not in values])


def page() -> str:
    """The text of docs/coverage.md."""
    parts = [HEAD]
    for version, title in RELEASES.items():
        modules = names_of(version)
        there, refusals = sum(len(one.there) for one in modules.values()), sum(len(one.refused) for one in modules.values())
        parts.append(f"\n## {title}: {there} there, {refusals} refused\n| module | there | refused |\n| --- | --- | --- |\n")
        for path, found in sorted(modules.items()):
            parts.append(f"| `{path}` | {len(found.there)} | {', '.join(f'`{name}`' for name in sorted(found.refused)) or '-'} |\n")
        reasons: dict[str, set[str]] = {}
        for found in modules.values():
            for name, reason in found.refused.items():
                reasons.setdefault(reason, set()).add(name)
        parts.append("\n")
        parts += [f"- {', '.join(f'`{name}`' for name in sorted(names))}: {reason}.\n" for reason, names in sorted(reasons.items())]
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page())
