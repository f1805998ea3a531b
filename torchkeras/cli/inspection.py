"""What is in a model file: versions, architecture, optimizer, what it needs and what is dangerous in it. Nothing of it is run.

Meant to be called in a process with limits, as `torchkeras.cli.inspect` does: the HDF5 library is no safe parser of hostile files.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator, Mapping
from typing import Any

from torchkeras import losses, metrics
from torchkeras.activations import ACTIVATIONS
from torchkeras.constraints import CONSTRAINTS
from torchkeras.initializers import INITIALIZERS
from torchkeras.layers.base import layer_registry
from torchkeras.layers.legacy_table import CLASSES
from torchkeras.losses.lookup import LOSSES
from torchkeras.metrics.lookup import METRICS
from torchkeras.models import Model
from torchkeras.optimizers.lookup import OPTIMIZERS
from torchkeras.optimizers.rates import SCHEDULES
from torchkeras.regularizers import REGULARIZERS
from torchkeras.saving.archive import CONFIG, METADATA, WEIGHTS, open_archive
from torchkeras.saving.config import OWN_PACKAGES, find_dangers, parse_json
from torchkeras.saving.errors import ConfigError, ContentError, DamagedFileError, FileError, UnsafeFileError
from torchkeras.saving.files import check_file, kind_of
from torchkeras.saving.hdf5 import SafeGroup, open_safely
from torchkeras.saving.hdf5_arrays import SafeArray
from torchkeras.saving.keras1_config import MODELS
from torchkeras.saving.keras3_weights import has_keras3_weights
from torchkeras.saving.model_config import make_model
from torchkeras.saving.releases import OWN_RELEASE, following, release_of
from torchkeras.saving.state_files import kind_of_state_file, read_contents
from torchkeras.saving.weight_groups import read_weight_groups, weights_group

_REGISTRIES = (layer_registry, INITIALIZERS, REGULARIZERS, CONSTRAINTS, ACTIVATIONS, LOSSES, METRICS, OPTIMIZERS, SCHEDULES)
_OF_VALUES = {"TensorShape", "TypeSpec", "Policy", "DTypePolicy", "DTypePolicyMap", "SharedObject", "function"}  # that stand for no object
_FUNCTIONS = ("activation", "recurrent_activation", "inner_activation")
_BY_OUTPUT = ("accuracy", "acc", "crossentropy", "ce")
_MOST_NAMES = 200

Report = dict[str, Any]


def inspect_file(path: str) -> Report:
    """Everything that can be told of a file, as plain data.

    Args:
        path: The file.

    Raises:
        FileError: it cannot be read at all.
    """
    path = check_file(path)
    report: Report = {"file": path, "bytes": os.path.getsize(path), "custom_objects": [], "dangers": [], "problems": []}
    with open(path, "rb") as file:
        start = file.read(64)
    try:
        if kind_of_state_file(path) is not None:
            _state_file(path, report)
        elif start[:2] == b"PK":
            _archive(path, report)
        elif start.lstrip()[:1] == b"{":
            _json(path, report)
        else:
            _hdf5(path, report)
    except UnsafeFileError as error:
        report.setdefault("kind", kind_of(start) or "a file")
        report["dangers"].append({"where": "the file", "what": str(error)})
    except ConfigError as error:
        report.setdefault("kind", kind_of(start) or "a file")
        report["problems"].append(str(error))
    return report


# -- kinds of files


def _hdf5(path: str, report: Report) -> None:
    with open_safely(path) as file:
        whole = file.has_attribute("model_config")
        report["kind"] = "HDF5, a whole model" if whole else "HDF5, weights only"
        below = file
        with _noted(report, "the weights"):
            group = file.get("model_weights")
            below = group if isinstance(group, SafeGroup) else file
        for key in ("keras_version", "backend", OWN_RELEASE):
            holder = file if file.has_attribute(key) else below
            if holder.has_attribute(key):
                report[key] = holder.text(key)
        with _noted(report, "the weights"):
            _arrays(below, report)
            if not has_keras3_weights(file):
                read_weight_groups(weights_group(file))
        with _noted(report, "the state of the optimizer"):
            report["optimizer_state"] = isinstance(file.get("optimizer_weights"), SafeGroup)
        training = parse_json(file.text("training_config"), "training_config") if file.has_attribute("training_config") else None
        _training(training, report)
        if whole:
            _architecture(parse_json(file.text("model_config"), "model_config"), report, report.get("keras_version", "1"))


def _archive(path: str, report: Report) -> None:
    with open_archive(path) as archive:
        report["kind"] = ".keras archive, a whole model"
        metadata = parse_json(archive.read(METADATA), METADATA)
        metadata = metadata if isinstance(metadata, Mapping) else {}
        report.update({key: metadata[key] for key in ("keras_version", OWN_RELEASE) if isinstance(metadata.get(key), str)})
        config = parse_json(archive.read(CONFIG), CONFIG)
        with open_safely(archive.read(WEIGHTS), WEIGHTS) as file, _noted(report, "the weights"):
            _arrays(file, report)
            report["optimizer_state"] = isinstance(file.get("optimizer"), SafeGroup)
        _training(config.get("compile_config") if isinstance(config, Mapping) else None, report)
        _architecture(config, report, report.get("keras_version", "3"))


def _state_file(path: str, report: Report) -> None:
    kind = "safetensors" if kind_of_state_file(path) == "safetensors" else "torch file (.pt)"
    contents = read_contents(path)
    info = contents.info
    report["kind"] = f"{kind}, {'a whole model' if info else 'weights only'}"
    report.update({key: info[key] for key in ("keras_version", OWN_RELEASE) if isinstance(info.get(key), str)})
    report["weights"] = {"arrays": len(contents.state), "numbers": sum(tensor.numel() for tensor in contents.state.values())}
    report["names"] = [f"{name} {tuple(tensor.shape)}" for name, tensor in contents.state.items()][:_MOST_NAMES]
    report["optimizer_state"] = info.get("optimizer") is not None
    if info:
        text = info.get("training_config")
        _training(parse_json(text, "training_config") if isinstance(text, str) else None, report)
        _architecture(parse_json(info["model_config"], "model_config"), report, info["keras_version"])


def _json(path: str, report: Report) -> None:
    report["kind"] = "JSON, an architecture without weights"
    with open(path, "rb") as file:
        config = parse_json(file.read(), repr(path))
    for key in ("keras_version", "backend", OWN_RELEASE):
        if isinstance(config, Mapping) and isinstance(config.get(key), str):
            report[key] = config[key]
    _architecture(config, report, report.get("keras_version", "1"))


@contextlib.contextmanager
def _noted(report: Report, where: str) -> Iterator[None]:
    """Note what is refused in one part of a file, and go on with the next."""
    try:
        yield
    except UnsafeFileError as error:
        report["dangers"].append({"where": where, "what": str(error)})
    except (ContentError, DamagedFileError) as error:
        report["problems"].append(str(error))


def _arrays(group: SafeGroup, report: Report) -> None:
    """Names and sizes of the arrays; every link on the way is looked at, and every shape held against the file; no number is read."""
    found = [member for member in group.walk() if isinstance(member, SafeArray)]
    for member in found:
        member.check_declared()
    own = [member for member in found if "optimizer" not in member.path.split("/")[1:2][0]]
    report["weights"] = {"arrays": len(own), "numbers": sum(math.prod(member.shape) for member in own)}
    report["names"] = [f"{member.path} {tuple(member.shape)}" for member in own][:_MOST_NAMES]


# -- architecture and training


def _architecture(config: Any, report: Report, version: str) -> None:
    if not isinstance(config, Mapping):
        report["problems"].append(f"The architecture should be a dict, but is a {type(config).__name__}.")
        return
    inner = config.get("config")
    name = inner.get("name") if isinstance(inner, Mapping) else None
    report["model"] = {"class": str(config.get("class_name"))[:100], "name": name if isinstance(name, str) else None}
    report["dangers"] += [{"where": danger.where, "what": danger.what} for danger in find_dangers(config) if not _is_custom(danger.what)]
    report["custom_objects"] += [one for one in dict.fromkeys(needed_objects(config)) if one not in report["custom_objects"]]
    report["layers"] = [f"{name} ({kind})" for name, kind in _layers(config)][:_MOST_NAMES]
    release = report.get(OWN_RELEASE, version)
    try:
        report["follows"] = release_of(release, "The file")
        if not report["dangers"] and not report["custom_objects"]:
            with following(release, "The file"):
                stored = report.get("weights", {}).get("numbers")
                _summary(make_model(config, who="The architecture", stored=stored), report)
    except (FileError, ValueError, NotImplementedError) as error:
        report["problems"].append(str(error))


def _summary(model: Model, report: Report) -> None:
    report["parameters"] = sum(weight.numel() for weight in model.weights) if model.built else None
    if model.built:
        lines: list[str] = []
        model.summary(print_fn=lines.append)
        report["summary"] = [part for line in lines for part in str(line).splitlines()]


def _is_custom(words: str) -> bool:
    """Whether a refusal is only that an object of the user's program is not known here."""
    return words.startswith("it names the ") and "os'" not in words and ("registered by a program" in words or "__main__" in words)


