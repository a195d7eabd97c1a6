"""The client: the same calls, answers and errors over the project's file and over HTTP."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

import millrace
from millrace.app import Backend, open_backend
from millrace.client import AsyncClient, Client, GatewayError, NotFinished, Result
from millrace.client import http as http_module
from millrace.config.load import load
from millrace.errors import (
    BrokerError,
    ConfigError,
    Draining,
    MillraceError,
    QueueFull,
    StorageFull,
    TooLarge,
    Unencodable,
    UnknownQueue,
)
from millrace.sources.http import Readiness, Settings, create_app
from millrace.telemetry import Telemetry
from millrace.types import Commit, Death, Failure, Message, Outcome, Put, Record

PROJECT = """
service: test
queues:
  images: {}
  small: {max_depth: 1}
"""
FAILURE = Failure("builtins.ValueError", "no face")


class Site:
    """A project with somebody who works on its queue by hand."""

    def __init__(self, backend: Backend, client: AsyncClient) -> None:
        self.backend = backend
        self.client = client

    async def take(self) -> list[Message]:
        return [lease.message for lease in await self.backend.broker.take("images", 10)]

    async def finish(self, failure: Failure | None = None) -> None:
        """Take one message and settle it: done with a value, or dead."""
        (lease,) = await self.backend.broker.take("images", 1)
        state = "dead" if failure else "done"
        value = None if failure else msgspec.Raw(b'{"label":"cat"}')
        record = Record(lease.message.id, "images", state, value, failure, 1, "classify", "v1", 10.0, 11.0, 12.5)
        death = Death("dead", failure, "images", 1, 11.0, 12.5) if failure else None
        await self.backend.broker.settle(Commit("images", [Outcome(lease, state, record, death=death)]))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "millrace.yml").write_text(PROJECT)
    return tmp_path


@pytest.fixture(params=["file", "http"])
async def site(request: pytest.FixtureRequest, project: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    backend = await open_backend(load(project))
    target: str | Path = project
    if request.param == "http":
        serve_from(httpx.ASGITransport(gateway(backend)), monkeypatch)
        target = "http://localhost:8400/"
    async with AsyncClient(target) as client:
        yield Site(backend, client)
    await backend.close()


def gateway(backend: Backend) -> Any:
    return create_app(
        settings=Settings("test"),
        routes=[],
        queues=["images", "small"],
        pushes=[],
        broker=backend.broker,
        results=backend.results,
        memory=backend.calls.broker,
        memory_results=backend.calls.results,
        telemetry=Telemetry(),
        readiness=lambda: Readiness(True, {}),
        draining=lambda: False,
    )


def serve_from(transport: httpx.AsyncBaseTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_module.httpx, "AsyncClient", partial(httpx.AsyncClient, transport=transport))


@pytest.mark.parametrize(
    ("body", "sent", "content_type"),
    [
        (b"\x00\xff", b"\x00\xff", "application/octet-stream"),
        (bytearray(b"ab"), b"ab", "application/octet-stream"),
        ("grüße", "grüße".encode(), "text/plain; charset=utf-8"),
        ({"a": [1, None]}, b'{"a":[1,null]}', "application/json"),
        (None, b"null", "application/json"),
    ],
)
async def test_a_body_arrives_as_what_it_is(site: Site, body: Any, sent: bytes, content_type: str) -> None:
    id = await site.client.send("images", body, attributes={"source": "camera"})
    (message,) = await site.take()
    assert (message.id, message.body) == (id, sent)
    assert message.attributes == {"content-type": content_type, "source": "camera"}


async def test_the_senders_content_type_stands(site: Site) -> None:
    await site.client.send("images", b"x", attributes={"content-type": "image/png"})
    assert (await site.take())[0].content_type == "image/png"


async def test_what_json_cannot_hold_is_refused(site: Site) -> None:
    with pytest.raises(TypeError):
        await site.client.send("images", object())


@pytest.mark.parametrize(
    ("how", "where"),
    [
        ({"body": "\ud800"}, "the body has"),
        ({"body": ["\ud800"]}, "the body has"),
        ({"body": "x", "id": "\ud800"}, "its id has"),
        ({"body": "x", "group": "\ud800"}, "its group has"),
        ({"body": "x", "attributes": {"color": "\ud800"}}, "its attribute color has"),
    ],
)
async def test_text_that_utf8_cannot_hold_is_refused(site: Site, how: dict[str, Any], where: str) -> None:
    with pytest.raises(Unencodable, match=where):
        await site.client.send("images", **how)
    assert await site.take() == []


async def test_an_id_that_utf8_cannot_hold_is_refused(site: Site) -> None:
    for asking in (site.client.result("a\ud800"), site.client.wait("a\ud800")):
        with pytest.raises(Unencodable, match=r"the id has '\\ud800' at character 1"):
            await asking


async def test_the_same_id_is_one_message(site: Site) -> None:
    ids = [await site.client.send("images", body, id="order-1") for body in ("first", "second")]
    assert ids == ["order-1", "order-1"]
    assert [message.text() for message in await site.take()] == ["first"]


async def test_many_keep_their_order(site: Site) -> None:
    ids = await site.client.send_many("images", range(5))
    messages = await site.take()
    assert [message.id for message in messages] == ids
    assert [message.json() for message in messages] == list(range(5))
    assert await site.client.send_many("images", []) == []


async def test_many_are_stored_all_or_none(site: Site) -> None:
    with pytest.raises(QueueFull):
        await site.client.send_many("small", ["a", "b"])
    assert (await site.backend.broker.stats("small")).depth == 0


async def test_a_delayed_message_waits_for_its_time(site: Site) -> None:
    await site.client.send("images", "later", delay_s=3600, group="g")
    stats = await site.backend.broker.stats("images")
    assert (stats.depth, stats.delayed) == (0, 1)


async def test_an_unknown_queue_says_which_was_meant(site: Site) -> None:
    with pytest.raises(UnknownQueue, match=r"(?i)did you mean 'images'"):
        await site.client.send("imagse", "x")


async def test_a_result_comes_into_being(site: Site) -> None:
    assert await site.client.result("nothing/of-that-name") is None
    id = await site.client.send("images", "x")
    queued = await site.client.result(id)
    assert queued is not None
    assert (queued.state, queued.finished, queued.duration_s, queued.value) == ("queued", False, None, None)
    await site.finish()
    assert await site.client.result(id) == Result(
        id, "images", "done", {"label": "cat"}, None, 1, "classify", "v1", 10.0, 11.0, 12.5
    )


async def test_wait_ends_with_the_result(site: Site) -> None:
    id = await site.client.send("images", "x")
    waiting = asyncio.create_task(site.client.wait(id))
    await site.finish()
    result = await waiting
    assert (result.finished, result.value, result.duration_s) == (True, {"label": "cat"}, 2.5)


async def test_wait_tells_a_death_and_its_reason(site: Site) -> None:
    id = await site.client.send("images", "x")
    await site.finish(FAILURE)
    result = await site.client.wait(id, 5)
    assert (result.state, result.value, result.failure) == ("dead", None, FAILURE)


async def test_wait_ends_with_its_time(site: Site) -> None:
    id = await site.client.send("images", "x")
    with pytest.raises(NotFinished, match="is queued after 0 s"):
        await site.client.wait(id, 0)
    with pytest.raises(TimeoutError, match="is unknown after"):
        await site.client.wait("never-sent", 0.001)


async def test_a_closed_client_opens_again(site: Site) -> None:
    await site.client.close()
    await site.client.close()
    await site.client.send("images", "x")
    assert len(await site.take()) == 1


class TestSync:
    def test_send_and_wait_from_threads(self, project: Path) -> None:
        with millrace.Client(project) as client:
            ids: list[str] = []
            threads = [threading.Thread(target=lambda: ids.append(client.send("images", "x"))) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert len(set(ids)) == 4
            assert (
                client.send_many(
                    "images",
                    [1, 2],
                )
                != []
            )
            result = client.result(ids[0])
            assert result is not None
            assert result.state == "queued"
            with pytest.raises(NotFinished):
                client.wait(ids[0], timeout_s=0)

    def test_a_closed_client_says_so(self, project: Path) -> None:
        client = Client(project / "millrace.yml")
        client.close()
        client.close()
        with pytest.raises(RuntimeError, match="closed"):
            client.send("images", "x")

    def test_a_project_that_is_not_there_says_so_at_once(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"millrace\.yml|nowhere"):
            Client(tmp_path / "nowhere")
        assert "millrace-client" not in {thread.name for thread in threading.enumerate()}


Answer = Callable[[httpx.Request], httpx.Response]


class TestHttp:
    """What a gateway, or what stands in its place, may answer."""

    @pytest.fixture
    def answering(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[Answer], AsyncClient]:
        def client(answer: Answer) -> AsyncClient:
            serve_from(httpx.MockTransport(answer), monkeypatch)
            return AsyncClient("https://gateway.example/base/", token="secret")

        return client

    async def test_the_request(self, answering: Callable[[Answer], AsyncClient]) -> None:
        def answer(request: httpx.Request) -> httpx.Response:
            assert request.url == "https://gateway.example/base/queues/a%2Fb"
            assert request.headers["authorization"] == "Bearer secret"
            assert request.headers["content-type"] == http_module.ENVELOPES
            return httpx.Response(202, json={"ids": ["1"], "queue": "a/b"})

        async with answering(answer) as client:
            assert await client.send("a/b", "x") == "1"

    async def test_the_token_of_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MILLRACE_TOKEN", "from-outside")
        transport = http_module.HttpTransport("http://localhost")
        assert transport._http.headers["authorization"] == "Bearer from-outside"
        await transport.close()
        monkeypatch.delenv("MILLRACE_TOKEN")
        transport = http_module.HttpTransport("http://localhost")
        assert "authorization" not in transport._http.headers
        await transport.close()

    @pytest.mark.parametrize(
        ("kind", "error"),
        [
            ("queue-full", QueueFull),
            ("too-many", TooLarge),
            ("unencodable", Unencodable),
            ("draining", Draining),
            ("starting", BrokerError),
            ("broker-unavailable", BrokerError),
            ("storage-full", StorageFull),
        ],
    )
    async def test_problems_become_errors(
        self, answering: Callable[[Answer], AsyncClient], kind: str, error: type[MillraceError]
    ) -> None:
        problem = {"type": f"urn:millrace:problem:{kind}", "detail": "it is so", "status": 500, "error_id": "e7"}
        client = answering(lambda request: httpx.Response(500, json=problem))
        with pytest.raises(error, match=r"it is so \(error_id e7\)") as caught:
            await client.send("q", "x")
        assert caught.value.hint

    @pytest.mark.parametrize(
        ("response", "message", "status"),
        [
            (httpx.Response(401, json={"type": "urn:x", "title": "A token is needed"}), "A token is needed", 401),
            (httpx.Response(404, text="<html>"), "answered 404 Not Found", 404),
            (httpx.Response(502, text="<html>"), "answered 502 Bad Gateway", 502),
            (httpx.Response(200, text="<html>"), "something else than a millrace gateway", 200),
            (httpx.Response(200, json={"id": 7}), "something else than a millrace gateway", 200),
        ],
    )
    async def test_what_is_no_answer_of_ours(
        self, answering: Callable[[Answer], AsyncClient], response: httpx.Response, message: str, status: int
    ) -> None:
        client = answering(lambda request: response)
        with pytest.raises(GatewayError, match=message) as caught:
            await client.result("x")
        assert (caught.value.status, bool(caught.value.hint)) == (status, True)

    async def test_a_lost_connection_is_tried_once_more_with_the_same_id(
        self, answering: Callable[[Answer], AsyncClient]
    ) -> None:
        bodies: list[bytes] = []

        def answer(request: httpx.Request) -> httpx.Response:
            bodies.append(request.content)
            if len(bodies) == 1:
                raise httpx.RemoteProtocolError("closed")
            return httpx.Response(202, json={"ids": ["1"], "queue": "q"})

        assert await answering(answer).send("q", "x") == "1"
        assert bodies[0] == bodies[1]

    @pytest.mark.parametrize(
        ("error", "message"),
        [
            (httpx.ReadError("reset"), "cannot be reached: reset"),
            (httpx.ConnectError("refused"), "cannot be reached: refused"),
            (httpx.ReadTimeout("slow"), "did not answer in time"),
        ],
    )
    async def test_a_gateway_that_is_not_there(
        self, answering: Callable[[Answer], AsyncClient], error: Exception, message: str
    ) -> None:
        def answer(request: httpx.Request) -> httpx.Response:
            raise error

        with pytest.raises(GatewayError, match=message) as caught:
            await answering(answer).send("q", "x")
        assert (caught.value.status, bool(caught.value.hint)) == (0, True)


async def test_over_http_a_body_above_the_limit_is_too_large(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = await open_backend(load(project))
    serve_from(httpx.ASGITransport(gateway(backend)), monkeypatch)
    async with AsyncClient("http://localhost:8400") as client:
        with pytest.raises(TooLarge):
            await client.send("images", b"x" * 16_000_001)
    await backend.close()


async def test_a_message_put_elsewhere_has_a_result_here(site: Site) -> None:
    await site.backend.broker.put([Put("images", Message("elsewhere", b"1"))])
    result = await site.client.result("elsewhere")
    assert result is not None
    assert result.state == "queued"
