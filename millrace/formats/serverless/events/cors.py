"""Cross-origin settings of `http` events and of provider.httpApi, which spell them differently."""

from __future__ import annotations

from typing import Any

from millrace.config.tree import Node
from millrace.formats.cloudformation.values import below, is_true, items, truth
from millrace.formats.keys import Key, Keys
from millrace.formats.nodes import text
from millrace.formats.serverless.ledger import Ledger
from millrace.formats.serverless.targets import seconds

CORS_KEYS: Keys = {
    "origin": Key("yes"),
    "origins": Key("yes"),
    "headers": Key("yes"),
    "methods": Key("yes"),
    "allowCredentials": Key("yes"),
    "exposedResponseHeaders": Key("yes"),
    "maxAge": Key("yes"),
    "cacheControl": Key("no", "preflight answers carry no Cache-Control"),
}
HTTP_API_CORS_KEYS: Keys = {
    "allowedOrigins": Key("yes"),
    "allowedHeaders": Key("yes"),
    "allowedMethods": Key("yes"),
    "allowCredentials": Key("yes"),
    "exposedResponseHeaders": Key("yes"),
    "maxAge": Key("yes"),
}
_LISTS = {
    "origin": "origins",
    "origins": "origins",
    "allowedOrigins": "origins",
    "headers": "headers",
    "allowedHeaders": "headers",
    "methods": "methods",
    "allowedMethods": "methods",
    "exposedResponseHeaders": "expose",
}


def read_cors(node: Node | None, known: Keys, where: str, ledger: Ledger) -> dict[str, Any]:
    """`{cors: ...}` in millrace.yml's words; nothing where it is not wanted."""
    if node is None:
        return {}
    if not isinstance(node.value, dict):
        return {"cors": True} if is_true(node) else {}
    ledger.examine(node, known, f"{where}.cors")
    cors: dict[str, Any] = {}
    for theirs, ours in _LISTS.items():
        if theirs in known and (found := below(node, theirs)) is not None:
            cors[ours] = _texts(found)
    if (credentials := below(node, "allowCredentials")) is not None:
        cors["credentials"] = truth(credentials)
    if (age := below(node, "maxAge")) is not None:
        cors["max_age"] = seconds(age)
    return {"cors": cors or True}


def _texts(node: Node) -> list[Node]:
    """A list of texts, also where they stand in one text with commas between them."""
    if isinstance(node.value, str):
        return [text(part.strip(), node) for part in node.value.split(",") if part.strip()]
    return items(node)
