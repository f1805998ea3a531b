"""`python -m torchkeras inspect`: what is in a model file, told by a process of its own with limits on memory and time."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

MEMORY = 4096  # MiB of address space beside what the libraries have
SECONDS = 60

# The process: limits first, then the libraries, then the file.
_CHILD = """
import sys
path, memory, seconds, *sys.path = sys.argv[1:]
try:
    import resource
except ImportError:
    resource = None
import json
import h5py
from torchkeras.cli.inspection import inspect_file
from torchkeras.saving.errors import FileError
if resource is not None:
    try:
        with open("/proc/self/statm") as file:
            mapped = int(file.read().split()[0]) * resource.getpagesize()
    except OSError:
        mapped = 2 << 30
    for kind, most in ((resource.RLIMIT_AS, mapped + (int(memory) << 20)), (resource.RLIMIT_CPU, int(seconds)), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(kind, (most, most))
try:
    report = inspect_file(path)
except FileError as error:
    report = {"error": str(error)}
except MemoryError:
    report = {"error": "reading it takes more memory than the limit"}
sys.stdout.write(json.dumps(report, default=str))
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's words."""
    parser.add_argument("file", metavar="FILE", help=".h5, .keras, .weights.h5, .pt, .safetensors or the JSON of an architecture")
    parser.add_argument("--json", action="store_true", help="print all of it as JSON")
    parser.add_argument("--memory", type=int, default=MEMORY, metavar="MIB", help="most memory for reading it (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="most time for reading it (default: %(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Print the report; gives the exit status: 1 where the file cannot be read, 2 where something in it is dangerous."""
    report = inspect_apart(arguments.file, arguments.memory, arguments.seconds)
    if "error" in report:
        print(f"torchkeras inspect: {report['error']}", file=sys.stderr)
        return 1
    if arguments.json:
        print(json.dumps(report, indent=2))
    else:
        print("\n".join(_printable(line) for line in lines_of(report)))
    return 2 if report["dangers"] else 0


def inspect_apart(path: str, memory: int = MEMORY, seconds: int = SECONDS) -> dict[str, Any]:
    """The report of `inspection.inspect_file`, made in another process; {"error": ...} where there is none.

    Args:
        path: The file.
        memory: Most address space of that process beside what its libraries have, in MiB.
        seconds: Most time.
    """
    words = [os.path.abspath(path), str(memory), str(seconds), *_library_path()]
    # -I: neither the folder of the file nor the environment decides which modules it imports
    command = [sys.executable, "-I", "-c", _CHILD, *words]
    try:
        done = subprocess.run(command, capture_output=True, timeout=seconds + 30, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False)
    except subprocess.TimeoutExpired:
        return {"error": f"{path!r}: reading it took more than {seconds} seconds, so it was given up. It may be made to do that."}
    if done.returncode == 0 and done.stdout:
        return json.loads(done.stdout)
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        what = "took more time than the limit" if name in ("SIGXCPU", "SIGKILL") else f"crashed the library that reads it ({name})"
        return {"error": f"{path!r}: reading it {what}. It is damaged, or made to do harm: do not load it."}
    last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
    if "MemoryError" in last[0] or "std::bad_alloc" in last[0] or "memory" in last[0].lower() or "failed to map" in last[0]:
        return {"error": f"{path!r}: reading it takes more memory than {memory} MiB. Raise --memory if you know the file to be sound."}
    return {"error": f"{path!r} could not be inspected: {last[0]}"}


def _library_path() -> list[str]:
    """Where that process finds modules: as here, but not in the folder that the program was called from, unless the library lies there."""
    here = os.getcwd()
    own = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    kept = [entry for entry in sys.path if entry and (os.path.abspath(entry) != here or os.path.abspath(entry) == own)]
    return kept if own in kept else [own, *kept]


def lines_of(report: Mapping[str, Any]) -> Iterator[str]:
    """The report as lines of text."""
    yield f"File:            {report['file']} ({report['bytes']:,} bytes)"
    yield f"Kind:            {report.get('kind', 'unknown')}"
    yield f"Written by:      {_writer(report)}"
    model = report.get("model")
    if model:
        yield f"Model:           {model['class']} {model['name'] or ''}".rstrip()
    weights = report.get("weights")
    if weights:
        yield f"Weights:         {weights['numbers']:,} numbers in {weights['arrays']} arrays"
    yield f"Optimizer:       {_optimizer(report)}"
    for key, title in (("loss", "Loss:"), ("metrics", "Metrics:"), ("weighted_metrics", "Weighted metrics:")):
        if key in report:
            yield f"{title:<16} {json.dumps(report[key])}"
    yield f"Custom objects:  {', '.join(report['custom_objects']) or 'none needed'}"
    yield f"Dangers:         {len(report['dangers']) or 'none found'}"
    for danger in report["dangers"]:
        yield f"  at {danger['where'] or 'its top'}: {danger['what']}"
    for problem in report["problems"]:
        yield f"Problem:         {problem}"
    yield ""
    if report.get("summary"):
        yield from report["summary"]
    elif report.get("layers"):
        yield "Layers (as the file names them; the model was not made):"
        yield from (f"  {line}" for line in report["layers"])
    elif report.get("names"):
        yield "Weights:"
        yield from (f"  {line}" for line in report["names"])


def _writer(report: Mapping[str, Any]) -> str:
    version = report.get("keras_version")
    words = f"Keras {version}" if version else "unknown (files of Keras 1 do not say)"
    words += f", backend {report['backend']}" if report.get("backend") else ""
    return words + (f"; read as {report['follows']}" if report.get("follows") and report["follows"] != version else "")


def _optimizer(report: Mapping[str, Any]) -> str:
    optimizer = report.get("optimizer")
    if not optimizer:
        return "none in the file"
    hypers = ", ".join(f"{key}={value}" for key, value in optimizer["config"].items() if key != "name" and not isinstance(value, (dict, list)))
    state = "with its state" if report.get("optimizer_state") else "without its state"
    return f"{optimizer['class']}({hypers}), {state}"


def _printable(line: str) -> str:
    """A line whose control characters, which a file could use to steer the terminal, are shown as numbers."""
    return "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in line)
