"""A TCP proxy on loopback whose connections can be cut or held: the network's faults, made to order.

It has a thread and an event loop of its own, so that a test without one can use it too.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")
_CHUNK_BYTES = 1 << 16
_ABORT = b"\1\0\0\0\0\0\0\0"  # struct linger: on, zero seconds; closing sends RST


class Proxy:
    """Forwards every connection to one address."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._links: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._open = True
        self._server: asyncio.Server | None = None
        self.port = 0

    def start(self) -> None:
        """Listen on a free port, which is `port` from then on."""
        self._thread.start()
        self.port = self._run(self._listen())

    def cut(self) -> int:
        """Break every connection that is open now, without a goodbye; say how many there were."""
        return self._run(self._cut())

    def refuse(self) -> None:
        """Cut, and break each new connection at once, until `accept`."""
        self._open = False
        self.cut()

    def accept(self) -> None:
        """Let connections through again."""
        self._open = True

    def hold(self) -> None:
        """Keep every connection, but let no byte through until `flow`: what a lost network looks like."""
        self._loop.call_soon_threadsafe(self._flowing.clear)

    def flow(self) -> None:
        """Let what was held go on."""
        self._loop.call_soon_threadsafe(self._flowing.set)

    def close(self) -> None:
        """Cut everything and stop listening."""
        self._run(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, doing: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(doing, self._loop).result()

    async def _listen(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _cut(self) -> int:
        links = list(self._links)
        for link in links:
            link.cancel()
        await asyncio.gather(*links, return_exceptions=True)
        return len(links)

    async def _shut(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._cut()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, as a task that `cut` can cancel."""
        link = asyncio.current_task()
        assert link is not None
        self._links.add(link)
        try:
            if self._open:
                await self._link(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # either side went away, or was made to
        finally:
            self._links.discard(link)
            _abort(writer)

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(reader, far_writer))
                both.create_task(self._pump(far_reader, writer))
        except* OSError:
            pass
        finally:
            _abort(far_writer)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(_CHUNK_BYTES):
            await self._flowing.wait()
            writer.write(chunk)
            await writer.drain()
        raise ConnectionResetError  # one side has ended, so does the other


def _abort(writer: asyncio.StreamWriter) -> None:
    handle: socket.socket | None = writer.get_extra_info("socket")
    if handle is not None:
        with contextlib.suppress(OSError):
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
    writer.transport.abort()


@contextmanager
def proxied(host: str, port: int) -> Iterator[Proxy]:
    """A proxy before an address, closed afterwards."""
    proxy = Proxy(host, port)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.close()
