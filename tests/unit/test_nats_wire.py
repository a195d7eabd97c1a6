"""NATS's protocol: bytes in any pieces, and what is none of it."""

from __future__ import annotations

import asyncio

import pytest

from millrace.brokers.nats.wire import Wire, head_of, headers_in, hpub, pub, status_in

HEAD = b"NATS/1.0\r\nmillrace-id: a\r\n\r\n"
STREAM = (
    b'INFO {"max_payload":7}\r\n'
    b"MSG plain 1 5\r\nhello\r\n"
    b"MSG replied 2 _INBOX.1 0\r\n\r\n"
    b"HMSG headed 3 %d %d\r\n%s\r\n\r\n\r\n"
    % (len(HEAD), len(HEAD) + 2, HEAD)
    + b"HMSG both 4 $JS.ACK.x %d %d\r\n%sMSG\r\n" % (len(HEAD), len(HEAD) + 3, HEAD)
    + b"PING\r\n-ERR 'Slow Consumer'\r\n"
)
MESSAGES = [
    (1, b"plain", b"", b"", b"hello"),
    (2, b"replied", b"_INBOX.1", b"", b""),
    (3, b"headed", b"", HEAD, b"\r\n"),
    (4, b"both", b"$JS.ACK.x", HEAD, b"MSG"),
]


class Pipe(asyncio.Transport):
    """What is written to it, and whether it was broken off."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.aborted = False

    def write(self, data: bytes) -> None:
        self.written += data

    def abort(self) -> None:
        self.aborted = True

    def is_closing(self) -> bool:
        return self.aborted


class Ear:
    """A wire, and what came through it."""

    def __init__(self, *, greeted: bool = True) -> None:
        self.messages: list[tuple[int, bytes, bytes, bytes, bytes]] = []
        self.errors: list[str] = []
        self.wire = Wire(lambda *message: self.messages.append(message), self.errors.append)
        self.pipe = Pipe()
        self.wire.connection_made(self.pipe)
        if greeted:
            self.wire.data_received(b"INFO {}\r\n")


@pytest.mark.parametrize("size", [1, 2, 3, 7, 20, 1000])
async def test_messages_come_whole_in_whatever_pieces(size: int) -> None:
    ear = Ear(greeted=False)
    for at in range(0, len(STREAM), size):
        ear.wire.data_received(STREAM[at : at + size])
    assert ear.messages == MESSAGES
    assert await ear.wire.info == {"max_payload": 7}
    assert ear.pipe.written == b"PONG\r\n"
    assert ear.errors == ["Slow Consumer"]


async def test_a_large_message_is_joined_once() -> None:
    ear = Ear()
    body = bytes(range(256)) * 4096
    data = b"MSG big 1 %d\r\n%s\r\nMSG next 1 1\r\nx\r\n" % (len(body), body)
    for at in range(0, len(data), 65_536):
        ear.wire.data_received(data[at : at + 65_536])
    assert [message[4] for message in ear.messages] == [body, b"x"]


async def test_what_is_no_nats_is_broken_off() -> None:
    ear = Ear()
    ear.wire.data_received(b"x" * 70_000)
    assert ear.pipe.aborted
    ear.wire.connection_lost(None)
    assert "not NATS" in await ear.wire.lost


async def test_pings_are_answered_in_order_or_cancelled_with_the_connection() -> None:
    ear = Ear()
    first, second = ear.wire.ping(), ear.wire.ping()
    ear.wire.data_received(b"PONG\r\n")
    assert first.done()
    assert not second.done()
    ear.wire.connection_lost(ConnectionResetError("reset"))
    assert second.cancelled()
    assert ear.wire.ping().cancelled(), "expected no pong of a connection that is gone"
    assert await ear.wire.lost == "reset"


async def test_a_connection_that_ends_before_the_greeting() -> None:
    ear = Ear(greeted=False)
    ear.wire.connection_lost(ConnectionResetError("reset"))
    with pytest.raises(ConnectionError, match="reset"):
        await ear.wire.info


@pytest.mark.parametrize(
    "said",
    [
        b"AMQP\x00\x00\t\x01",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",  # whose first letter begins a message with headers
        b"MSG x 1 x\r\n",
        b"+PONG\r\n",
        b"INFO server\r\n",
        b"INFO 3\r\n",
    ],
)
@pytest.mark.parametrize("size", [1, 1000])
async def test_who_greets_otherwise_is_no_nats(said: bytes, size: int) -> None:
    ear = Ear(greeted=False)
    for at in range(0, len(said), size):
        if not ear.pipe.aborted:
            ear.wire.data_received(said[at : at + size])
    assert ear.pipe.aborted
    ear.wire.connection_lost(None)
    with pytest.raises(ConnectionError, match="it said b"):
        await ear.wire.info


async def test_nothing_is_written_to_a_socket_that_is_closed() -> None:
    ear = Ear()
    ear.pipe.abort()  # before the loop has told that the connection is lost
    ear.wire.write(b"PING\r\n")
    assert ear.pipe.written == b""


async def test_a_full_socket_makes_writers_wait() -> None:
    ear = Ear()
    ear.wire.pause_writing()
    waiting = asyncio.ensure_future(ear.wire.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    ear.wire.resume_writing()
    await waiting


def test_headers_come_back() -> None:
    headers = {"millrace-id": "a: b", "odd": "ключ"}
    assert headers_in(head_of(headers)) == headers
    assert headers_in(b"NATS/1.0\r\nContent-Type:  a/b \r\nnothing\r\n\r\n") == {"content-type": "a/b"}
    assert headers_in(b"NATS/1.0 404 No Messages\r\n\r\n") == {}


def test_statuses() -> None:
    assert status_in(b"NATS/1.0 404 No Messages\r\n\r\n") == (404, "No Messages")
    assert status_in(b"NATS/1.0 503\r\n\r\n") == (503, "")
    assert status_in(b"NATS/1.0\r\na: b\r\n\r\n") == (0, "")


def test_publishing() -> None:
    assert pub("a.b", b"hello", "c") == b"PUB a.b c 5\r\nhello\r\n"
    assert hpub("a", HEAD, b"xy") == b"HPUB a  %d %d\r\n%sxy\r\n" % (len(HEAD), len(HEAD) + 2, HEAD)
