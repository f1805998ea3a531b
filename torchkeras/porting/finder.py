"""An import finder that lets `keras`, `tensorflow.keras` and `tensorflow` mean torchkeras, without touching site-packages."""

from __future__ import annotations

import functools
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Callable, Sequence
from typing import Any, Final

from torchkeras import absent, generations, registry
from torchkeras.porting import tensorflow_names
from torchkeras.porting.modules import MOVED, VIRTUAL
from torchkeras.porting.tensors import follow_tensorflow, follow_torch

PREFIXES: Final = ("tensorflow.python.keras", "tensorflow.keras", "keras")
OWN: Final = "torchkeras"
# TensorBoard looks for this module and then does without TensorFlow, which it would take for the genuine one
NO_TENSORFLOW: Final = "tensorboard.compat.notf"
MADE_HERE: Final = "Made by torchkeras."
TENSORFLOW_VERSION: Final = "2.3.1"  # the one whose tf.keras is 2.4.0


def below_keras(name: str) -> str | None:
    """The path of a module below `keras`, "" for `keras` itself, `None` for another module."""
    for prefix in PREFIXES:
        if name == prefix:
            return ""
        if name.startswith(prefix + "."):
            return name[len(prefix) + 1 :]
    return None


class KerasFinder(importlib.abc.MetaPathFinder):
    """Finds `keras...` and `tensorflow...` in torchkeras."""

    def find_spec(self, fullname: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None) -> Any:
        if fullname != "tensorflow" and not fullname.startswith("tensorflow.") and below_keras(fullname) is None:
            return None
        return importlib.machinery.ModuleSpec(fullname, KerasLoader(), is_package=True)


class KerasLoader(importlib.abc.Loader):
    """Gives the module of torchkeras that a name of Keras stands for, or makes one that shows its names."""

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        """The module.

        Raises:
            ModuleNotFoundError: neither torchkeras nor any Keras release has it.
        """
        path = below_keras(spec.name)
        if path is None:
            return tensorflow_module(spec.name)
        if path == "":
            return keras_module(spec.name)
        if path in absent.MODULES:
            raise ModuleNotFoundError(f"Keras' module {spec.name!r} is not in torchkeras: {absent.MODULES[path]}.", name=spec.name)
        if path in VIRTUAL:
            return virtual_module(spec.name, VIRTUAL[path])
        name = f"{OWN}.{MOVED.get(path, path)}"
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not name.startswith(error.name):
                raise
            known = [*VIRTUAL, *MOVED, *ROOMS]
            raise ModuleNotFoundError(f"Keras' module {spec.name!r} is not in torchkeras. {registry.nearest(path, known)}", name=spec.name) from None
        parent, _, child = name.rpartition(".")
        before = getattr(sys.modules.get(parent), child, None)
        if before is not None and before is not module:  # the import is about to put the module in the place of a function of that name
            _undo.append(functools.partial(setattr, sys.modules[parent], child, before))
        _specs[spec.name] = module.__spec__
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        spec = module.__spec__
        if spec is not None and spec.name in _specs:  # a module of torchkeras keeps its own
            module.__spec__ = _specs.pop(spec.name)


_specs: dict[str, Any] = {}
_undo: list[Callable[[], Any]] = []  # what uninstalling does to the modules of torchkeras
ROOMS: Final = ("activations", "applications", "backend", "callbacks", "constraints", "datasets", "initializers", "layers", "losses", "metrics")


def found(place: str) -> Any:
    """The object at "module:name" below torchkeras."""
    module, name = place.split(":")
    if module == "absent":
        room, _, name = name.rpartition(".")
        return absent.lookup(f"{OWN}.{room}", name)
    return getattr(importlib.import_module(f"{OWN}.{module}"), name)


def _module(name: str, doc: str, get: Callable[[str], Any]) -> types.ModuleType:
    module = types.ModuleType(name, doc)
    module.__path__ = []  # type: ignore[attr-defined]
    module.__getattr__ = get  # type: ignore[method-assign]
    return module


