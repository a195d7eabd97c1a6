"""How a request's body comes in: counted while it arrives, bounded alone, in time, and with all others in flight.

The limits are AWS's own for the largest request of the services that are asked most (DynamoDB's batches: 16 MB);
S3's objects may be larger, up to what one PutObject may hold in memory here, and larger ones come in parts.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

from millrace.aws.endpoint.sigv4 import Refused

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

MAX_BODY_BYTES = 16_777_216
MAX_OBJECT_BYTES = 536_870_912  # of a PutObject or a part
_MAX_BUFFERED_BYTES = 1_073_741_824  # of all requests in flight
_PATIENCE_S = 60.0  # between two pieces of a body


class Disconnected(Exception):
    """The client went away."""


class Bodies:
    """The memory that bodies of all requests in flight may take."""

    def __init__(self) -> None:
        self._buffered_bytes = 0

    @asynccontextmanager
    async def read(self, receive: Receive, limit: int, declared: str | None) -> AsyncIterator[bytes]:
        """The whole body, whose bytes count as buffered until the block ends. Raises Refused, Disconnected."""
        pieces: list[bytes] = []
        size = 0
        try:
            if declared is not None and declared.isascii() and declared.isdigit() and int(declared[:20]) > limit:
                raise _too_large(limit)
            more = True
            while more:
                piece, more = await _next(receive)
                size += len(piece)
                self._buffered_bytes += len(piece)
                if size > limit:
                    raise _too_large(limit)
                if self._buffered_bytes > _MAX_BUFFERED_BYTES:
                    raise Refused("Busy", "Too many bodies are on their way at once.")
                pieces.append(piece)
            yield pieces[0] if len(pieces) == 1 else b"".join(pieces)
        finally:
            self._buffered_bytes -= size


async def _next(receive: Receive) -> tuple[bytes, bool]:
    try:
        async with asyncio.timeout(_PATIENCE_S):
            event = await receive()
    except TimeoutError:
        raise Refused("RequestTimeout", f"Nothing of the body came for {_PATIENCE_S:g} s.") from None
    if event["type"] == "http.disconnect":
        raise Disconnected
    return event.get("body", b""), event.get("more_body", False)


def _too_large(limit: int) -> Refused:
    return Refused("RequestTooLarge", f"The request is larger than {limit} bytes.")
