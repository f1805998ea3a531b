"""The codemod's second pass: `tf.keras.X` as `torchkeras.X`, and the functions of TensorFlow that have a plain meaning from where they are.

Needs libcst: `pip install torchkeras-native[port]`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from torchkeras.porting import tensorflow_names

SHIM: Final = "torchkeras.porting"
KERAS: Final = ("keras", "python.keras")
Noting = Callable[[Any, str, bool], None]


def dotted(cst: Any, node: Any) -> str:
    """The text of a name with dots, or "" for another expression."""
    if isinstance(node, cst.Name):
        return node.value
    inner = dotted(cst, node.value) if isinstance(node, cst.Attribute) else ""
    return f"{inner}.{node.attr.value}" if inner else ""


def tensorflow_uses(cst: Any, module: Any) -> tuple[str | None, bool]:
    """The name that TensorFlow is imported as, and whether anything but Keras is taken from it."""

    class Uses(cst.CSTVisitor):  # type: ignore[name-defined]
        def __init__(self) -> None:
            self.alias: str | None = None
            self.others = False

        def visit_Import(self, node: Any) -> bool:
            for one in node.names:
                if dotted(cst, one.name) == "tensorflow":
                    self.alias = one.asname.name.value if one.asname else "tensorflow"
            return False

        def visit_ImportFrom(self, node: Any) -> bool:
            return False

        def visit_Attribute(self, node: Any) -> bool:
            path = dotted(cst, node)
            if self.alias is not None and path.partition(".")[0] == self.alias:
                below = path.partition(".")[2]
                self.others = self.others or not any(below == keras or below.startswith(f"{keras}.") for keras in KERAS)
                return False
            return True

        def visit_Name(self, node: Any) -> None:
            self.others = self.others or (self.alias is not None and node.value == self.alias)

    uses = Uses()
    module.visit(uses)
    return uses.alias, uses.others


def tensorflow_codemod(cst: Any, alias: str | None, others: bool, note: Noting) -> Any:
    """The transformer.

    Args:
        cst: The module libcst.
        alias: What TensorFlow is imported as, if it is.
        others: Whether anything but Keras is taken from it.
        note: Takes a node, a line of the report, and whether it was done.
    """

    class Rewrite(cst.CSTTransformer):  # type: ignore[name-defined]
        changed = False

        def visit_Attribute(self, node: Any) -> None:
            path = dotted(cst, node)
            if alias is None or path.partition(".")[0] != alias or path in seen:
                return
            seen.update(path[:end] for end, letter in enumerate(path) if letter == ".")
            below = path.partition(".")[2]
            if not any(below == keras or below.startswith(f"{keras}.") for keras in KERAS) and not tensorflow_names.knows(below):
                note(node, f"{path} is not in torchkeras. {tensorflow_names.advice(below)}", False)

        def leave_Attribute(self, original_node: Any, updated_node: Any) -> Any:
            path = dotted(cst, original_node)
            if alias is not None and path in [f"{alias}.{keras}" for keras in KERAS]:
                self.changed = True
                note(original_node, f"{path} -> torchkeras", True)
                return cst.Name("torchkeras", lpar=updated_node.lpar, rpar=updated_node.rpar)
            return updated_node

        def leave_SimpleStatementLine(self, original_node: Any, updated_node: Any) -> Any:
            if len(updated_node.body) != 1:
                return updated_node
            (inner,) = updated_node.body
            (before,) = original_node.body
            if isinstance(inner, cst.Import) and len(inner.names) == 1 and dotted(cst, inner.names[0].name) == "tensorflow":
                return self.plain_import(before, updated_node, inner)
            if isinstance(inner, cst.ImportFrom) and not inner.relative and inner.module is not None and dotted(cst, inner.module) == "tensorflow":
                return self.import_from(before, updated_node, inner)
            return updated_node

        def plain_import(self, original: Any, line: Any, inner: Any) -> Any:
            self.changed = True
            if others:
                as_name = f" as {alias}" if inner.names[0].asname else ""
                note(original, f"import tensorflow -> from {SHIM} import tensorflow{as_name}", True)
                return line.with_changes(body=[cst.parse_statement(f"from {SHIM} import tensorflow{as_name}").body[0]])
            note(original, "import tensorflow: nothing but Keras was taken from it", True)
            commented = any(empty.comment for empty in line.leading_lines) or line.trailing_whitespace.comment
            return line.with_changes(body=[cst.parse_statement("import torchkeras").body[0]]) if commented else cst.RemoveFromParent()

        def import_from(self, original: Any, line: Any, inner: Any) -> Any:
            if isinstance(inner.names, cst.ImportStar) or len(inner.names) != 1 or inner.names[0].name.value != "keras":
                note(original, "from tensorflow import ...: import keras in a line of its own, and write the rest with torch", False)
                return line
            self.changed = True
            asname = inner.names[0].asname
            name = asname.name.value if asname else "keras"
            note(original, f"from tensorflow import keras -> import torchkeras as {name}", True)
            return line.with_changes(body=[cst.parse_statement(f"import torchkeras as {name}").body[0]])

    seen: set[str] = set()
    return Rewrite()
