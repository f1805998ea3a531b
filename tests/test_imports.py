"""Imports point down: the rooms of docs/architecture.md, in order, and nothing heavy at import."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "torchkeras"
FILES = sorted(PACKAGE.rglob("*.py"))

# What a function may import when it first needs it: optional packages, and those that cost much of the time `import torchkeras` is allowed.
LATE = {
    *("ignite", "h5py", "tensorboard", "matplotlib", "PIL", "scipy", "pandas", "tqdm", "rich", "libcst", "sklearn", "safetensors"),
    *("onnx", "onnxscript", "onnxruntime", "pynvml", "graphviz", "pydot", "google", "IPython", "torchvision", "keras"),
    *("torch._dynamo", "torch._inductor", "torch.onnx", "torch.export", "torch.profiler", "torch.utils.tensorboard"),
    *("torch.distributed.fsdp", "torch.distributed.tensor", "torch.distributed.device_mesh"),
}
OUTSIDE = "__init__"  # the package's own front door and `__main__`: they may import every room


def rooms() -> list[str]:
    """The rooms in the order of the floors' table."""
    table = re.findall(r"^\| \d+ \| ([^|]+) \|", (ROOT / "docs" / "architecture.md").read_text(), flags=re.MULTILINE)
    return [room for floor in table for room in re.findall(r"`(\w+)`", floor)] + [OUTSIDE]


ROOMS = rooms()


def room(path: Path) -> str:
    """The room that a file of the package belongs to."""
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return OUTSIDE if first in ("__init__", "__main__") else first


def imported_modules(node: ast.AST, package: tuple[str, ...]) -> Iterator[str]:
    """Full names of what one import statement, in a module of `package`, brings in."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        parents = package[: len(package) - node.level + 1] if node.level else ()
        base = ".".join((*parents, *([node.module] if node.module else [])))
        yield from (f"{base}.{alias.name}" for alias in node.names)


def imported_rooms(node: ast.AST, package: tuple[str, ...]) -> Iterator[str]:
    """The rooms of torchkeras that one import statement reaches into."""
    for name in imported_modules(node, package):
        if name == "torchkeras" or name.startswith("torchkeras."):
            parts = name.split(".")
            reached = parts[1] if len(parts) > 1 else OUTSIDE
            # `from torchkeras import Dense` takes a name that is no room, so it goes through the front door
            is_room = reached in ROOMS or (PACKAGE / reached).is_dir() or (PACKAGE / f"{reached}.py").is_file()
            yield reached if is_room else OUTSIDE


def imports_upward(path: Path, source: str) -> list[str]:
    """Each import of a file that reaches a room above its own."""
    here = room(path)
    package = ("torchkeras", *path.relative_to(PACKAGE).parent.parts)
    return [
        f"{path.relative_to(ROOT)}:{node.lineno} imports {there}, which stands above {here}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for there in imported_rooms(node, package)
        if ROOMS.index(there) > ROOMS.index(here)
    ]


def imports_inside_functions(path: Path, source: str) -> list[str]:
    """Each import inside a function of something that is neither optional nor heavy."""
    package = ("torchkeras", *path.relative_to(PACKAGE).parent.parts)
    found = {
        (node.lineno, name)
        for function in ast.walk(ast.parse(source))
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for node in ast.walk(function)
        for name in imported_modules(node, package)
        if not any(name == late or name.startswith(f"{late}.") for late in LATE)
    }
    return [f"{path.relative_to(ROOT)}:{line} imports {name} inside a function" for line, name in sorted(found)]


def star_imports(path: Path, source: str) -> list[str]:
    """Each `from somewhere import *`."""
    return [
        f"{path.relative_to(ROOT)}:{node.lineno} imports everything from {node.module}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names)
    ]


def test_the_architecture_names_every_room_once():
    assert len(ROOMS) == len(set(ROOMS))
    unknown = sorted({room(path) for path in FILES} - set(ROOMS))
    assert not unknown, f"{unknown} have no place in the floors' table of docs/architecture.md"


def test_imports_only_point_down():
    wrong = [line for path in FILES for line in imports_upward(path, path.read_text())]
    assert not wrong, "\n".join(wrong)


def test_functions_import_only_what_is_optional_or_heavy():
    wrong = [line for path in FILES for line in imports_inside_functions(path, path.read_text())]
    assert not wrong, "\n".join(wrong)


def test_nothing_is_imported_by_star():
    wrong = [line for path in FILES for line in star_imports(path, path.read_text())]
    assert not wrong, "\n".join(wrong)


def test_import_torchkeras_brings_nothing_heavy():
    program = "import sys, torch; before = set(sys.modules); import torchkeras; print(*sorted(set(sys.modules) - before))"
    # compared with torch alone, which in some versions brings some of these itself
    new = set(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT).stdout.split())
    assert "torchkeras" in new
    assert not new & LATE, "import torchkeras brings them at once; import them where they are first needed"


@pytest.mark.parametrize(
    ("file", "source", "wrong"),
    [
        ("layers/core.py", "from torchkeras.models import Model", True),
        ("layers/core.py", "from torchkeras import models", True),
        ("layers/core.py", "from .. import models", True),
        ("layers/core.py", "from ..models import Model", True),
        ("layers/core.py", "import torchkeras.models", True),
        ("layers/core.py", "import torchkeras", True),
        ("layers/core.py", "from torchkeras import Model", True),
        ("layers/core.py", "if TYPE_CHECKING:\n    from torchkeras.models import Model", True),
        ("layers/core.py", "def f():\n    from torchkeras import callbacks", True),
        ("layers/core.py", "from torchkeras import losses, activations\nfrom .base import Layer\nfrom torchkeras.layers import base", False),
        ("losses.py", "from torchkeras import metrics", True),
        ("metrics.py", "from torchkeras import losses", False),
        ("__init__.py", "from torchkeras import cli\nfrom torchkeras.models import Model", False),
        ("__main__.py", "from torchkeras import cli, anything", False),
    ],
)
def test_an_upward_import_is_found(file: str, source: str, wrong: bool):
    assert bool(imports_upward(PACKAGE / file, source)) == wrong


@pytest.mark.parametrize(
    ("source", "wrong"),
    [
        ("def f():\n    import json", True),
        ("def f():\n    from torchkeras import config", True),
        ("def f():\n    from . import base", True),
        ("def f():\n    from torch import nn", True),
        ("class A:\n    def f(self):\n        if x:\n            import torch", True),
        ("def f():\n    import h5py\n    from ignite.engine import Engine\n    from torch.utils.tensorboard import SummaryWriter", False),
        ("import json\nif x:\n    import os", False),
    ],
)
def test_an_import_inside_a_function_is_found(source: str, wrong: bool):
    assert bool(imports_inside_functions(PACKAGE / "layers" / "core.py", source)) == wrong


def test_a_star_import_is_found():
    assert star_imports(PACKAGE / "layers" / "core.py", "from torch import *") == ["torchkeras/layers/core.py:1 imports everything from torch"]
