"""The codemod: a Keras program's imports and Keras 1 spellings in today's form, with comments and layout kept.

Needs libcst: `pip install torchkeras-native[port]`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from torchkeras.layers.legacy_table import CLASSES, TABLE, Spelling
from torchkeras.models.keras1 import SAMPLES, WORDS
from torchkeras.porting.detect import KERAS1_CLASSES, detect
from torchkeras.porting.modules import MOVED, PLAINER, VIRTUAL
from torchkeras.porting.rewrite_batches import batches_codemod
from torchkeras.porting.rewrite_tensorflow import tensorflow_codemod, tensorflow_uses
from torchkeras.porting.rewrite_tf2 import tf2_codemod

PACKAGES: Final = {"torchkeras": "torchkeras", "tf2": "tensorflow.keras"}
FORMER: Final = ("tensorflow.python.keras", "tensorflow.keras", "keras")
FORMATS: Final = {"th": "channels_first", "tf": "channels_last"}
UNITS: Final = {"cpu": "0", "mem": "1", "gpu": "2"}


class Note(NamedTuple):
    """One line of the report."""

    line: int
    text: str
    done: bool


class Ported(NamedTuple):
    """A rewritten program and what there is to say of it."""

    source: str
    notes: list[Note]


def port_source(source: str, target: str = "torchkeras") -> Ported:
    """A program in today's form.

    Args:
        source: The program's text.
        target: "torchkeras", or "tf2" for tensorflow.keras.

    Raises:
        SyntaxError: it is no Python.
        ImportError: libcst is not installed.
        ValueError: an unknown target.
    """
    if target not in PACKAGES:
        raise ValueError(f"target must be one of {sorted(PACKAGES)}, but got {target!r}.")
    found = detect(source)
    try:
        import libcst as cst
        import libcst.metadata as metadata
    except ImportError as error:
        raise ImportError("The port command needs libcst: pip install 'torchkeras-native[port]'.") from error
    wrapper = metadata.MetadataWrapper(cst.parse_module(source))
    codemod = _codemod(cst)(PACKAGES[target])
    changed = _second_pass(cst, metadata, wrapper.visit(codemod), codemod, target)
    if target == "torchkeras":
        changed = _without_tensorflow(cst, metadata, changed, codemod)
    if target == "torchkeras" and found.version is not None and codemod.imported:
        changed = _with_release(cst, changed, found.version)
        codemod.notes.append(Note(1, f"added torchkeras.set_keras_version({found.version!r}): {found.why}", True))
    return Ported(changed.code, sorted(codemod.notes))


def _second_pass(cst: Any, metadata: Any, module: Any, codemod: Any, target: str) -> Any:
    """Batches for samples, and for tf.keras what Keras 1 had; the first pass left every line where it was, so that the report's numbers hold."""
    wrapper = metadata.MetadataWrapper(module, unsafe_skip_copy=True)
    positions = wrapper.resolve(metadata.PositionProvider)

    def note(node: Any, text: str, done: bool) -> None:
        codemod.notes.append(Note(positions[node].start.line, text, done))

    def counted(node: Any, name: str, word: str, now: str) -> None:
        line = positions[node].start.line
        codemod.notes[:] = [one for one in codemod.notes if one.line != line or f"{name}: {word} counts samples" not in one.text]
        note(node, f"{name}: {word} -> {now}, divided by the batch size", True)

    module = wrapper.module.visit(batches_codemod(cst, wrapper.module, counted))
    if target == "tf2":
        wrapper = metadata.MetadataWrapper(module, unsafe_skip_copy=True)
        positions = wrapper.resolve(metadata.PositionProvider)
        module = wrapper.module.visit(tf2_codemod(cst, wrapper.module, note))
    return module


def _without_tensorflow(cst: Any, metadata: Any, module: Any, codemod: Any) -> Any:
    """`tf.keras` as torchkeras; the first pass left every line where it was, so that the report's numbers hold."""
    alias, others = tensorflow_uses(cst, module)
    wrapper = metadata.MetadataWrapper(module, unsafe_skip_copy=True)
    positions = wrapper.resolve(metadata.PositionProvider)

    def note(node: Any, text: str, done: bool) -> None:
        codemod.notes.append(Note(positions[node].start.line, text, done))

    rewrite = tensorflow_codemod(cst, alias, others, note)
    changed = wrapper.module.visit(rewrite)
    codemod.imported = codemod.imported or rewrite.changed
    return changed


