"""Every Python snippet of the guide runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
SNIPPETS = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / "porting.md").read_text(), flags=re.MULTILINE | re.DOTALL)


def test_the_guide_has_snippets():
    assert len(SNIPPETS) == 5


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_a_snippet_runs(number: int):
    done = subprocess.run([sys.executable, "-c", SNIPPETS[number]], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
