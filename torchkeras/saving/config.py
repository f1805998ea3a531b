"""The gate for configs: every architecture from `.h5`, `.keras` or JSON passes it before an object is made.

A config is data. Names in it resolve only from the library's closed tables and from objects that the caller passed
or registered; a module that it names is never imported. Code in it (a Lambda's bytecode) is refused unless the
caller says `safe_mode=False`; unset means safe, and nothing in a config can change that.

The gate also turns the forms of Keras 3 into those of Keras 2, which the layers read: functions become their
names, `__numpy__` becomes an array, and so on.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from torchkeras.registry import get_custom_objects, get_registered_name
from torchkeras.saving.bytecode import function_from_code
from torchkeras.saving.errors import ConfigError, UnsafeConfigError
from torchkeras.saving.limits import limits, readable

OWN_PACKAGES = ("keras", "tf_keras", "tensorflow", "torchkeras", "builtins", "keras_core")

# Layers of other libraries that carry code or pickles in their config.
_CARRIERS = {
    "TorchModuleWrapper": "holds a pickled torch module, which can run code when it is read. Build the module in your program and wrap it there",
    "TFSMLayer": "reads a TensorFlow SavedModel from a path in the file. Turn that model into an .h5 file first",
    "JaxLayer": "holds a traced JAX function. Write the layer in your program and pass it in custom_objects",
    "FlaxLayer": "holds a Flax module. Write the layer in your program and pass it in custom_objects",
    "__typespec__": "holds a TensorFlow type, which has no meaning here",
}
_CUSTOM = "(custom)"  # in place of a module: Keras 3 leaves it out for registered classes
_UNPACKED = ("__numpy__", "__tensor__", "__bytes__", "__slice__", "__ellipsis__")


@dataclasses.dataclass(frozen=True)
class Danger:
    """Something in a config that is refused.

    Args:
        where: The place in the config, such as `config.layers[2].config.function`.
        what: What it is and what to do instead.
    """

    where: str
    what: str


def parse_json(text: str | bytes, who: str) -> Any:
    """JSON text as plain Python data.

    Args:
        text: The text, or its bytes in UTF-8.
        who: What it is, for messages, such as "model_config of 'm.h5'".

    Raises:
        ConfigError: it is no JSON, or longer or nested deeper than the limits allow.
    """
    if len(text) > limits().json_bytes:
        raise ConfigError(f"{who} is {readable(len(text))} long, more than the limit json_bytes={limits().json_bytes}.")
    try:
        return json.loads(text)
    except RecursionError:
        raise ConfigError(f"{who} is nested too deep for a model's config.") from None
    except ValueError as error:  # JSONDecodeError, UnicodeDecodeError, numbers of thousands of digits
        start = text[:40]
        raise ConfigError(f"{who} is no valid JSON: {error}. It begins with {start!r}.") from None


def admit(
    config: Any,
    custom_objects: Mapping[str, Any] | None = None,
    safe_mode: bool | None = None,
    scope: Mapping[str, Any] | None = None,
) -> Any:
    """A copy of `config` that is safe to make objects from, in the forms of Keras 2.

    A Lambda's code is replaced by the function that `custom_objects` has under the layer's name. Otherwise it is
    refused, or with `safe_mode=False` made into a function.

    Args:
        config: A model's, layer's or compile config, as JSON gives it.
        custom_objects: The caller's own objects by name.
        safe_mode: `False` also takes code out of the config, which then can do anything; unset means `True`.
        scope: Global names that such code may use, besides `custom_objects` and `np`.

    Raises:
        UnsafeConfigError: it brings code, or names an object that is neither the library's nor the caller's.
        ConfigError: it is not of the form of a config, or larger than the limits allow.
    """
    return _Gate(custom_objects, safe_mode is not False, scope, None).admit(config, "", None)


def find_dangers(config: Any, custom_objects: Mapping[str, Any] | None = None) -> list[Danger]:
    """All that `admit` would refuse, without making anything.

    Raises:
        ConfigError: it is larger than the limits allow.
    """
    found: list[Danger] = []
    _Gate(custom_objects, True, None, found.append).admit(config, "", None)
    return found


class _Gate:
    """One walk over a config: checks every part and copies what passes."""

    def __init__(
        self,
        custom_objects: Mapping[str, Any] | None,
        safe: bool,
        scope: Mapping[str, Any] | None,
        report: Callable[[Danger], None] | None,
    ) -> None:
        self.custom = {**get_custom_objects(), **(custom_objects or {})}
        self.safe = safe
        self.scope = {"np": np, **(scope or {}), **self.custom}
        self.report = report
        self.items = 0

    def refuse(self, where: str, what: str) -> None:
        """Stop here, or note it where only a list of dangers is wanted."""
        if self.report is None:
            raise UnsafeConfigError(f"The config is refused at {where or 'its top'}: {what}.")
        self.report(Danger(where, what))

    def wrong(self, where: str, what: str) -> None:
        """A config of the wrong form."""
        if self.report is None:
            raise ConfigError(f"The config is wrong at {where or 'its top'}: {what}.")
        self.report(Danger(where, what))

    def admit(self, value: Any, where: str, layer: str | None, depth: int = 0) -> Any:
        """The checked copy of one value; `layer` is the name of the innermost layer around it."""
        self.items += 1
        if self.items > limits().json_items or depth > limits().depth:
            raise ConfigError(
                f"The config is larger or nested deeper than the limits json_items={limits().json_items} and depth={limits().depth} allow."
            )
        if isinstance(value, Mapping):
            if "class_name" in value:
                return self.node(value, where, layer, depth)
            return self.mapping(value, where, layer, depth)
        if isinstance(value, (list, tuple)):
            items = [self.admit(item, f"{where}[{index}]", layer, depth + 1) for index, item in enumerate(value)]
            return items if isinstance(value, list) else tuple(items)
        return value

    def mapping(self, value: Mapping[str, Any], where: str, layer: str | None, depth: int) -> dict[str, Any]:
        """A dict that is no object's config: its values, and code that it brings."""
        layer = value["name"] if isinstance(value.get("name"), str) else layer
        result: dict[str, Any] = {}
        code = {key.removesuffix("_type") for key, kind in value.items() if str(key).endswith("_type") and kind == "lambda"}
        for key, item in value.items():
            place = f"{where}.{key}" if where else str(key)
            result[key] = self.code(item, place, layer) if key in code else self.admit(item, place, layer, depth + 1)
        for key in code:
            result[f"{key}_type"] = "raw" if result.get(key) is None else "function"
        return result

    def node(self, value: Mapping[str, Any], where: str, layer: str | None, depth: int) -> Any:
        """`{"class_name": ..., "config": ...}`: the config of an object, or one of Keras 3's special forms."""
        name, inner = value["class_name"], value.get("config")
        if not isinstance(name, str):
            self.wrong(where, f"'class_name' should be a text, but is {name!r:.80}")
            return None
        if name == "__lambda__":
            return self.code(inner, where, layer)
        if name in _CARRIERS and name not in self.custom:
            self.refuse(where, f"{name} {_CARRIERS[name]}")
            return None
        if name in _UNPACKED:
            return self.unpacked(name, inner, where, layer, depth)
        if name == "function":
            return self.function(value, where)
        if name in ("DTypePolicy", "Policy") and isinstance(inner, Mapping) and isinstance(inner.get("name"), str):
            return inner["name"]
        found = self.class_name(value, name, where)
        result = {key: item for key, item in value.items() if key not in ("module", "registered_name", "class_name")}
        own_name = inner.get("name") if isinstance(inner, Mapping) else None
        return {"class_name": found, **self.mapping(result, where, own_name if isinstance(own_name, str) else layer, depth)}

    def class_name(self, value: Mapping[str, Any], name: str, where: str) -> str | None:
        """The name under which the tables have the class."""
        registered = self.text(value, "registered_name", where)
        if registered and registered in self.custom:
            own = getattr(self.custom[registered], "__name__", name)
            if own != name and registered != name:
                self.refuse(where, f"it calls itself {name!r}, but its registered name {registered!r} stands for {own!r}")
            return registered
        if name in self.custom:
            return name
        module = self.text(value, "module", where)
        if module is None and registered and ">" in registered:
            module = _CUSTOM
        if module is not None and module.partition(".")[0] not in OWN_PACKAGES:
            self.refuse(where, self.foreign("class", name, module, registered))
        elif registered and registered != name and module is not None:
            self.refuse(where, f"{name!r} is a class of the library, but has the registered name {registered!r} of another")
        return name

    def function(self, value: Mapping[str, Any], where: str) -> str | None:
        """A reference to a function: the name under which the tables have it."""
        name = self.text(value, "config", where)
        registered, module = self.text(value, "registered_name", where), self.text(value, "module", where)
        if name is None:
            self.wrong(where, f"a function should be given by its name, but got {value.get('config')!r:.80}")
            return None
        if name in self.custom:
            return name
        if registered and registered in self.custom:
            own = getattr(self.custom[registered], "__name__", name)
            if own != name and get_registered_name(self.custom[registered]) != name:
                self.refuse(where, f"it names the function {name!r}, but its registered name {registered!r} stands for {own!r}")
            return registered
        if module is not None and module.partition(".")[0] not in OWN_PACKAGES:
            self.refuse(where, self.foreign("function", name, module, registered))
        if not name.isidentifier():
            self.refuse(where, f"{name!r} is no name of a function of the library")
        return name

    def foreign(self, kind: str, name: str, module: str, registered: str | None) -> str:
        key = registered if registered and ">" in registered else name
        place = "registered by a program" if module == _CUSTOM else f"of the module {module!r}"
        return (
            f"it names the {kind} {name!r} {place}. Nothing is imported because a file names it. "
            f"If it is your own {kind}, pass it: custom_objects={{{key!r}: {name}}}"
        )

    def text(self, value: Mapping[str, Any], key: str, where: str) -> str | None:
        found = value.get(key)
        if found is not None and not isinstance(found, str):
            self.wrong(where, f"{key!r} should be a text, but is {found!r:.80}")
            return None
        return found

    def code(self, code: Any, where: str, layer: str | None) -> Any:
        """A function that the config brings as bytecode."""
        key = where.rpartition(".")[2]
        wanted = (layer or "the layer") if key in ("function", "mode") else f"{layer}.{key}"
        if wanted in self.custom:
            return self.custom[wanted]
        if key == "output_shape" and layer in self.custom:  # the shape shows when the function runs
            return None
        if not self.safe:
            return function_from_code(code, self.scope, where)
        self.refuse(
            where,
            f"it is the bytecode of a Lambda, which can do anything once it runs. Pass the function itself: custom_objects={{{wanted!r}: function}}; "
            "or, if you trust the file as you trust a program, safe_mode=False",
        )
        return None

    def unpacked(self, name: str, inner: Any, where: str, layer: str | None, depth: int) -> Any:
        """A value that JSON has no form for."""
        if name == "__ellipsis__":
            return Ellipsis
        if name == "__slice__" and isinstance(inner, Mapping):
            parts = [self.admit(inner.get(part), f"{where}.{part}", layer, depth + 1) for part in ("start", "stop", "step")]
            if all(part is None or isinstance(part, int) for part in parts):
                return slice(*parts)
        if name == "__bytes__" and isinstance(inner, Mapping) and isinstance(inner.get("value"), str):
            return inner["value"].encode("utf-8", "surrogatepass")
        if name in ("__numpy__", "__tensor__") and isinstance(inner, Mapping):
            return self.numbers(inner, where)
        self.wrong(where, f"{name} holds {inner!r:.80}")
        return None

    def numbers(self, inner: Mapping[str, Any], where: str) -> Any:
        """An array given by nested lists and a type."""
        try:
            dtype = np.dtype(str(inner.get("dtype", "float32")))
            if dtype.kind in "fiub":
                return np.array(inner.get("value"), dtype)
            self.wrong(where, f"an array of {dtype} is not read")
        except (TypeError, ValueError, OverflowError) as error:
            self.wrong(where, f"it is no array ({error})")
        return None
