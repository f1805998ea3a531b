"""Which Keras release a program was written for, told by its imports and spellings."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final, NamedTuple

from torchkeras.layers.legacy_table import TABLE
from torchkeras.models.keras1 import WORDS

KERAS1_CLASSES: Final = frozenset(
    {"Merge", "merge", "MaxoutDense", "Highway", "TimeDistributedDense", "ParametricSoftplus", "SReLU", "AtrousConvolution1D"}
    | {"AtrousConvolution2D", "Deconvolution2D"}
)
KERAS1_MODULES: Final = frozenset({"keras.objectives", "keras.initializations", "keras.utils.visualize_util", "keras.engine.topology"})
METHOD_WORDS: Final = frozenset(word for words in WORDS.values() for word in words) | {"show_accuracy"}
CONVOLUTIONS: Final = frozenset({"Convolution2D", "Conv2D", "Convolution3D", "Conv3D", "SeparableConvolution2D", "Deconvolution2D"})


class Found(NamedTuple):
    """The release, and what told it.

    Args:
        version: "1.2.2", "2.2.4", "2.4.0", or `None` where nothing imports Keras.
        why: A few words, with the line.
    """

    version: str | None
    why: str


def detect(source: str) -> Found:
    """The release that a program was written for.

    Args:
        source: The program's text.

    Raises:
        SyntaxError: it is no Python.
    """
    tree = ast.parse(source)
    modules = dict(_imports(tree))
    tensorflow = next((name for name in modules if name.partition(".")[0] == "tensorflow"), None)
    keras = next((name for name in modules if name.partition(".")[0] == "keras"), None)
    if tensorflow is not None and keras is None:
        return Found("2.4.0", f"it imports {tensorflow} in line {modules[tensorflow]}")
    if keras is None:
        return Found(None, "it imports no Keras")
    word = next(_keras1_words(tree, modules), None)
    if word is not None:
        return Found("1.2.2", word)
    return Found("2.2.4", f"it imports {keras} in line {modules[keras]}, and has no words of Keras 1")


def _imports(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module, node.lineno


def _keras1_words(tree: ast.Module, modules: dict[str, int]) -> Iterator[str]:
    for name in modules:
        if name in KERAS1_MODULES - {"keras.objectives", "keras.engine.topology"}:
            yield f"{name} in line {modules[name]}"
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("keras"):
            for alias in node.names:
                if alias.name in KERAS1_CLASSES or f"{node.module}.{alias.name}" in KERAS1_MODULES - {"keras.objectives"}:
                    yield f"{alias.name} in line {node.lineno}"
        elif isinstance(node, ast.Call):
            yield from _words_of_call(node)


def _words_of_call(node: ast.Call) -> Iterator[str]:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    words = METHOD_WORDS | former_words(name)
    for keyword in node.keywords:
        if keyword.arg in words:
            yield f"{keyword.arg} in line {node.lineno}"
    sides = node.args[1:3]
    if name in CONVOLUTIONS and len(sides) == 2 and all(isinstance(one, ast.Constant) and isinstance(one.value, int) for one in sides):
        yield f"{name}(n, rows, columns) in line {node.lineno}"


def former_words(name: str) -> frozenset[str]:
    """The words that only Keras 1 has, for a class by any of its names."""
    from_table = {"Convolution1D": "Conv1D", "Convolution2D": "Conv2D", "Convolution3D": "Conv3D", "SeparableConvolution2D": "SeparableConv2D"}
    spelling = TABLE.get(from_table.get(name, "Network" if name == "Model" else name))
    if spelling is None:
        return frozenset()
    # these have a meaning later, too
    return spelling.old - {"input_length", "dropout", "mode", "input_dtype", "transform_bias"}
