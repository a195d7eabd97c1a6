"""`httpApi`: a path of an HTTP API, or all that no other path takes."""

from __future__ import annotations

from typing import Any

from millrace.formats.keys import Key, Keys
from millrace.formats.nodes import text
from millrace.formats.serverless.events.asked import Asked
from millrace.formats.serverless.events.http import method_and_path

HTTP_API_KEYS: Keys = {
    "path": Key("yes", "* takes what no other path takes"),
    "method": Key("yes"),
    "authorizer": Key("no", "nobody is asked who he is; on loopback all may call"),
    "timeout": Key("nothing to do"),
    "operationId": Key("nothing to do"),
    "documentation": Key("nothing to do"),
}


def read_http_api(asked: Asked) -> None:
    """One `http` event, with the payload and the cross-origin settings of provider.httpApi."""
    asked.examine(HTTP_API_KEYS)
    found = method_and_path(asked)
    if found is None:
        asked.refuse("'*', GET /hello, or a mapping with `method:` and `path:`")
        return
    method, path = found
    path = text("$default", path) if path.value in ("/*", "/$default") else path
    route: dict[str, Any] = {"method": method, "path": path, "payload": asked.reading.http_payload}
    asked.add({"http": route | asked.reading.http_cors})
