"""`http`: a path of a REST API, whose handlers get API Gateway's first payload."""

from __future__ import annotations

from typing import Any

from millrace.config.tree import Node
from millrace.formats.cloudformation.values import is_true, text_of
from millrace.formats.keys import Key, Keys
from millrace.formats.nodes import text
from millrace.formats.serverless.events.asked import Asked
from millrace.formats.serverless.events.cors import CORS_KEYS, read_cors

HTTP_KEYS: Keys = {
    "path": Key("yes"),
    "method": Key("yes"),
    "cors": Key("yes"),
    "private": Key("yes", "asks for one of the API keys"),
    "integration": Key("partly", "lambda-proxy alone"),
    "async": Key("no", "the answer waits for the handler"),
    "authorizer": Key("no", "nobody is asked who he is; on loopback all may call"),
    "request": Key("no", "requests are neither checked nor mapped"),
    "response": Key("no", "answers are not mapped"),
    "operationId": Key("nothing to do"),
    "documentation": Key("nothing to do"),
    "summary": Key("nothing to do"),
    "connectionType": Key("nothing to do"),
    "connectionId": Key("nothing to do"),
    "timeoutInMillis": Key("nothing to do"),
}
_PROXY = ("lambda-proxy", "lambda_proxy", "aws_proxy", "aws-proxy", "proxy")


def read_http(asked: Asked) -> None:
    """One `http` event with payload v1; none, with a warning, for integrations that are not a proxy."""
    integration = asked.get("integration")
    if integration is not None and text_of(integration).lower() not in _PROXY:
        what = f"the integration {integration.shown} does not run here, so this event is left aside"
        asked.warn(integration, what, "lambda-proxy")
        asked.reading.ledger.count(False)
        return
    asked.examine({**HTTP_KEYS, "integration": Key("yes")})
    found = method_and_path(asked)
    if found is None:
        asked.refuse("GET hello, or a mapping with `method:` and `path:`")
        return
    route: dict[str, Any] = {"method": found[0], "path": found[1], "payload": "v1"}
    if is_true(asked.get("private")):
        route["key"] = True
    route |= read_cors(asked.get("cors"), CORS_KEYS, asked.where, asked.reading.ledger)
    asked.add({"http": route})


def method_and_path(asked: Asked) -> tuple[Node, Node] | None:
    """The method and the path of a route's short or long form; None where it has none."""
    if isinstance(asked.node.value, str):
        method, _, path = asked.node.value.strip().partition(" ")
        at: tuple[Node, Node] = (asked.node, asked.node)
        path = path or ("*" if method == "*" else "")
    else:
        method, path = (
            text_of(asked.get("method")) or "*" * (text_of(asked.get("path")) == "*"),
            text_of(asked.get("path")),
        )
        at = (asked.get("method") or asked.node, asked.get("path") or asked.node)
    # `path: ""` is the root in the long form; a short form without a path is none.
    if not method.strip() or not (path.strip() or asked.get("path")):
        return None
    return text("ANY" if method.strip() == "*" else method.strip().upper(), at[0]), text(_path(path), at[1])


def _path(written: str) -> str:
    return "/" + written.strip().strip("/")
