"""The codemod's pass for `--target tf2`: what Keras 1 had and tf.keras has not, in words of tf.keras.

Needs libcst: `pip install torchkeras-native[port]`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from torchkeras.porting.rewrite_tensorflow import dotted

LAYERS: Final = "tensorflow.keras.layers"
# modes of Keras 1's merge() -> functions of tf.keras
FUNCTIONS: Final = {"sum": "add", "mul": "multiply", "concat": "concatenate", "ave": "average", "max": "maximum"}
ORDER: Final = ("inputs", "mode", "concat_axis", "dot_axes", "output_shape", "output_mask", "arguments", "name")
WITHOUT_UNITS: Final = frozenset({"SimpleRNN"})  # they take `implementation`, warn, and do nothing with it
Noting = Callable[[Any, str, bool], None]


def tf2_codemod(cst: Any, module: Any, note: Noting) -> Any:
    """The transformer.

    Args:
        cst: The module libcst.
        module: The program.
        note: Takes a node, a line of the report, and whether it was done.
    """

    functions, taken = _bound(cst, module)

    class Rewrite(cst.CSTTransformer):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.merge: str | None = None  # what Keras 1's merge() is called here
            self.used: set[str] = set()
            self.left = False

        def visit_ImportFrom(self, node: Any) -> None:
            if node.module is None or dotted(cst, node.module) != LAYERS or isinstance(node.names, cst.ImportStar):
                return
            for alias in node.names:
                if alias.name.value == "merge":
                    self.merge = alias.asname.name.value if alias.asname else "merge"

        def leave_Call(self, original_node: Any, updated_node: Any) -> Any:
            name = dotted(cst, updated_node.func)
            if self.merge is not None and name == self.merge:
                return self.merged(original_node, updated_node)
            if name.split(".")[-1] in WITHOUT_UNITS:
                kept = [arg for arg in updated_node.args if arg.keyword is None or arg.keyword.value != "implementation"]
                if len(kept) < len(updated_node.args):
                    note(original_node, f"{name}: implementation is left out, which tf.keras has no use for here", True)
                    return updated_node.with_changes(args=_without_last_comma(cst, kept))
            return updated_node

        def merged(self, original: Any, call: Any) -> Any:
            """`merge(inputs, mode="sum")` as `add(inputs)`; with a function as the mode, as `Lambda(function)(inputs)`."""
            given = {ORDER[place]: arg.value for place, arg in enumerate(call.args) if arg.keyword is None and not arg.star and place < len(ORDER)}
            given.update({arg.keyword.value: arg.value for arg in call.args if arg.keyword is not None})
            inputs, mode = given.pop("inputs", None), given.pop("mode", cst.SimpleString('"sum"'))
            text = mode.evaluated_value if isinstance(mode, cst.SimpleString) else None
            known = {"concat": {"concat_axis", "name"}, None: {"output_shape", "arguments", "name"}}.get(text, {"name"})
            made: str = "Lambda" if text is None else FUNCTIONS.get(text, "")
            function = isinstance(mode, cst.Lambda) or (isinstance(mode, cst.Name) and mode.value in functions)
            fits = inputs is not None and made and made not in taken and (function or text is not None)
            if not fits or any(arg.star for arg in call.args) or set(given) - known:
                self.left = True
                note(original, f"{self.merge}: tf.keras has no merge() of this kind; write it with its layers, such as dot() or Lambda", False)
                return call
            words = {"concat_axis": "axis"}
            rest = [_argument(cst, words.get(word, word), value) for word, value in given.items()]
            self.used.add(made)
            note(original, f"{self.merge}({'function' if text is None else repr(text)}) -> {made}", True)
            if text is None:
                layer = cst.Call(cst.Name(made), [cst.Arg(mode), *rest])
                return call.with_changes(func=layer, args=[cst.Arg(inputs)])
            return call.with_changes(func=cst.Name(made), args=[cst.Arg(inputs), *rest])

        def leave_Module(self, original_node: Any, updated_node: Any) -> Any:
            if self.merge is None:
                return updated_node
            return updated_node.visit(_imports(cst, self.used, self.left))

    return Rewrite()


def _bound(cst: Any, module: Any) -> tuple[set[str], set[str]]:
    """The functions that a program defines, and all names that it gives values, but for what it imports from Keras' layers."""

    class Names(cst.CSTVisitor):  # type: ignore[name-defined]
        def __init__(self) -> None:
            self.functions: set[str] = set()
            self.taken: set[str] = set()

        def visit_FunctionDef(self, node: Any) -> None:
            self.functions.add(node.name.value)

        def visit_ClassDef(self, node: Any) -> None:
            self.taken.add(node.name.value)

        def visit_Param(self, node: Any) -> None:
            self.taken.add(node.name.value)

        def visit_AssignTarget(self, node: Any) -> None:
            if isinstance(node.target, cst.Name):
                self.taken.add(node.target.value)

        def visit_ImportFrom(self, node: Any) -> None:
            if not isinstance(node.names, cst.ImportStar) and (node.module is None or dotted(cst, node.module) != LAYERS):
                self.taken.update(alias.asname.name.value if alias.asname else dotted(cst, alias.name) for alias in node.names)

    names = Names()
    module.visit(names)
    return names.functions, names.taken | names.functions


def _imports(cst: Any, used: set[str], left: bool) -> Any:
    """Changes the import of merge() to that of what stands for it now."""

    class Imports(cst.CSTTransformer):  # type: ignore[name-defined]
        def leave_ImportFrom(self, original_node: Any, updated_node: Any) -> Any:
            if updated_node.module is None or dotted(cst, updated_node.module) != LAYERS or isinstance(updated_node.names, cst.ImportStar):
                return updated_node
            names = [alias.name.value for alias in updated_node.names]
            if "merge" not in names:
                return updated_node
            kept = [alias for alias in updated_node.names if left or not used or alias.name.value != "merge"]
            kept = [alias.with_changes(comma=cst.MaybeSentinel.DEFAULT) for alias in kept]
            kept += [cst.ImportAlias(cst.Name(name)) for name in sorted(used - set(names))]
            return updated_node.with_changes(names=kept)

    return Imports()


def _argument(cst: Any, word: str, value: Any) -> Any:
    equal = cst.AssignEqual(cst.SimpleWhitespace(""), cst.SimpleWhitespace(""))
    return cst.Arg(value, keyword=cst.Name(word), equal=equal)


def _without_last_comma(cst: Any, args: list[Any]) -> list[Any]:
    return [*args[:-1], args[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)] if args else args
