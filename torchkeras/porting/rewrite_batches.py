"""A pass of the codemod: counts of samples become counts of batches, where the program says what gives the batches.

Needs libcst: `pip install torchkeras-native[port]`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from torchkeras.models.keras1 import SAMPLES, WORDS
from torchkeras.porting.rewrite_tensorflow import dotted

# the methods of ImageDataGenerator and the like, with the place of batch_size among the positional arguments
FLOWS: Final = {"flow": 2, "flow_from_directory": 5}
USUAL_BATCH: Final = "32"
Counted = Callable[[Any, str, str, str], None]


def batches_codemod(cst: Any, module: Any, counted: Counted) -> Any:
    """The transformer.

    Keras 1 ends an epoch with the batch that reaches the number of samples: so many batches, rounded up, as long as all but the last are full.

    Args:
        cst: The module libcst.
        module: The program, for the generators that have a name.
        counted: Told of each count that was rewritten: the call, the method, the word and today's word.
    """
    flows = _flows(cst, module)

    def batch_size(data: Any) -> str | None:
        """The text of the batch size of a generator; `None`: not known."""
        if isinstance(data, cst.Name):
            return f"{data.value}.batch_size" if data.value in flows else None
        if not _is_flow(cst, data):
            return None
        given = next((arg.value for arg in data.args if arg.keyword is not None and arg.keyword.value == "batch_size"), None)
        place = FLOWS[data.func.attr.value]
        if given is None and len(data.args) > place and data.args[place].keyword is None:
            given = data.args[place].value
        text: str = USUAL_BATCH if given is None else cst.Module([]).code_for_node(given)
        return text if given is None or isinstance(given, (cst.Integer, cst.Name, cst.Attribute)) else f"({text})"

    class Batches(cst.CSTTransformer):  # type: ignore[name-defined]
        def leave_Call(self, original_node: Any, updated_node: Any) -> Any:
            name = dotted(cst, updated_node.func).split(".")[-1]
            if not isinstance(updated_node.func, cst.Attribute) or name not in WORDS:
                return updated_node
            by_name = {arg.keyword.value: arg.value for arg in updated_node.args if arg.keyword is not None}
            first = updated_node.args[0].value if updated_node.args and updated_node.args[0].keyword is None else None
            args = []
            for arg in updated_node.args:
                word = arg.keyword.value if arg.keyword is not None else ""
                source = SAMPLES.get(word)
                size = batch_size(by_name.get(source, first if source == "generator" else None)) if source and word in WORDS[name] else None
                if size is not None:
                    now = WORDS[name][word]
                    arg = arg.with_changes(keyword=cst.Name(now), value=_divided(cst, arg.value, size))
                    counted(original_node, name, word, now)
                args.append(arg)
            return updated_node.with_changes(args=args)

    return Batches()


def _is_flow(cst: Any, node: Any) -> bool:
    return isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute) and node.func.attr.value in FLOWS


def _flows(cst: Any, module: Any) -> set[str]:
    """The names that are given one value in the program, by a method that makes batches."""

    class Names(cst.CSTVisitor):  # type: ignore[name-defined]
        def __init__(self) -> None:
            self.given: Counter[str] = Counter()
            self.flows: set[str] = set()

        def visit_AssignTarget(self, node: Any) -> None:
            if isinstance(node.target, cst.Name):
                self.given[node.target.value] += 1

        def visit_Assign(self, node: Any) -> None:
            if len(node.targets) == 1 and isinstance(node.targets[0].target, cst.Name) and _is_flow(cst, node.value):
                self.flows.add(node.targets[0].target.value)

        def visit_Param(self, node: Any) -> None:
            self.given[node.name.value] += 2  # another value with each call

        def visit_For(self, node: Any) -> None:
            if isinstance(node.target, cst.Name):
                self.given[node.target.value] += 2

    names = Names()
    module.visit(names)
    return {name for name in names.flows if names.given[name] == 1}


def _divided(cst: Any, samples: Any, size: str) -> Any:
    """Samples as batches, rounded up; numbers are divided here."""
    if isinstance(samples, cst.Integer) and size.isdigit():
        return cst.Integer(str(-(-int(samples.value.replace("_", ""), 0) // int(size))))
    text = cst.Module([]).code_for_node(samples)
    plain = isinstance(samples, (cst.Integer, cst.Name, cst.Call, cst.Attribute, cst.Subscript))
    return cst.parse_expression(f"-(-{text if plain else f'({text})'} // {size})")
