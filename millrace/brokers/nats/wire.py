"""NATS's text protocol on one connection: bytes become messages, commands become bytes.

The commands are those of docs.nats.io/reference/reference-protocols/nats-protocol. Nothing here knows of JetStream.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, cast

import msgspec

CRLF = b"\r\n"
HEADER_LINE = b"NATS/1.0"
_GREETING = b"INFO "
_SHOWN = 40  # bytes of what somebody said who is no NATS
_LONGEST_LINE = 65_536  # bytes of a control line; the server's INFO names every server of its cluster

OnMessage = Callable[[int, bytes, bytes, bytes, bytes], None]
"""Called with the subscription's number, the subject, the reply subject, the header block and the body."""


class Wire(asyncio.Protocol):
    """One connection: hands over what comes, remembers what the server said of itself, and when it may be written to.

    `info` is the server's first word, `lost` is done when the connection is gone, with the reason as its result.
    """

    def __init__(self, on_message: OnMessage, on_error: Callable[[str], None]) -> None:
        loop = asyncio.get_running_loop()
        self.info: asyncio.Future[dict[str, Any]] = loop.create_future()
        self.lost: asyncio.Future[str] = loop.create_future()
        self.transport: asyncio.Transport | None = None
        self.heard = True  # anything, since somebody last set it to False
        self._on_message = on_message
        self._on_error = on_error
        self._pongs: deque[asyncio.Future[None]] = deque()
        self._parts: list[bytes] = []  # of a message that is not whole yet
        self._held = 0  # bytes in them
        self._needed = 0  # bytes without which there is no use in looking again
        self._room = asyncio.Event()
        self._room.set()
        self._said = ""
        self._greeted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        reason = self._said or (str(exc) if exc else "closed by the server")
        self._room.set()
        if not self.lost.done():
            self.lost.set_result(reason)
        if not self.info.done():
            self.info.set_exception(ConnectionError(reason))
            self.info.exception()  # whether somebody waits for it or not
        while self._pongs:
            self._pongs.popleft().cancel()

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()

    def data_received(self, data: bytes) -> None:
        self.heard = True
        if self._held:  # joined once, however many pieces a large message comes in
            self._parts.append(data)
            self._held += len(data)
            if self._held < self._needed:
                return
            data = b"".join(self._parts)
            self._parts, self._held, self._needed = [], 0, 0
        rest = self._parse(data)
        if rest < len(data):
            self._parts, self._held = [data[rest:]], len(data) - rest
            self._needed -= rest

    def write(self, data: bytes) -> None:
        """Send commands; they are lost with the connection."""
        if self.transport is not None and not self.transport.is_closing():  # uvloop's raises once it is closed
            self.transport.write(data)

    async def room(self) -> None:
        """Return when the socket takes more, so that memory stays flat whatever is to be sent."""
        await self._room.wait()

    def ping(self) -> asyncio.Future[None]:
        """Done once the server has read everything that was written before; cancelled with the connection."""
        pong: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.lost.done():
            pong.cancel()
            return pong
        self._pongs.append(pong)
        self.write(b"PING\r\n")
        return pong

    def _parse(self, data: bytes) -> int:
        """Hand over every whole command; the number of bytes that were used."""
        if not self._greeted and not _GREETING.startswith(data[: len(_GREETING)]):
            self._refuse(f"it said {data[:_SHOWN]!r}")
            return len(data)
        at, end, find = 0, len(data), data.find
        while (newline := find(CRLF, at)) >= 0:
            kind = data[at : at + 1]
            if kind == b"M" or kind == b"H":
                start = newline + 2
                words = data[at:newline].split()
                stop = start + int(words[-1])
                if stop + 2 > end:
                    self._needed = stop + 2
                    return at
                body = start + int(words[-2]) if kind == b"H" else start
                reply = words[3] if len(words) == (6 if kind == b"H" else 5) else b""
                self._on_message(int(words[2]), words[1], reply, data[start:body], data[body:stop])
                at = stop + 2
            else:
                line = data[at:newline]
                at = newline + 2
                self._command(line)
        if end - at > _LONGEST_LINE:
            self._refuse("what came is not NATS's protocol")
            return end
        return at

    def _refuse(self, reason: str) -> None:
        """End a connection on which nobody speaks NATS."""
        self._said = reason
        if self.transport is not None:
            self.transport.abort()

    def _command(self, line: bytes) -> None:
        if line == b"PING":
            self.write(b"PONG\r\n")
        elif line == b"PONG":
            if self._pongs and not (pong := self._pongs.popleft()).done():
                pong.set_result(None)
        elif line.startswith(_GREETING):
            self._greeted = True
            if not self.info.done():
                self._introduce(line)
        elif line.startswith(b"-ERR"):
            self._said = line[4:].strip().strip(b"'").decode(errors="replace")
            self._on_error(self._said)

    def _introduce(self, line: bytes) -> None:
        try:
            self.info.set_result(msgspec.json.decode(line[len(_GREETING) :], type=dict[str, Any]))
        except msgspec.DecodeError:
            self._refuse(f"it said {line[:_SHOWN]!r}")


def pub(subject: str, body: bytes, reply: str = "") -> bytes:
    """A message without headers."""
    return b"PUB %s %s %d\r\n%s\r\n" % (subject.encode(), reply.encode(), len(body), body)


def hpub(subject: str, head: bytes, body: bytes, reply: str = "") -> bytes:
    """A message with a header block."""
    return b"HPUB %s %s %d %d\r\n%s%s\r\n" % (
        subject.encode(),
        reply.encode(),
        len(head),
        len(head) + len(body),
        head,
        body,
    )


def head_of(headers: dict[str, str]) -> bytes:
    """A header block; names and values must be printable."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return b"NATS/1.0\r\n%s\r\n" % lines.encode()


def headers_in(head: bytes) -> dict[str, str]:
    """The headers of a block by their names in lower case; what is not text is replaced."""
    headers: dict[str, str] = {}
    for line in head.decode(errors="replace").split("\r\n")[1:-2]:
        name, colon, value = line.partition(":")
        if colon:
            headers[name.lower()] = value.strip()
    return headers


def status_in(head: bytes) -> tuple[int, str]:
    """The status of a block without a message, as 404 "No Messages"; 0 where it has none."""
    line = head[len(HEADER_LINE) : head.find(CRLF)].strip()
    code, _, text = line.partition(b" ")
    return (int(code), text.decode(errors="replace")) if code.isdigit() else (0, "")
