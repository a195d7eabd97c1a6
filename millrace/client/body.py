"""A body as programs have it: bytes as they are, str as UTF-8 text, anything else as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from millrace.errors import Unencodable
from millrace.ids import new_id
from millrace.types import JSON, Message

Body = Any  # bytes, str, or what JSON can hold

_BYTES = "application/octet-stream"
_TEXT = "text/plain; charset=utf-8"


def message(
    body: Body, *, id: str | None = None, attributes: Mapping[str, str] | None = None, group: str = ""
) -> Message:
    """The message that carries `body`; its `content-type` is set unless the attributes do.

    Raises TypeError for a value that JSON cannot hold, Unencodable for text that UTF-8 cannot.
    """
    try:
        content, content_type = _encoded(body)
    except UnicodeEncodeError as error:
        raise Unencodable(
            f"the body has {error.object[error.start]!a}, half of a surrogate pair, which UTF-8 has no form for",
            "make the text with errors='replace', or send the bytes that it was read from",
        ) from None
    return Message(id or new_id(), content, {"content-type": content_type, **(attributes or {})}, group=group)


def _encoded(body: Body) -> tuple[bytes, str]:
    match body:
        case bytes() | bytearray() | memoryview():
            return bytes(body), _BYTES
        case str():
            return body.encode(), _TEXT
    return msgspec.json.encode(body), JSON