def _layers(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    inner = config.get("config")
    listed = inner if isinstance(inner, list) else inner.get("layers") if isinstance(inner, Mapping) else None
    for layer in listed if isinstance(listed, list) else ():
        if isinstance(layer, Mapping):
            own = layer.get("config")
            name = layer.get("name") or (own.get("name") if isinstance(own, Mapping) else None)
            yield str(name)[:80], str(layer.get("class_name"))[:80]


def needed_objects(config: Any) -> Iterator[str]:
    """The classes and functions of the user's own that a config names."""
    if isinstance(config, Mapping):
        yield from _of_node(config)
        for key, value in config.items():
            if key in _FUNCTIONS and isinstance(value, str) and value not in ACTIVATIONS:
                yield value
            yield from needed_objects(value)
    elif isinstance(config, (list, tuple)):
        for value in config:
            yield from needed_objects(value)


def _of_node(config: Mapping[str, Any]) -> Iterator[str]:
    name, module, registered = (config.get(key) for key in ("class_name", "module", "registered_name"))
    if config.get("function_type") == "function" and isinstance(config.get("function"), str):
        yield config["function"]
    if not isinstance(name, str) or name.startswith("__"):
        return
    if name == "function":
        name = config.get("config")
    if not isinstance(name, str) or name in _OF_VALUES:
        return
    foreign = isinstance(module, str) and module.partition(".")[0] not in OWN_PACKAGES
    if isinstance(registered, str) and ">" in registered and (module is None or foreign):
        yield registered
    elif foreign or not _known(name):
        yield name


def _known(name: str) -> bool:
    plain = name.rpartition(">")[2] if name.startswith(("Addons>", "TensorFlow>")) else name
    return plain in MODELS or plain in CLASSES or any(plain in one or plain.lower() in one for one in _REGISTRIES) or _found_later(plain)


def _found_later(name: str) -> bool:
    """Whether a part of the library that is not loaded yet has it."""
    for registry in _REGISTRIES:
        try:
            registry.find(name)
        except ValueError:
            continue
        return True
    return False


def _training(config: Any, report: Report) -> None:
    if not isinstance(config, Mapping):
        return
    optimizer = config.get("optimizer_config", config.get("optimizer"))
    if isinstance(optimizer, Mapping):
        hypers = optimizer.get("config")
        report["optimizer"] = {"class": str(optimizer.get("class_name"))[:100], "config": hypers if isinstance(hypers, Mapping) else {}}
        report["custom_objects"] += [name for name in needed_objects(optimizer) if name not in report["custom_objects"]]
    elif isinstance(optimizer, str):
        report["optimizer"] = {"class": optimizer[:100], "config": {}}
    for key, look_up in (("loss", losses.get), ("metrics", metrics.get), ("weighted_metrics", metrics.get)):
        if config.get(key):
            report[key] = config[key]
            unknown = [name for name in _names(config[key]) if name not in _BY_OUTPUT and not _gives(look_up, name)]
            report["custom_objects"] += [name for name in [*unknown, *needed_objects(config[key])] if name not in report["custom_objects"]]
    report["dangers"] += [{"where": f"training: {one.where}", "what": one.what} for one in find_dangers(config) if not _is_custom(one.what)]


def _names(structure: Any) -> Iterator[str]:
    """Names that stand alone in losses or metrics."""
    if isinstance(structure, str):
        yield structure
    elif isinstance(structure, Mapping) and "class_name" not in structure:
        for part in structure.values():
            yield from _names(part)
    elif isinstance(structure, (list, tuple)):
        for part in structure:
            yield from _names(part)


def _gives(look_up: Any, name: str) -> bool:
    try:
        look_up(name)
    except (ValueError, TypeError):
        return False
    return True
