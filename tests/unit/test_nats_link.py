"""The connection to a server that is played by the test: who is let in, and what is said where nobody is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest

from millrace.broker_address import parse_address
from millrace.brokers.nats import link as link_module
from millrace.brokers.nats import open_broker
from millrace.brokers.nats.asked import Cut
from millrace.brokers.nats.link import Link
from millrace.errors import BrokerDenied, BrokerError

INFO = {"jetstream": True, "max_payload": 1000, "headers": True}


class Server:
    """Says INFO, and answers each line by what `answer` makes of it."""

    def __init__(self, info: dict[str, object], answer: Callable[[str], bytes | None]) -> None:
        self.info = info
        self.answer = answer
        self.lines: list[str] = []
        self.writers: list[asyncio.StreamWriter] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        writer.write(b"INFO %s\r\n" % json.dumps(self.info).encode())
        while line := (await reader.readline()).decode().strip():
            self.lines.append(line)
            if (said := self.answer(line)) is None:
                break
            writer.write(said)
        writer.close()


@asynccontextmanager
async def played(
    answer: Callable[[str], bytes | None] = lambda line: b"PONG\r\n" if line == "PING" else b"", **info: object
) -> AsyncIterator[Server]:
    server = Server(INFO | info, answer)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    yield server
    listening.close()
    for writer in server.writers:
        writer.close()


def link_to(*ports: int, userinfo: str = "") -> Link:
    hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
    return Link(parse_address(f"nats://{userinfo}{hosts}", {"nats": 4222, "tls": 4222}, environ={}))


@pytest.mark.parametrize(
    ("userinfo", "expected"),
    [("", {}), ("me:secret@", {"user": "me", "pass": "secret"}), ("token@", {"auth_token": "token"})],
)
async def test_credentials_are_said(userinfo: str, expected: dict[str, str]) -> None:
    async with played() as server:
        link = link_to(server.port, userinfo=userinfo)
        await link.connect()
        said = json.loads(server.lines[0].removeprefix("CONNECT "))
        assert {name: said.get(name) for name in ("user", "pass", "auth_token") if name in said} == expected
        assert link.max_payload == 1000
        await link.close()
        await link.close()


async def test_who_is_refused_is_told_what_to_do() -> None:
    async with played() as server:

        def refuse(line: str) -> bytes:
            if line == "PING":
                asyncio.get_running_loop().call_soon(server.writers[0].close)
            return b"-ERR 'Authorization Violation'\r\n" if line == "PING" else b""

        server.answer = refuse
        with pytest.raises(BrokerDenied, match="refuses this user") as refused:
            await link_to(server.port, userinfo="me:secret@").connect()
        assert "MILLRACE_BROKER_PASSWORD" in refused.value.hint
        assert "secret" not in str(refused.value)


async def test_a_connection_that_ends_at_once() -> None:
    async with played(lambda line: None) as server:
        with pytest.raises(BrokerError, match=r"ended the connection"):
            await link_to(server.port).connect()


@pytest.mark.parametrize(
    ("info", "problem"), [({"jetstream": False}, "JetStream is off"), ({"tls_required": True}, "encrypted")]
)
async def test_servers_that_will_not_do(info: dict[str, object], problem: str) -> None:
    async with played(**info) as server:
        with pytest.raises(BrokerError, match=problem):
            await link_to(server.port).connect()


async def test_nobody_there() -> None:
    async with played() as server:
        port = server.port
    with pytest.raises(BrokerError, match="nobody answers") as refused:
        await open_broker(f"nats://me:secret@127.0.0.1:{port}")
    assert "nats-server -js" in refused.value.hint
    assert "secret" not in str(refused.value)


async def test_the_next_host_is_tried() -> None:
    async with played() as gone:
        port = gone.port
    async with played() as server:
        link = link_to(port, server.port)
        await link.connect()
        assert link.connections == 1
        await link.close()


@pytest.mark.parametrize("option", ["replicas=0", "replicas=9", "replicas=many", "window=0", "window=1e9", "color=red"])
async def test_options_are_checked_before_anything_is_asked(option: str) -> None:
    with pytest.raises(BrokerError, match=option.partition("=")[0]):
        await open_broker(f"nats://127.0.0.1:1/?{option}")


async def test_without_a_connection_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "PATIENCE_S", 0.01)
    link = link_to(1)
    with pytest.raises(Cut):
        link.write(b"PING\r\n")
    with pytest.raises(BrokerError, match="cannot be reached"):
        await link.ask("a")


async def test_no_answer_is_said_and_the_servers_words_are_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(link_module, "PATIENCE_S", 0.05)

    def answer(line: str) -> bytes:
        if line == "PING":
            return b"PONG\r\n"
        return b"-ERR 'Permissions Violation for Publish to a'\r\n" if line.startswith("PUB") else b""

    async with played(answer) as server:
        link = link_to(server.port)
        await link.connect()
        with pytest.raises(BrokerError, match="no answer"):
            await link.ask("a", b"x")
        assert "Permissions Violation" in caplog.text
        await link.close()


async def test_a_broker_that_cannot_be_opened_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "PATIENCE_S", 0.05)
    async with played() as server:
        with pytest.raises(BrokerError, match="no answer"):
            await open_broker(f"nats://127.0.0.1:{server.port}")


async def test_a_server_that_greets_and_says_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "_CONNECT_S", 0.05)
    async with played(lambda line: b"") as server:
        with pytest.raises(BrokerError, match="greets and says no more"):
            await link_to(server.port).connect()


async def test_encryption_that_the_server_does_not_have() -> None:
    async with played() as server:
        address = parse_address(f"tls://127.0.0.1:{server.port}", {"nats": 4222, "tls": 4222}, environ={})
        with pytest.raises(BrokerError, match="no encrypted connections") as refused:
            await Link(address).connect()
    assert "nats://" in refused.value.hint


async def test_who_takes_connections_and_says_nothing_does_not_speak_nats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "_CONNECT_S", 0.05)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    listening = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        with pytest.raises(BrokerError, match=f"what answers at 127.0.0.1:{port} does not speak NATS") as refused:
            await link_to(port).connect()
    assert "4222" in refused.value.hint


async def test_who_is_refused_knocks_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is away is back in seconds; one that lets nobody in stays so until a person has done something."""
    drawn: list[float] = []
    refused_twice = asyncio.Event()

    def pauses(first_s: float = 0.1, longest_s: float = 10.0) -> Iterator[float]:
        while True:
            drawn.append(longest_s)
            yield 0.0

    monkeypatch.setattr(link_module, "pauses", pauses)
    async with played() as server, asyncio.timeout(30.0):
        link = link_to(server.port, userinfo="me:secret@")
        await link.connect()
        welcome = server.answer

        def refuse(line: str) -> bytes:
            if line != "PING":
                return b""
            asyncio.get_running_loop().call_soon(server.writers[-1].close)
            if len(drawn) > 2:
                server.answer = welcome
                refused_twice.set()
            return b"-ERR 'Authorization Violation'\r\n"

        server.answer = refuse
        server.writers[0].close()
        await refused_twice.wait()
        await link.up()
        while link.connections < 2:
            await asyncio.sleep(0)
        await link.close()
    assert drawn[:3] == [1.0, 10.0, 10.0]
