"""`RemoteMonitor`: send the values of each epoch to a server."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
import warnings
from collections.abc import Mapping
from typing import Any

from torchkeras.callbacks.base import Callback, is_chief


class RemoteMonitor(Callback):
    """Sends the epoch and its logs to `root + path` by HTTP POST. A server that cannot be reached is a warning; training goes on.

    It needs the standard library alone. Under torchrun the first process alone sends.

    Args:
        root: Address of the server.
        path: Appended to `root`.
        field: Name of the form's field that has the JSON in it.
        headers: Further HTTP headers.
        send_as_json: Send the JSON as the body, instead of in a form.
        timeout: Seconds to wait for the server.

    Source: Keras 2.2.4 and tf.keras 2.4.0 `RemoteMonitor`.
    """

    def __init__(
        self,
        root: str = "http://localhost:9000",
        path: str = "/publish/epoch/end/",
        field: str = "data",
        headers: Mapping[str, str] | None = None,
        send_as_json: bool = False,
        *,
        timeout: float = 10.0,
    ) -> None:
        super().__init__()
        self.root = root
        self.path = path
        self.field = field
        self.headers = headers
        self.send_as_json = send_as_json
        self.timeout = timeout

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if not is_chief():
            return
        values = {name: value.tolist() if hasattr(value, "tolist") else value for name, value in (logs or {}).items()}
        text = json.dumps({"epoch": epoch, **values})
        body = text if self.send_as_json else urllib.parse.urlencode({self.field: text})
        kind = "application/json" if self.send_as_json else "application/x-www-form-urlencoded"
        request = urllib.request.Request(
            self.root + self.path, data=body.encode(), headers={"Content-Type": kind, **(self.headers or {})}, method="POST"
        )
        try:
            urllib.request.urlopen(request, timeout=self.timeout).close()
        except urllib.error.HTTPError as error:  # it was reached, and did not like what it got: Keras leaves that to the server
            error.close()
        except OSError as error:
            warnings.warn(f"Could not reach RemoteMonitor root server at {self.root}: {error}.", RuntimeWarning, stacklevel=2)
