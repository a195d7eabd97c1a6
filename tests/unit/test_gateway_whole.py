"""The gateway over the real broker and results in memory: from a request to its answer and back to its repeat."""

from __future__ import annotations

import asyncio

import httpx
import msgspec
import pytest
from gateway_parts import problem

from millrace.broker import Queue
from millrace.brokers.memory import MemoryBroker
from millrace.source import HttpRequest
from millrace.sources.http import PushRoute, Readiness, Route, Settings, create_app
from millrace.stores.memory import MemoryResults
from millrace.telemetry import Telemetry
from millrace.types import Commit, Outcome, Record

ROUTES = (
    Route("POST", "/images", "classify", "images", "model"),
    Route("GET", "/hello/{name}", "hello", "hello", "handler"),
)


class Mill:
    """A gateway, its brokers, and a function that works off one message when told to."""

    def __init__(self) -> None:
        self.results, self.calls = MemoryResults(), MemoryResults()
        self.broker = MemoryBroker(participants=[self.results])
        self.memory = MemoryBroker(participants=[self.calls])

    async def client(self, **options: int) -> httpx.AsyncClient:
        await self.broker.declare([Queue("images", **options), Queue("mail")])
        await self.memory.declare([Queue("hello", max_receives=1)])
        app = create_app(
            settings=Settings("pets"),
            routes=ROUTES,
            queues=["images"],
            pushes=[PushRoute("/push", "read", "mail")],
            broker=self.broker,
            results=self.results,
            memory=self.memory,
            memory_results=self.calls,
            telemetry=Telemetry(),
            readiness=lambda: Readiness(True, {}),
            draining=lambda: False,
        )
        return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")

    async def work(self, broker: MemoryBroker, queue: str, value: object) -> bytes:
        """Take one message, settle it with this value, and return its body."""
        while not (leases := await broker.take(queue, 1)):
            await broker.wait(queue, 10.0)
        (lease,) = leases
        raw = msgspec.Raw(msgspec.json.encode(value))
        record = Record(lease.message.id, queue, "done", value=raw, attempts=lease.attempt)
        assert await broker.settle(Commit(queue, [Outcome(lease, "done", record)])) == []
        return lease.message.body


async def test_a_posted_message_comes_back_as_its_result() -> None:
    mill = Mill()
    async with await mill.client() as client:
        asked = asyncio.create_task(
            client.post("/images", content=b"x", headers={"prefer": "wait=30", "idempotency-key": "k"})
        )
        assert await mill.work(mill.broker, "images", {"label": "cat"}) == b"x"
        first = await asked
        again = await client.post("/images", content=b"y", headers={"prefer": "wait=30", "idempotency-key": "k"})
        found = await client.get(f"/results/{first.json()['id']}")
    assert first.status_code == 200
    assert first.json()["value"] == {"label": "cat"}
    assert first.json() == again.json() == found.json()
    assert (await mill.broker.stats("images")).depth == 0


async def test_a_call_is_answered_by_its_handler() -> None:
    mill = Mill()
    async with await mill.client() as client:
        asked = asyncio.create_task(client.get("/hello/you"))
        event = await mill.work(mill.memory, "hello", {"statusCode": 200, "body": "hello you"})
        assert (await asked).text == "hello you"
    assert msgspec.json.decode(event, type=HttpRequest).path_parameters == {"name": "you"}


async def test_a_full_queue_takes_none_of_a_requests_messages() -> None:
    mill = Mill()
    async with await mill.client(max_depth=2) as client:
        lines = {"content-type": "application/x-ndjson"}
        response = await client.post("/images", content=b"1\n2\n3", headers=lines)
        problem(response, 429, "queue-full")
        assert response.headers["retry-after"] == "1"
        assert (await mill.broker.stats("images")).depth == 0
        assert (await client.post("/images", content=b"1\n2", headers=lines)).status_code == 202


@pytest.mark.parametrize("repeats", [1, 3])
async def test_a_push_is_queued_once(repeats: int) -> None:
    mill = Mill()
    async with await mill.client() as client:
        for _ in range(repeats):
            assert (await client.post("/push", json={"message": {"messageId": "1"}})).status_code == 204
    assert (await mill.broker.stats("mail")).depth == 1
