"""The Ignite engines of a model."""

from __future__ import annotations

import functools
import logging
import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ignite.engine import Engine

_logger = logging.getLogger("torchkeras.engine")
_logger.addHandler(logging.NullHandler())


@functools.cache
def engine_class() -> type[Engine]:
    """Ignite's engine, with events that nobody listens to passed over at once."""
    from ignite.engine import Engine

    class QuickEngine(Engine):
        """An engine whose events cost next to nothing: no message is made for a log that nobody keeps."""

        def _fire_event(self, event_name: Any, *event_args: Any, **event_kwargs: Any) -> None:
            handlers = self._event_handlers.get(event_name)
            if handlers and (event_args or event_kwargs or _logger.isEnabledFor(logging.DEBUG)):
                super()._fire_event(event_name, *event_args, **event_kwargs)
                return
            self.last_event_name = event_name
            for handler, args, kwargs in handlers or ():
                if args and isinstance(args[0], weakref.ref):  # Ignite keeps the engine itself so
                    handler(args[0](), *args[1:], **kwargs)
                else:
                    handler(*args, **kwargs)

    QuickEngine.__name__ = QuickEngine.__qualname__ = "Engine"
    return QuickEngine


class Engines(dict):
    """The engines of a model and their present steps; a copy of the model starts without them."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: dict[str, Any] = {}

    def get_or_make(self, which: str) -> Engine:
        """The engine that runs "train", "test" or "predict"."""
        if which not in self:
            steps = self.steps
            engine = self[which] = engine_class()(lambda engine, batch: steps[which](engine, batch))
            engine.logger = _logger
        return self[which]

    def __reduce_ex__(self, protocol: Any) -> Any:
        return (Engines, ())

    def __deepcopy__(self, memo: Any) -> Engines:
        return Engines()