def _with_release(cst: Any, module: Any, version: str) -> Any:
    """The choice of the release, before the first statement that is neither the docstring nor a __future__ import."""
    place = 0
    for number, statement in enumerate(module.body):
        inner = statement.body[0] if isinstance(statement, cst.SimpleStatementLine) else None
        text = isinstance(inner, cst.Expr) and isinstance(inner.value, (cst.SimpleString, cst.ConcatenatedString))
        future = isinstance(inner, cst.ImportFrom) and getattr(inner.module, "value", "") == "__future__"
        if (text and number == 0) or future:
            place = number + 1
    lines = cst.parse_module(f'import torchkeras\n\ntorchkeras.set_keras_version("{version}")\n').body
    body = [*module.body]
    if place:
        lines = [lines[0].with_changes(leading_lines=[cst.EmptyLine(indent=False)]), *lines[1:]]
    return module.with_changes(body=[*body[:place], *lines, *body[place:]])


def new_module(path: str, names: list[str], package: str) -> str | None:
    """The module that names of a module of Keras come from now, or `None` where they come from several."""
    former = next((prefix for prefix in FORMER if path == prefix or path.startswith(prefix + ".")), None)
    if former is None:
        return path
    below = path[len(former) :].lstrip(".")
    if package != "torchkeras":
        return f"{package}.{_public(below, names)}".rstrip(".")
    if below in VIRTUAL:
        places = {VIRTUAL[below].get(name, "?:").split(":")[0] for name in names}
        return f"{package}.{places.pop()}" if len(places) == 1 and "?" not in places else None
    if (names and below.partition(".")[0] in ("engine", "legacy")) or (below.startswith("layers.") and set(names) & {*PLAINER["layers"]}):
        for room, plain in PLAINER.items():
            if set(names) <= {*plain}:
                return f"{package}.{room}"
    return f"{package}.{MOVED.get(below, below)}".rstrip(".")


def _public(below: str, names: list[str]) -> str:
    """The path below tf.keras that shows names of a module of Keras to users."""
    first = below.partition(".")[0]
    if first in ("engine", "legacy"):
        return next((room for room, plain in PLAINER.items() if set(names) <= {*plain}), "layers")
    if first == "layers" and not below.startswith("layers.experimental"):
        return "layers"
    if first == "utils":
        return "utils"
    return {"objectives": "losses", "initializations": "initializers", "backend.tensorflow_backend": "backend"}.get(below, below)


