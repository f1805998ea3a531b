"""The table of layers in docs/layers.md: what each Keras release has, what is here, which arguments, which golden cases pass.

`python -m tests.layer_table` runs every golden case and writes the page; the test of the same name holds it to the code.
`tests/api/layers.json` has the public names of `keras.layers` in four releases with their signatures.
"""

from __future__ import annotations

import inspect
import json
import warnings
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torchkeras.layers
from tests.golden_cases import golden
from tests.layers.golden_layer import check_golden_layer
from torchkeras.absent import Absent
from torchkeras.generations import using_keras_version
from torchkeras.layers.base import _BASE_ARGUMENTS
from torchkeras.layers.legacy_table import TABLE

PAGE = Path(__file__).parent.parent / "docs" / "layers.md"
API = json.loads((Path(__file__).parent / "api" / "layers.json").read_text())
RELEASES = {"1.2.2": "Keras 1.2.2", "2.2.4": "Keras 2.2.4", "2.4.0": "tf.keras 2.4.0", "3.15.1": "Keras 3.15.1"}
STABLE = ("2.2.4", "2.4.0")  # the releases that are to be here in full
BASE = {*_BASE_ARGUMENTS, "name", "dtype", "trainable", "dynamic", "batch_shape"}

# Names of the stable releases that are not here, and why.
LEFT_OUT = {
    "DenseFeatures": "takes feature columns, objects of TensorFlow that have no meaning without it",
}

# Bases of Keras 1 for layers of one's own: their arguments are those of the layers that derive from them.
BASES = {"ConvRecurrent2D", "Recurrent"}


def find(name: str) -> Any:
    """The class or function that torchkeras has under a name of `keras.layers`, or `None`."""
    found: Any = torchkeras.layers
    for part in name.split("."):
        found = getattr(found, part, None)
    return None if inspect.ismodule(found) or isinstance(found, Absent) else found


def arguments(signature: str) -> list[str]:
    """Names of the arguments in a signature's text, without those that take all the rest."""
    names, depth, start = [], 0, 1
    for place, letter in enumerate(signature):
        depth += (letter in "([{") - (letter in ")]}")
        if (letter == "," and depth == 1) or (letter == ")" and depth == 0):
            name = signature[start:place].strip().partition("=")[0]
            names += [name] if name and not name.startswith(("*", "/")) else []
            start = place + 1
    return names


def taken(thing: Any) -> set[str]:
    """Names of the arguments that a layer or function of ours takes."""
    own: set[str] = set()
    for cls in inspect.getmro(thing) if inspect.isclass(thing) else [thing]:
        if cls in (object,):
            break
        function = cls.__init__ if inspect.isclass(cls) else cls
        parameters = inspect.signature(function).parameters.values()
        own |= {parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD}
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            break
    if inspect.isclass(thing) and thing.__module__.startswith("torchkeras.layers.keras1") and thing.__name__ in TABLE:
        own |= set(TABLE[thing.__name__].positions) | TABLE[thing.__name__].old  # Keras 2.2.4 kept Keras 1's words for these
    return own | (BASE if inspect.isclass(thing) else set())


def cell(name: str, release: str) -> str:
    """What the table says of a name in a release."""
    if name not in API[release]:
        return ""
    thing = find(name)
    if thing is None:
        return "no"
    if release == "1.2.2":  # its spellings are translated by a table of their own
        return "yes"
    missing = [argument for argument in arguments(API[release][name]) if argument not in taken(thing) and name not in BASES]
    return f"without {', '.join(f'`{argument}`' for argument in missing)}" if missing else "yes"


def recorded() -> Counter[str]:
    """Number of golden cases of each class in the two releases."""
    return Counter(case["class"] for case in golden("layer"))


def run_cases() -> Counter[str]:
    """Number of golden cases of each class that pass."""
    passed: Counter[str] = Counter()
    for case in golden("layer"):
        with using_keras_version(case.version), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                check_golden_layer(case)
            except Exception as error:
                print(f"{case}: {type(error).__name__}: {error}")
            else:
                passed[case["class"]] += 1
    return passed


def missing(release: str) -> list[str]:
    """Stable names of a release that are not here."""
    return [name for name in API[release] if not name.startswith("experimental.") and find(name) is None]


def render(passed: Mapping[str, int]) -> str:
    """The page."""
    names = sorted({name for release in API.values() for name in release}, key=lambda name: (name.startswith("experimental."), name.lower(), name))
    cases = recorded()
    rows = []
    for name in names:
        cells = [cell(name, release) for release in RELEASES]
        if all(text in ("", "no") for text in cells) and not any(name in API[release] for release in STABLE):
            continue
        rows.append(f"| `{name}` | {' | '.join(cells)} | {f'{passed.get(name, 0)} of {cases[name]}' if cases[name] else ''} |")
    here = {release: [name for name in API[release] if not name.startswith("experimental.")] for release in RELEASES}
    summary = [f"- {RELEASES[release]}: {len(here[release]) - len(missing(release))} of {len(here[release])} public names" for release in RELEASES]
    left = sorted({name for release in STABLE for name in missing(release)})
    elsewhere = [name for release in ("1.2.2", "3.15.1") for name in missing(release) if name not in LEFT_OUT]
    return "\n".join(
        [
            "# Layers: what is here",
            "",
            "Written by `python -m tests.layer_table` from the public names of four Keras releases; a test holds it to the code.",
            'A release\'s column: "yes": here, with every argument of that release; "without ...": these arguments are not taken; "no": not here;',
            "empty: that release has no such name. Keras 1 spellings of arguments are translated by a table of their own.",
            "The last column: golden cases of Keras 2.2.4 and tf.keras 2.4.0 that pass (outputs, gradients, masks, losses, config, weights).",
            "",
            *summary,
            f"- golden cases: {sum(passed.values())} of {sum(cases.values())} pass",
            "",
            f"| name | {' | '.join(RELEASES.values())} | golden cases |",
            f"|{' --- |' * (len(RELEASES) + 2)}",
            *rows,
            "",
            "## Not here",
            "",
            *[f"- `{name}`: {LEFT_OUT[name]}" for name in left],
            f"- only in Keras 1.2.2 or Keras 3: {', '.join(f'`{name}`' for name in dict.fromkeys(elsewhere))}",
            "",
        ]
    )


def main() -> None:
    """Run the golden cases and write the page."""
    PAGE.write_text(render(run_cases()))


if __name__ == "__main__":
    main()
