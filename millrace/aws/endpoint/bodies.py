"""How a request's body comes in: counted while it arrives, bounded alone, in time, and with all others in flight.

The limits are AWS's own for the largest request of the services that are asked most (DynamoDB's batches: 16 MB);
S3's objects may be larger, up to what one PutObject may hold in memory here, and larger ones come in parts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
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
        self.buffered_bytes = 0

    def read(self, receive: Receive, limit: int, declared: str | None) -> Body:
        """The whole body, whose bytes count as buffered until the block ends. Entering raises Refused, Disconnected."""
        return Body(self, receive, limit, declared)


class Body:
    """One request's, within `async with`; not a generator, since every request pays for it."""

    __slots__ = ("_all", "_declared", "_limit", "_receive", "_size")

    def __init__(self, all: Bodies, receive: Receive, limit: int, declared: str | None) -> None:
        self._all = all
        self._receive = receive
        self._limit = limit
        self._declared = declared
        self._size = 0

    async def __aenter__(self) -> bytes:
        try:
            return await self._read()
        except BaseException:
            self._let_go()
            raise

    async def __aexit__(self, *exc: object) -> None:
        self._let_go()

    async def _read(self) -> bytes:
        declared = self._declared
        if declared is not None and declared.isascii() and declared.isdigit() and int(declared[:20]) > self._limit:
            raise _too_large(self._limit)
        pieces: list[bytes] = []
        more = True
        while more:
            piece, more = await _next(self._receive)
            self._size += len(piece)
            self._all.buffered_bytes += len(piece)
            if self._size > self._limit:
                raise _too_large(self._limit)
            if self._all.buffered_bytes > _MAX_BUFFERED_BYTES:
                raise Refused("Busy", "Too many bodies are on their way at once.")
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _let_go(self) -> None:
        self._all.buffered_bytes -= self._size
        self._size = 0


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
