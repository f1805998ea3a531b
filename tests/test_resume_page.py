"""The Python in docs/resume.md runs, block after block."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "resume.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)


def test_the_blocks_of_the_page_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for number, block in enumerate(BLOCKS):
        exec(compile(block, f"docs/resume.md, block {number}", "exec"), names)
    assert len(BLOCKS) == 5
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 6
    assert not list((tmp_path / "backup").iterdir())
