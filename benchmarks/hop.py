"""The nearer bound of `warm`: uvicorn, one hop to a process that runs the handler, and nothing else.

    python -m benchmarks.hop PORT HANDLER.py FUNCTION

    request → its event as JSON → a frame to the child → the handler → a frame back → the answer

It keeps no limit, no time-out, no log and no record, knows one route, and dies with its child: it is what process
isolation alone costs behind this HTTP server.
"""

from __future__ import annotations

import asyncio
import os
import runpy
import socket
import sys
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, cast

import msgspec
import uvicorn

_LENGTH_BYTES = 4
_READ_BYTES = 262_144

_encode, _decode = msgspec.json.encode, msgspec.json.decode


class Frames:
    """Bytes in, frames out."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The frames that `data` completes."""
        held, start = self._held + data, 0
        while (begins := start + _LENGTH_BYTES) <= len(held):
            ends = begins + int.from_bytes(held[start:begins], "big")
            if ends > len(held):
                break
            yield held[begins:ends]
            start = ends
        self._held = held[start:]


def frame(data: bytes) -> bytes:
    """Data behind its length."""
    return len(data).to_bytes(_LENGTH_BYTES, "big") + data


class Hop(asyncio.Protocol):
    """The way to the child, which answers in order; frames of one turn of the loop leave together."""

    def __init__(self) -> None:
        self._frames = Frames()
        self._asked: deque[asyncio.Future[bytes]] = deque()
        self._unsent: list[bytes] = []
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        for answer in self._frames.feed(data):
            self._asked.popleft().set_result(answer)

    def ask(self, event: bytes) -> asyncio.Future[bytes]:
        """What the handler returned, as JSON."""
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(frame(event))
        answer = self._loop.create_future()
        self._asked.append(answer)
        return answer

    def _flush(self) -> None:
        self._transport.write(b"".join(self._unsent))
        self._unsent.clear()


class Application:
    """Answers every request with what the handler says."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._hop: Hop | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        hop = self._hop or await self._connect()
        answer = _decode(await hop.ask(_encode(_event(scope))))
        body = answer["body"].encode()
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": answer["statusCode"], "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _connect(self) -> Hop:
        _, self._hop = await asyncio.get_running_loop().create_connection(Hop, sock=self._connection)
        return self._hop


def _event(scope: Any) -> dict[str, Any]:
    return {
        "version": "2.0",
        "rawPath": scope["path"],
        "rawQueryString": scope["query_string"].decode(),
        "headers": {name.decode(): value.decode() for name, value in scope["headers"]},
        "requestContext": {"http": {"method": scope["method"]}},
    }


def answer_all(connection: socket.socket, handler: Callable[[Any, None], Any]) -> None:
    """The child: call the handler for each frame until nobody is there."""
    frames = Frames()
    while data := connection.recv(_READ_BYTES):
        connection.sendall(b"".join(frame(_encode(handler(_decode(event), None))) for event in frames.feed(data)))


def main(port: int, path: str, function: str) -> None:
    """Fork the child, then serve."""
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        ours.close()
        answer_all(theirs, runpy.run_path(path)[function])
        return
    theirs.close()
    ours.setblocking(False)
    uvicorn.run(
        Application(ours),
        interface="asgi3",
        port=port,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])
