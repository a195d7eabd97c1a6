"""The gateway behind real sockets: ports, headers, bodies that never end, and a drain that finishes what runs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from millrace.errors import InUse, MillraceError
from millrace.sources.http import Server
from millrace.sources.http import protocol as protocol_module
from millrace.sources.http import server as server_module
from millrace.sources.http.requests import WHOLE

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "unit"))
from gateway_parts import Parts, done

PNG = {"content-type": "image/png"}


@contextlib.asynccontextmanager
async def serving(app: Any, host: str = "127.0.0.1") -> AsyncIterator[tuple[Server, int]]:
    server = Server(app)
    port = await server.start(host, 0)
    try:
        yield server, port
    finally:
        await server.close()


def client(port: int, **options: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, **options)


async def conversation(port: int, sent: bytes) -> bytes:
    """Send bytes, and read until the server closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    answer = await reader.read()
    writer.close()
    return answer


async def test_a_free_port_is_found_and_told() -> None:
    parts = Parts()
    async with serving(parts.app) as (_, port), client(port) as http:
        response = await http.post("/images", content=b"x" * 100_000, headers=PNG)
        assert response.status_code == 202
        assert "date" in response.headers
        assert "server" not in response.headers
    assert parts.broker.messages[0].body == b"x" * 100_000


