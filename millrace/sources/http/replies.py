"""A whole response as one value, and how it goes out over ASGI."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.types import Send

JSON = b"application/json"
_BODILESS = frozenset({204, 304})

encode = msgspec.json.Encoder().encode


class Reply(msgspec.Struct, frozen=True):
    """A status, a body and its headers; `content-length` is added on the way out where the status allows a body."""

    status: int
    body: bytes = b""
    content_type: bytes | None = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()

    async def send(self, send: Send, *, more: bool = False) -> None:
        """Send it; with `more` whoever calls ends the body later."""
        headers, body = list(self.headers), self.body
        if self.status in _BODILESS:
            body = b""
        else:
            headers.append((b"content-length", b"%d" % len(body)))
        if self.content_type is not None:
            headers.append((b"content-type", self.content_type))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": more})


def json_reply(value: Any, *, status: int = 200, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Reply:
    """A value as JSON."""
    return Reply(status, encode(value), JSON, headers)
