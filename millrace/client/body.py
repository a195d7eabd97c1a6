"""A body as programs have it: bytes as they are, str as UTF-8 text, anything else as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from millrace.types import JSON, Message, new_id

Body = Any  # bytes, str, or what JSON can hold

_BYTES = "application/octet-stream"
_TEXT = "text/plain; charset=utf-8"


def message(
    body: Body, *, id: str | None = None, attributes: Mapping[str, str] | None = None, group: str = ""
) -> Message:
    """The message that carries `body`; its `content-type` is set unless the attributes do.

    Raises TypeError for a value that JSON cannot hold.
    """
    content, content_type = _encoded(body)
    return Message(id or new_id(), content, {"content-type": content_type, **(attributes or {})}, group=group)


def _encoded(body: Body) -> tuple[bytes, str]:
    match body:
        case bytes() | bytearray() | memoryview():
            return bytes(body), _BYTES
        case str():
            return body.encode(), _TEXT
    return msgspec.json.encode(body), JSON
