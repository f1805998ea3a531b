"""The policy of half floats that compile() takes where it is given none.

Source: tf.keras 2.4.0 `mixed_precision.experimental`, and `mixed_precision` of the releases after it.
"""

from __future__ import annotations

import sys
from typing import Any, Final

from torchkeras import absent, config

# name -> types that layers compute in and keep weights in
POLICIES: Final = {
    "float32": ("float32", "float32"),
    "float64": ("float64", "float64"),
    "float16": ("float16", "float16"),
    "bfloat16": ("bfloat16", "bfloat16"),
    "mixed_float16": ("float16", "float32"),
    "mixed_bfloat16": ("bfloat16", "float32"),
}


class Policy:
    """Which floats a model computes in, and which its weights are kept in.

    Args:
        name: "mixed_float16" or "mixed_bfloat16"; or one float type for everything, such as "float32".
        loss_scale: Must stay as it is: fit() scales float16 losses itself.

    Raises:
        ValueError: another name, or a `loss_scale`.

    Source: tf.keras 2.4.0 `Policy`.
    """

    def __init__(self, name: str, loss_scale: Any = "USE_DEFAULT") -> None:
        if name not in POLICIES:
            raise ValueError(f"Policy takes one of {list(POLICIES)}, but got {name!r}.")
        if loss_scale not in ("USE_DEFAULT", "dynamic", None):
            raise ValueError(f"Policy takes no loss_scale, but got {loss_scale!r}: fit() scales float16 losses itself, by torch.amp.GradScaler.")
        self.name = name
        self.compute_dtype, self.variable_dtype = POLICIES[name]

    def get_config(self) -> dict[str, Any]:
        """Its name."""
        return {"name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Policy:
        """The policy of a config."""
        return cls(config["name"], config.get("loss_scale") or "USE_DEFAULT")

    def __repr__(self) -> str:
        return f"<Policy {self.name!r}>"


def set_policy(policy: Policy | str) -> None:
    """Choose what compile() takes as `mixed_precision` where it is given none.

    Args:
        policy: Its name, or a `Policy`.

    Raises:
        ValueError: another name, or one float type that is not `floatx()`.
    """
    chosen = policy if isinstance(policy, Policy) else Policy(str(policy))
    if chosen.variable_dtype != config.floatx() and not chosen.name.startswith("mixed"):
        raise ValueError(f"set_policy({chosen.name!r}) does not go with floatx() {config.floatx()!r}. Call set_floatx({chosen.name!r}) first.")
    config._settings["policy"] = chosen.name


def global_policy() -> Policy:
    """What `set_policy` chose; at first the policy of `floatx()`."""
    return Policy(config._settings["policy"] or config.floatx())


def get_layer_policy(layer: Any) -> Policy:
    """The policy that a layer is trained under: the global one, since it is a compiled model that has one.

    Args:
        layer: A layer.
    """
    return global_policy()


set_global_policy = set_policy
experimental = sys.modules[__name__]  # tf.keras 2.4.0 keeps these names there


def __getattr__(name: str) -> Any:
    return absent.lookup(__name__, name)
