"""The house itself: pins and ranges agree, nothing belongs to one machine, no file outgrows a reader."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
PINS = [Requirement(line.partition("#")[0]) for line in (ROOT / "constraints.txt").read_text().splitlines() if line.partition("#")[0].strip()]
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
LONGEST_FILE = 450
TEXT = {".py", ".md", ".toml", ".txt", ".yml", ".yaml", ".json", ".cfg", ".sh", ".html", ""}


def tracked_files() -> list[Path]:
    """Every file of the project: as git knows them, or, outside a checkout, the project's own folders."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode == 0:
        return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    folders = ("torchkeras", "tests", "benchmarks", "examples", "docs", ".ci")
    return [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts]


def pins_for(name: str, python: str) -> list[str]:
    """The versions that constraints.txt pins a distribution to under one Python."""
    return [
        next(iter(pin.specifier)).version
        for pin in PINS
        if canonicalize_name(pin.name) == canonicalize_name(name) and (pin.marker is None or pin.marker.evaluate({"python_version": python}))
    ]


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("line", sorted({*PROJECT["dependencies"], *(line for extra in EXTRAS.values() for line in extra)}))
def test_each_dependency_has_one_pin_inside_its_range(line: str, python: str):
    wanted = Requirement(line)
    pinned = pins_for(wanted.name, python)
    assert len(pinned) == 1, f"constraints.txt gives {pinned} for {wanted.name} under Python {python}: it takes exactly one pin"
    assert pinned[0] in wanted.specifier, f"constraints.txt pins {wanted.name} {pinned[0]}, outside the range {wanted.specifier} of pyproject.toml"


def test_every_pin_is_exact_and_belongs_to_a_dependency():
    wanted = {
        canonicalize_name(Requirement(line).name) for line in [*PROJECT["dependencies"], *(line for extra in EXTRAS.values() for line in extra)]
    }
    for pin in PINS:
        assert [specifier.operator for specifier in pin.specifier] == ["=="], f"{pin} in constraints.txt is no exact version"
        assert canonicalize_name(pin.name) in wanted, f"constraints.txt pins {pin.name}, which pyproject.toml does not ask for"


def test_the_readme_names_every_extra():
    readme = (ROOT / "README.md").read_text()
    missing = [extra for extra in EXTRAS if f"`{extra}`" not in readme]
    assert not missing


def test_the_version_stands_in_one_form():
    source = (ROOT / "torchkeras" / "__init__.py").read_text()
    found = re.search(r'^__version__ = "(.+)"$', source, flags=re.MULTILINE)
    assert found
    assert found[1] == PROJECT["version"]


def test_the_continuous_integration_runs_the_readmes_commands():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    commands = re.findall(r"^make (\w+)", script.read_text(), flags=re.MULTILINE)
    assert commands == ["check", "test"]
    assert "make test" in (ROOT / "README.md").read_text()


def test_make_help_knows_every_target():
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.+)$", makefile, flags=re.MULTILINE)
    assert phony
    assert set(phony[1].split()) == set(re.findall(r"^(\w+):.*## ", makefile, flags=re.MULTILINE))


def test_no_file_names_a_place_of_one_machine():
    # pieced together, so that this file does not name them either
    places = re.compile(r"(?<![\w.])/(?:" + "|".join(("wo" + "rk", "ro" + "ot", "ho" + "me", "Us" + "ers", "op" + "t")) + r")/\w")
    wrong = []
    for path in tracked_files():
        if path.suffix in TEXT:
            lines = path.read_text(errors="replace").splitlines()
            wrong += [f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}" for number, line in enumerate(lines, 1) if places.search(line)]
    assert not wrong, "\n".join(wrong)


def test_no_file_of_the_package_outgrows_a_reader():
    lengths = {path.relative_to(ROOT): len(path.read_text().splitlines()) for path in tracked_files() if path.suffix == ".py"}
    wrong = [f"{path} has {length} lines" for path, length in lengths.items() if path.parts[0] == "torchkeras" and length > LONGEST_FILE]
    assert not wrong, f"more than {LONGEST_FILE}; split by idea: {wrong}"


def test_everything_public_has_a_docstring():
    wrong = []
    for path in sorted((ROOT / "torchkeras").rglob("*.py")):
        tree = ast.parse(path.read_text())
        public = [node for node in tree.body if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and not node.name.startswith("_")]
        wrong += [f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}" for node in [tree, *public] if ast.get_docstring(node) is None]
    assert not wrong, "\n".join(wrong)