def keras_module(name: str) -> types.ModuleType:
    """The module `keras` (or `tensorflow.keras`): torchkeras, with the chosen release's version."""
    own = importlib.import_module(OWN)

    def get(attribute: str) -> Any:
        if attribute == "__version__":
            return generations.keras_version()
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        if hasattr(own, attribute):
            return getattr(own, attribute)
        try:
            return importlib.import_module(f"{name}.{attribute}")
        except ModuleNotFoundError as error:
            raise AttributeError(f"module {name!r} has no attribute {attribute!r}. {error}") from None

    return _module(name, "Keras' names, as torchkeras has them.", get)


def virtual_module(name: str, names: dict[str, str]) -> types.ModuleType:
    """A module of Keras that torchkeras has no file for: its names, taken from where they live."""

    def get(attribute: str) -> Any:
        if attribute in names:
            return found(names[attribute])
        raise AttributeError(f"module {name!r} has no attribute {attribute!r} here. {registry.nearest(attribute, names)}")

    module = _module(name, "Names of Keras, as torchkeras has them.", get)
    module.__all__ = sorted(names)  # type: ignore[attr-defined]
    return module


def tensorflow_module(name: str) -> types.ModuleType:
    """`tensorflow`, or a module of it: the functions that Keras programs use and that have a plain meaning in torch."""
    path = name.partition(".")[2]
    if path not in tensorflow_names.MODULES:
        raise ModuleNotFoundError(f"TensorFlow's module {name!r} is not in torchkeras. {tensorflow_names.advice(path)}", name=name)
    names = tensorflow_names.MODULES[path]

    def get(attribute: str) -> Any:
        if attribute in names:
            return names[attribute]
        if attribute in ("__version__", "VERSION"):
            return TENSORFLOW_VERSION
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        inner = f"{path}.{attribute}".lstrip(".")
        if attribute in ("keras", "python") or inner in tensorflow_names.MODULES:
            return importlib.import_module(f"{name}.{attribute}")
        raise AttributeError(f"{name}.{attribute} is not in torchkeras. {tensorflow_names.advice(inner)}")

    return _module(name, "Functions of TensorFlow with a plain meaning in torch.", get)


_finder = KerasFinder()


def install_as_keras(version: str | None = None) -> None:
    """Let `import keras`, `tensorflow.keras` and `tensorflow` mean torchkeras in this process.

    Args:
        version: The Keras release to follow, such as "2.2.4"; `None`: leave it as it is.

    Raises:
        RuntimeError: a genuine Keras or TensorFlow was imported before.
    """
    loaded = [name for name in ("keras", "tensorflow") if name in sys.modules and not _ours(sys.modules[name])]
    if loaded:
        raise RuntimeError(f"The genuine {loaded[0]} is imported already. Call torchkeras.install_as_keras() before anything imports it.")
    if version is not None:
        generations.set_keras_version(version)
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
    follow_tensorflow()
    if NO_TENSORFLOW not in sys.modules:
        sys.modules[NO_TENSORFLOW] = types.ModuleType(NO_TENSORFLOW, MADE_HERE)


def uninstall_as_keras() -> None:
    """Undo `install_as_keras`: later imports of `keras` and `tensorflow` find the genuine ones."""
    if _finder in sys.meta_path:
        sys.meta_path.remove(_finder)
    follow_torch()
    if getattr(sys.modules.get(NO_TENSORFLOW), "__doc__", None) == MADE_HERE:
        del sys.modules[NO_TENSORFLOW]
    for name in [name for name in sys.modules if name.partition(".")[0] in ("keras", "tensorflow")]:
        if _ours(sys.modules[name]):
            del sys.modules[name]
    while _undo:
        _undo.pop()()


def _ours(module: types.ModuleType) -> bool:
    spec = module.__spec__
    return isinstance(getattr(spec, "loader", None), KerasLoader) or getattr(spec, "name", "").startswith(OWN)
