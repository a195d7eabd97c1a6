"""How a body comes in: counted while it arrives, bounded alone, in time, and together with all others in flight."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType

from millrace.sources.http import problems
from millrace.sources.http.requests import WHOLE, Request
from millrace.sources.http.settings import Settings


class Bodies:
    """The memory that bodies of all requests in flight may take."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.buffered_bytes = 0

    def open(self, request: Request) -> Body:
        """The request's body, within `with`: its bytes count as buffered until the block ends."""
        return Body(self, request)


class Body:
    """One request's body; raises problems 408, 413 and 429 while it is read, and reads no further then."""

    __slots__ = ("_bodies", "_request", "size")

    def __init__(self, bodies: Bodies, request: Request) -> None:
        self._bodies = bodies
        self._request = request
        self.size = 0

    def __enter__(self) -> Body:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bodies.buffered_bytes -= self.size

    async def read(self) -> bytes:
        """The whole body."""
        if WHOLE in self._request.scope and not self._is_announced:
            return b""
        chunks: list[bytes] = []
        await self.feed(chunks.append)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def feed(self, sink: Callable[[bytes], object]) -> None:
        """Hand each chunk to `sink` as it arrives."""
        settings = self._bodies.settings
        try:
            self._check_declared(settings.max_body_bytes)
            if WHOLE in self._request.scope or not self._is_announced:
                await self._feed(sink)
            else:
                async with asyncio.timeout(settings.body_timeout_s):
                    await self._feed(sink)
        except TimeoutError:
            raise problems.too_slow(settings.body_timeout_s) from None
        except problems.Problem as problem:
            problem.unread = True
            raise

    async def _feed(self, sink: Callable[[bytes], object]) -> None:
        receive, more = self._request.receive, True
        while more:
            event = await receive()
            if event["type"] == "http.disconnect":
                raise problems.Disconnected
            chunk: bytes = event.get("body", b"")
            more = event.get("more_body", False)
            if chunk:
                self._count(len(chunk))
                sink(chunk)

    @property
    def _is_announced(self) -> bool:
        """Whether there is a body at all: a request that announces none has none (RFC 9112, 6.3)."""
        return self._request.has(b"content-length") or self._request.has(b"transfer-encoding")

    def _check_declared(self, limit: int) -> None:
        declared = self._request.header(b"content-length")
        if declared is not None and declared.isdecimal() and int(declared[:20]) > limit:
            raise problems.too_large(limit, int(declared[:20]))

    def _count(self, size: int) -> None:
        bodies = self._bodies
        self.size += size
        bodies.buffered_bytes += size
        if self.size > bodies.settings.max_body_bytes:
            raise problems.too_large(bodies.settings.max_body_bytes, None)
        if bodies.buffered_bytes > bodies.settings.max_buffered_bytes:
            raise problems.busy("Too many bodies are on their way at once.")
