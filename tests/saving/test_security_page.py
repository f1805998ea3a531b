"""Each row of docs/security.md names tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith(("| known as", "| ---"))]

KNOWN = """
    CVE-2021-37678 CVE-2024-3660 CVE-2024-55459 CVE-2025-12060 CVE-2025-12638 CVE-2025-1550 CVE-2025-8747 CVE-2025-9906 CVE-2025-9905 CVE-2025-49655
    CVE-2025-12058 CVE-2026-0897 CVE-2026-1669 CVE-2026-1462 CVE-2026-12479 CVE-2026-12481 CVE-2025-32434 CVE-2026-24747 CVE-2026-58659
"""


def functions_of(path: Path) -> set[str]:
    return {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[2].strip()[:60])
def test_each_row_names_tests_that_exist(row):
    cells = [cell.strip() for cell in row.strip("|").split(" | ")]
    assert len(cells) == 4
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", cells[3])
    assert named, "a row without a test"
    assert ", ".join(f"`{file}::{name}`" for file, name in named) == cells[3].rstrip("| ")
    for file, name in named:
        assert name in functions_of(ROOT / file), f"{file} has no {name}"


def test_no_known_weakness_is_left_out():
    assert sorted(KNOWN.split()) == sorted(set(re.findall(r"CVE-\d+-\d+", PAGE)))
    assert sum(row.startswith("| no id") for row in ROWS) >= 6


def test_files_and_names_that_the_page_mentions_are_there():
    from importlib import import_module

    for name in re.findall(r"`(torchkeras\.[\w.]+)`", PAGE):
        try:
            import_module(name)
        except ImportError:
            module, _, attribute = name.rpartition(".")
            assert hasattr(import_module(module), attribute), name
