"""The page on files: its program runs, and its commands are taken."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from torchkeras.cli import main

PAGE = (Path(__file__).parents[2] / "docs" / "files.md").read_text()


def test_the_program_of_the_page_runs():
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    exec(compile(block, "files.md", "exec"), {})


@pytest.mark.parametrize("line", re.findall(r"^python -m torchkeras (.+)$", PAGE, flags=re.MULTILINE))
def test_the_commands_of_the_page_are_taken(line, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(shlex.split(line)) == 1  # understood; the file is not there
    assert "There is no file" in capsys.readouterr().err
