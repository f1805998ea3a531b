"""docs/interop.md: its table has a test for each cell, and its code runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.interop import rows
from tests.interop.kinds import KINDS

ROOT = Path(__file__).parents[2]
TEXT = rows.PAGE.read_text()
BLOCKS = [code for code in re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL) if "quantize_dynamic" not in code]


def test_the_table_is_made_from_the_tests():
    assert rows.page_with(TEXT, rows.table()) == TEXT, "run `python -m tests.interop.rows`"


def test_every_cell_is_a_test_and_every_test_of_a_kind_has_a_row():
    found = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", *(f"tests/interop/{name}.py" for name in rows.MODULES)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    collected = {line.partition("::")[2] for line in found.stdout.splitlines() if "::" in line}
    cells = re.findall(r'\[[^]]+\]\(\.\./tests/interop/(\w+)\.py "([^"]+)"\)', TEXT)
    assert len(cells) == len(rows.ROWS) * len(rows.COLUMNS)
    assert {name for _, name in cells} <= collected
    of_kinds = {name.partition("[")[0] for name in collected if any(f"[{kind}" in name for kind in KINDS)}
    assert {row.test for row in rows.ROWS} == of_kinds


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_the_code_of_the_page_runs(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "interop.md", "exec"), {})
