"""The table of docs/interop.md: a row for each of torch's tools, made from the tests that show it.

`python -m tests.interop.rows` writes the table into the page; a test holds the two to each other.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "interop.md"
COLUMNS = {"`Sequential`": "Sequential", "functional": "functional", "subclassed": "subclassed", "`Model(module)`": "wrapped"}
MODULES = ("test_state", "test_tools", "test_quantization", "test_compilers", "test_distributed")
ABOVE, BELOW = "<!-- table -->\n", "<!-- end of the table -->"


@dataclass
class Row:
    """One tool and the test that shows it for every kind of model.

    Args:
        tool: What is used, as Markdown.
        test: Name of the test function, which runs for each kind.
        file: Name of its file.
        case: The rest of the test's id after the kind.
        words: What the table says of a kind where it is not "yes".
    """

    tool: str
    test: str
    file: str
    case: str = ""
    words: dict[str, str] = field(default_factory=dict)

    def cell(self, kind: str) -> str:
        """What stands in the column of a kind: a link whose title is the test."""
        return f'[{self.words.get(kind, "yes")}](../tests/interop/{self.file} "{self.test}[{kind}{self.case}]")'


ROWS: list[Row] = []


def row(tool: str, case: str = "", **words: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator: the test shows, for each kind of model, that a tool works, or what `words` says of a kind."""

    def note(test: Callable[..., Any]) -> Callable[..., Any]:
        ROWS.append(Row(tool, test.__name__, f"{test.__module__.rpartition('.')[2]}.py", case, words))
        return test

    return note


def table() -> str:
    """The table as Markdown."""
    for name in MODULES:
        importlib.import_module(f"tests.interop.{name}")
    rows = sorted(ROWS, key=lambda one: MODULES.index(one.file.removesuffix(".py")))
    lines = [["tool", *COLUMNS], ["---"] * (len(COLUMNS) + 1)]
    lines += [[one.tool, *(one.cell(kind) for kind in COLUMNS.values())] for one in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def page_with(text: str, new_table: str) -> str:
    """The page with another table."""
    above, _, rest = text.partition(ABOVE)
    return above + ABOVE + new_table + BELOW + rest.partition(BELOW)[2]


if __name__ == "__main__":
    from tests.interop import rows  # the module that the tests add to; this one is `__main__`

    PAGE.write_text(page_with(PAGE.read_text(), rows.table()))