async def test_the_server_says_when_all_of_a_body_has_come() -> None:
    told: list[bool] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        told.append(WHOLE in scope)
        while (await receive())["more_body"]:
            pass
        told.append(WHOLE in scope)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        begun.set()

    begun = asyncio.Event()
    async with serving(app) as (_, port):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\nab")
        await begun.wait()
        begun.clear()
        writer.write(b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\na")
        while len(told) < 3:
            await asyncio.sleep(0)
        writer.write(b"b")
        await begun.wait()
        writer.close()
    assert told == [True, True, False, True]


async def test_localhost_is_every_loopback_address() -> None:
    async with serving(Parts().app, "localhost") as (_, port), client(port) as http:
        assert (await http.get("/healthz")).status_code == 200


async def test_answers_do_not_wait_for_acknowledgements() -> None:
    (listener,) = server_module._bind("127.0.0.1", 0)
    assert listener.proto == socket.IPPROTO_TCP  # asyncio sets TCP_NODELAY on what such a listener accepts
    listener.close()


async def test_a_taken_port_says_who_holds_it() -> None:
    async with serving(Parts().app) as (_, port):
        with pytest.raises(InUse) as refused:
            await Server(Parts().app).start("127.0.0.1", port)
    assert f"Port {port}" in refused.value.problem
    assert f"process {os.getpid()}" in refused.value.problem
    assert "--port" in refused.value.hint


async def test_a_taken_port_whose_holder_may_not_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(kind: str) -> None:
        raise server_module.psutil.AccessDenied()

    monkeypatch.setattr(server_module.psutil, "net_connections", denied)
    async with serving(Parts().app) as (_, port):
        with pytest.raises(InUse, match="another program"):
            await Server(Parts().app).start("127.0.0.1", port)


async def test_a_host_is_listened_to_on_all_its_addresses_or_on_none(monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[socket.socket] = []
    listening = server_module._listening

    def twice(host: str, port: int) -> list[tuple[socket.AddressFamily, str]]:
        return [(socket.AF_INET, "127.0.0.1")] * 2

    def watched(family: socket.AddressFamily, address: tuple[str, int]) -> socket.socket:
        held.append(listening(family, address))
        return held[-1]

    monkeypatch.setattr(server_module, "_addresses", twice)
    monkeypatch.setattr(server_module, "_listening", watched)
    with pytest.raises(InUse):
        await Server(Parts().app).start("127.0.0.1", 0)
    assert [listener.fileno() for listener in held] == [-1]


@pytest.mark.parametrize(("host", "why"), [("no-such-host.invalid", "no address"), ("192.0.2.1", "Cannot listen")])
async def test_an_address_of_another_machine_is_refused(host: str, why: str) -> None:
    with pytest.raises(MillraceError, match=why):
        await Server(Parts().app).start(host, 0)


async def test_a_port_that_only_root_may_take(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(self: socket.socket, address: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", denied)
    with pytest.raises(MillraceError, match="port 80"):
        await Server(Parts().app).start("127.0.0.1", 80)


async def test_what_fails_at_start_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(self: Any, sockets: Any = None) -> None:
        raise OSError("no descriptors left")

    monkeypatch.setattr(server_module.uvicorn.Server, "startup", broken)
    with pytest.raises(OSError, match="descriptors"):
        await Server(Parts().app).start("127.0.0.1", 0)


async def test_without_httptools_uvicorns_own_parser_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "millrace.sources.http.protocol", None)
    async with serving(Parts().app) as (_, port), client(port) as http:
        assert (await http.post("/images", content=b"x", headers=PNG)).status_code == 202


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_client_that_sends_all_before_it_reads_hears_why_it_was_refused(chunked: bool) -> None:
    parts = Parts(max_body_bytes=1_000_000)

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 100_000

    async with serving(parts.app) as (_, port), client(port) as http:
        response = await http.post("/images", content=pieces() if chunked else b"x" * 10_000_000, headers=PNG)
    assert response.status_code == 413
    assert response.json()["type"] == "urn:millrace:problem:too-large"
    assert parts.broker.puts == []


async def test_an_endless_body_is_cut_off() -> None:
    parts = Parts(max_body_bytes=1000, linger_s=0.0)
    async with serving(parts.app) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /images HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n")
        writer.write(b"200\r\n" + b"x" * 512 + b"\r\n")
        writer.write(b"200\r\n" + b"x" * 512 + b"\r\n")
        answer = await reader.read()
        writer.close()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"application/problem+json" in answer
    assert b"connection: close" in answer
    assert parts.broker.puts == []


async def test_a_body_that_is_announced_too_large_is_not_asked_for() -> None:
    head = b"POST /images HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: 99999999\r\n\r\n"
    async with serving(Parts(linger_s=0.0).app) as (_, port):
        answer = await conversation(port, head)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"100 Continue" not in answer


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nhost: localhost\r\nx: " + b"x" * 70_000,
        b"GET /" + b"x" * 70_000,
        b"GET / HTTP/1.1\r\nhost: localhost\r\n" + b"x: y\r\n" * 15_000,
    ],
)
async def test_headers_that_never_end_are_cut_off(sent: bytes) -> None:
    async with serving(Parts().app) as (_, port):
        answer = await conversation(port, sent)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b"urn:millrace:problem:headers-too-large" in answer


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HTTP/1.1\r\nhost: local"])
async def test_headers_that_do_not_come_in_time_are_given_up(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol_module, "HEADER_TIMEOUT_S", 0.01)
    async with serving(Parts().app) as (_, port):
        answer = await conversation(port, sent)
    assert answer.startswith(b"HTTP/1.1 408 ")


async def test_the_second_request_of_a_connection_is_timed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(Parts().app) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HEAD /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
        monkeypatch.setattr(protocol_module, "HEADER_TIMEOUT_S", 0.01)
        writer.write(b"HEAD /heal")
        assert (await reader.read()).startswith(b"HTTP/1.1 408 ")
        writer.close()


async def test_requests_on_one_connection_are_counted_one_by_one() -> None:
    async with serving(Parts().app) as (_, port), client(port) as http:
        for _ in range(30):
            response = await http.post("/images", content=b"x" * 5000, headers={**PNG, "x": "y" * 5000})
            assert response.status_code == 202


@pytest.mark.parametrize(
    "sent", [b"\x16\x03\x01 this is TLS\r\n\r\n", b"GET /\xff HTTP/1.1\r\nhost: localhost\r\n\r\n"]
)
async def test_what_is_not_http_is_told_so(sent: bytes) -> None:
    async with serving(Parts().app) as (_, port):
        answer = await conversation(port, sent)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"urn:millrace:problem:not-http" in answer


async def test_a_drain_finishes_requests_in_flight_and_takes_no_more() -> None:
    parts = Parts()
    parts.memory_results.patient = True
    async with serving(parts.app) as (server, port), client(port) as http:
        asked = asyncio.create_task(http.get("/hello/you"))
        await parts.memory_results.waiting.wait()
        parts.is_draining = True
        drained = asyncio.create_task(server.drain(30.0))
        refused = await http.post("/images", content=b"x", headers=PNG)
        assert refused.status_code == 503
        assert refused.headers["retry-after"]
        assert (await http.get("/healthz")).status_code == 200
        assert not drained.done()
        await parts.memory_results.finish(done(parts.memory.puts[0], "finished"))
        assert (await asked).text == "finished"
        await drained
        with pytest.raises(OSError, match=r".*"):
            await asyncio.open_connection("127.0.0.1", port)
    assert not parts.broker.messages


async def test_what_does_not_finish_in_time_is_told_so() -> None:
    parts = Parts()
    parts.memory_results.patient = True
    async with serving(parts.app) as (server, port), client(port) as http:
        asked = asyncio.create_task(http.get("/hello/you"))
        await parts.memory_results.waiting.wait()
        await server.close()
        response = await asked
    assert response.status_code == 503
    assert response.json()["type"] == "urn:millrace:problem:draining"


@pytest.mark.parametrize(
    "asked",
    [
        b"GET /hello/you HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"GET /results/a?wait=60 HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"POST /images HTTP/1.1\r\nhost: localhost\r\nprefer: wait=60\r\ncontent-length: 1\r\n\r\nx",
    ],
)
async def test_nobody_waits_for_a_client_that_went_away(asked: bytes) -> None:
    parts = Parts()
    for results in (parts.results, parts.memory_results):
        results.patient = True
    async with serving(parts.app) as (_, port):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(asked)
        waited = [asyncio.ensure_future(found.waiting.wait()) for found in (parts.results, parts.memory_results)]
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        writer.close()
        left = [asyncio.ensure_future(found.left.wait()) for found in (parts.results, parts.memory_results)]
        await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
        for future in (*waited, *left):
            future.cancel()
    assert parts.memory.purged == [message.id for message in parts.memory.messages]


async def test_closing_twice_or_before_the_start_does_nothing() -> None:
    server = Server(Parts().app)
    await server.close()
    await server.start("127.0.0.1", 0)
    await server.close()
    await server.close()


async def test_signals_stay_with_the_program() -> None:
    import signal

    before = signal.getsignal(signal.SIGTERM)
    async with serving(Parts().app):
        assert signal.getsignal(signal.SIGTERM) is before


async def test_an_error_that_no_one_foresaw_tells_the_client_only_an_id() -> None:
    parts = Parts()
    parts.broker.refusal = RuntimeError("/srv/secret")
    async with serving(parts.app) as (_, port), client(port) as http:
        response = await http.post("/images", content=b"x", headers=PNG)
    assert response.status_code == 500
    assert "secret" not in response.text
    assert response.json()["error_id"]


async def test_a_server_takes_any_asgi_application() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    async with serving(app) as (_, port), client(port) as http:
        assert (await http.get("/")).text == "ok"
