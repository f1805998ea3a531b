"""Names of Keras that are importable, but say on use why they cannot be had."""

from __future__ import annotations

from typing import Any


class Graph:
    """Keras 0.x's Graph model, which Keras 1.0 dropped.

    Raises:
        NotImplementedError: always.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError(
            "Keras 1.0 dropped the Graph model. Write add_input as Input(shape), add_node as layer(tensors) or merge([...]), "
            "and add_output as Model(input=[...], output=[...])."
        )


def make_batches(*args: Any, **kwargs: Any) -> None:
    """Internal to Keras' training loop; batches are cut inside of fit() here.

    Raises:
        NotImplementedError: always.
    """
    raise NotImplementedError("Batches are cut inside of fit(). Use train_on_batch() on slices, or torch.utils.data.DataLoader.")