def _codemod(cst: Any) -> Callable[[str], Any]:
    """The transformer's class; libcst is imported only when it is needed."""

    def dotted(node: Any) -> str:
        if isinstance(node, cst.Name):
            return node.value
        return f"{dotted(node.value)}.{node.attr.value}" if isinstance(node, cst.Attribute) else ""

    def expression(name: str) -> Any:
        return cst.parse_expression(name)

    class Codemod(cst.CSTTransformer):  # type: ignore[name-defined]
        METADATA_DEPENDENCIES = (cst.metadata.PositionProvider,)

        def __init__(self, package: str) -> None:
            super().__init__()
            self.package = package
            self.notes: list[Note] = []
            self.imported = False

        def note(self, node: Any, text: str, done: bool = True) -> None:
            self.notes.append(Note(self.get_metadata(cst.metadata.PositionProvider, node).start.line, text, done))

        def leave_Import(self, original_node: Any, updated_node: Any) -> Any:
            names = []
            for alias in updated_node.names:
                path = dotted(alias.name)
                now = new_module(path, [], self.package)
                if now is None or now == path:
                    names.append(alias)
                    continue
                self.imported = True
                if alias.asname is None and "." in path:
                    self.note(original_node, f"import {path}: left as it is; write `import {now}` and change its uses", False)
                    names.append(alias)
                    continue
                self.note(original_node, f"import {path} -> import {now}")
                asname = alias.asname or cst.AsName(
                    cst.Name(path), whitespace_before_as=cst.SimpleWhitespace(" "), whitespace_after_as=cst.SimpleWhitespace(" ")
                )
                names.append(alias.with_changes(name=expression(now), asname=asname))
            return updated_node.with_changes(names=names)

        def leave_ImportFrom(self, original_node: Any, updated_node: Any) -> Any:
            if updated_node.relative or updated_node.module is None:
                return updated_node
            path = dotted(updated_node.module)
            star = isinstance(updated_node.names, cst.ImportStar)
            names = [] if star else [alias.name.value for alias in updated_node.names]
            now = new_module(path, names, self.package)
            if now == path:
                return updated_node
            if now is None:
                self.note(original_node, f"from {path} import {', '.join(names)}: these live in several places now; import each from its own", False)
                return updated_node
            self.imported = True
            if self.package != "torchkeras":
                for name in sorted(KERAS1_CLASSES & set(names) - {"merge"}):
                    self.note(original_node, f"tf.keras has no {name}: it was dropped after Keras 1", False)
                if path == "keras.utils" and names == ["np_utils"]:
                    return self.renamed(original_node, updated_node)
            self.note(original_node, f"from {path} -> from {now}")
            return updated_node.with_changes(module=expression(now))

        def renamed(self, original: Any, node: Any) -> Any:
            """`from keras.utils import np_utils`, whose functions tf.keras has in `utils` itself."""
            self.note(original, f"from keras.utils import np_utils -> from {self.package} import utils")
            space = cst.SimpleWhitespace(" ")
            asname = node.names[0].asname or cst.AsName(cst.Name("np_utils"), whitespace_before_as=space, whitespace_after_as=space)
            return node.with_changes(module=expression(self.package), names=[cst.ImportAlias(cst.Name("utils"), asname=asname)])

        def leave_Call(self, original_node: Any, updated_node: Any) -> Any:
            name = dotted(updated_node.func).split(".")[-1]
            if isinstance(updated_node.func, cst.Attribute) and name in WORDS:
                return self.method(original_node, updated_node, name)
            spelling = TABLE.get(CLASSES.get(name, name))
            return updated_node if spelling is None or name == "Layer" else self.layer(original_node, updated_node, name, spelling)

        def method(self, original: Any, call: Any, name: str) -> Any:
            args = []
            for arg in call.args:
                word = arg.keyword.value if arg.keyword else None
                if word in SAMPLES:
                    self.note(original, f"{name}: {word} counts samples, {WORDS[name].get(word, word)} batches; left for you to divide", False)
                elif word in WORDS[name]:
                    self.note(original, f"{name}: {word} -> {WORDS[name][word]}")
                    arg = arg.with_changes(keyword=cst.Name(WORDS[name][word]))
                args.append(arg)
            return call.with_changes(args=args)

        def layer(self, original: Any, call: Any, name: str, spelling: Spelling) -> Any:
            args = self.sides(original, list(call.args), name, spelling)
            out = []
            for arg in args:
                word = arg.keyword.value if arg.keyword else None
                now = spelling.words.get(word) if word else None
                if word in ("forget_bias_init", "init") and now == word:
                    self.note(original, f"{name}: {word} is kept: torchkeras translates it when it runs", False)
                elif word is not None and now is not None and now != word and word != "input_length":
                    arg = arg.with_changes(keyword=cst.Name(now), value=self.value(word, arg.value))
                    self.note(original, f"{name}: {word} -> {now}")
                out.append(arg)
            return call.with_changes(args=out)

        def value(self, word: str, value: Any) -> Any:
            text = value.evaluated_value if isinstance(value, cst.SimpleString) else None
            if word == "dim_ordering" and text in FORMATS:
                return cst.SimpleString(f'"{FORMATS[text]}"')
            if word == "dim_ordering" and text == "default":
                return cst.Name("None")
            if word == "consume_less" and text in UNITS:
                return cst.Integer(UNITS[text])
            return cst.SimpleString(f'"{text}s"') if text in ("zero", "one") else value

        def sides(self, original: Any, args: list[Any], name: str, spelling: Spelling) -> list[Any]:
            """`nb_row, nb_col` as one `kernel_size`, by position or by name."""
            for now, parts in spelling.join.items():
                by_name: list[Any] = [next((one for one in args if one.keyword and one.keyword.value == part), None) for part in parts]
                places = args[1 : 1 + len(parts)]
                if all(one is not None for one in by_name):
                    first = args.index(by_name[0])
                    joined = by_name[0].with_changes(keyword=cst.Name(now), value=self.tuple([one.value for one in by_name]))
                    args = [one for one in args if one not in by_name]
                    args.insert(first, joined)
                elif len(places) == len(parts) and all(one.keyword is None and isinstance(one.value, cst.Integer) for one in places):
                    if self.package != "torchkeras" and len(parts) == 2 and name.startswith("Conv2D"):
                        continue
                    joined = places[-1].with_changes(value=self.tuple([one.value for one in places]))
                    args = [args[0], joined, *args[1 + len(parts) :]]
                else:
                    continue
                if args[-1].comma is not cst.MaybeSentinel.DEFAULT and args[-1] is joined:
                    args[-1] = joined.with_changes(comma=cst.MaybeSentinel.DEFAULT)
                self.note(original, f"{name}: {', '.join(parts)} -> {now}")
            return args

        def tuple(self, values: list[Any]) -> Any:
            return cst.Tuple([cst.Element(value) for value in values])

    return Codemod
