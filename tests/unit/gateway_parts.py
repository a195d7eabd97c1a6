"""A gateway over a broker and results that a test steers by hand, and a client that talks to it without sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx
import msgspec
from starlette.types import ASGIApp

from millrace.broker import Broker, Peeked
from millrace.brokers.memory import MemoryBroker
from millrace.clock import Clock
from millrace.sources.http import Caller, PushRoute, Readiness, Route, Settings, create_app
from millrace.store import Results
from millrace.telemetry import Telemetry
from millrace.types import Accepted, Failure, Message, Put, Record

TRACEBACK = 'Traceback (most recent call last):\n  File "app.py", line 1, in predict\nValueError: too dark'


class Queue(Broker):
    """Keeps what was put; raises `refusal` when it is set; only what the gateway uses is here."""

    def __init__(self, on_put: Callable[[Put], None] = lambda put: None) -> None:
        self.capabilities = MemoryBroker.capabilities
        self.puts: list[Put] = []
        self.commits = 0
        self.refusal: Exception | None = None
        self.purged: list[str] = []
        self.buried: list[Peeked] = []
        self._on_put = on_put

    async def put(self, puts: Sequence[Put]) -> list[Accepted]:
        if self.refusal is not None:
            raise self.refusal
        self.commits += 1
        known = {put.message.id for put in self.puts}
        self.puts += [put for put in puts if put.message.id not in known]
        for put in puts:
            self._on_put(put)
        return [Accepted(put.message.id, duplicate=put.message.id in known) for put in puts]

    async def purge(self, queue: str, ids: Sequence[str] | None = None) -> int:
        self.purged += ids or []
        return len(ids or [])

    async def peek(self, queue: str, limit: int = 10, *, ids: Sequence[str] | None = None) -> list[Peeked]:
        return [peeked for peeked in self.buried if queue.endswith(".dead") and peeked.message.id in (ids or ())]

    @property
    def messages(self) -> list[Message]:
        return [put.message for put in self.puts]


Queue.__abstractmethods__ = frozenset()


class Records(Results):
    """Records by id; waits end when `finish` is called, or at once when the test let time run out."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self.waits: list[tuple[str, float]] = []
        self.patient = False
        self.waiting = asyncio.Event()
        self.left = asyncio.Event()
        self._changed = asyncio.Condition()

    async def get(self, id: str) -> Record | None:
        return self.records.get(id)

    async def put(self, records: Sequence[Record]) -> None:
        self.records.update({record.id: record for record in records})

    async def wait(self, id: str, timeout_s: float) -> Record | None:
        self.waits.append((id, timeout_s))
        self.waiting.set()
        try:
            async with self._changed:
                while self.patient and (id not in self.records or self.records[id].state not in ("done", "dead")):
                    await self._changed.wait()
        except asyncio.CancelledError:
            self.left.set()
            raise
        return self.records.get(id)

    async def finish(self, record: Record) -> None:
        async with self._changed:
            self.records[record.id] = record
            self._changed.notify_all()


def done(put: Put, value: Any = None) -> Record:
    """The record of a message that was worked off."""
    return Record(
        id=put.message.id,
        queue=put.queue,
        state="done",
        value=msgspec.Raw(msgspec.json.encode(value)),
        attempts=1,
        function="classify",
        version="v1",
        accepted_at=10.0,
        started_at=11.0,
        finished_at=12.0,
    )


def dead(put: Put, *, retry: bool | None = None) -> Record:
    """The record of a message that failed for good."""
    failure = Failure("builtins.ValueError", "too dark", TRACEBACK, retry=retry)
    return Record(id=put.message.id, queue=put.queue, state="dead", failure=failure, attempts=5, function="classify")


class Parts:
    """Everything around the gateway; `answer` gives each put its record at once."""

    def __init__(
        self,
        *,
        answer: Callable[[Put], Record] | None = None,
        routes: Sequence[Route] | None = None,
        pushes: Sequence[PushRoute] = (),
        queues: Sequence[str] = ("images", "labels"),
        callers: Mapping[str, Caller] | None = None,
        clock: Clock | None = None,
        **settings: Any,
    ) -> None:
        self.results, self.memory_results = Records(), Records()
        self.answer = answer
        self.broker = Queue(lambda put: self._answer(self.results, put))
        self.memory = Queue(lambda put: self._answer(self.memory_results, put))
        self.telemetry = Telemetry()
        self.ready = Readiness(True, {"classify": {"state": "ready"}})
        self.is_draining = False
        self.app: ASGIApp = create_app(
            settings=Settings(service="pets", **settings),
            routes=routes if routes is not None else ROUTES,
            queues=queues,
            pushes=pushes,
            broker=self.broker,
            results=self.results,
            memory=self.memory,
            memory_results=self.memory_results,
            telemetry=self.telemetry,
            readiness=lambda: self.ready,
            draining=lambda: self.is_draining,
            callers=callers or {},
            clock=clock,
        )

    def _answer(self, results: Records, put: Put) -> None:
        if self.answer is not None:
            results.records[put.message.id] = self.answer(put)

    def client(self, **options: Any) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=True)
        return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8400", **options)


ROUTES = (
    Route("POST", "/images", "classify", "images", "model", "Classify a picture"),
    Route("POST", "/pets/{pet}/images", "classify", "images", "model"),
    Route("ANY", "/hello/{name}", "hello", "hello", "handler", payload="v2", timeout_s=3.0),
    Route("GET", "/old", "old", "old", "handler", payload="v1"),
)


def problem(response: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    """The problem in a response, checked for what every problem must have."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    told: dict[str, Any] = response.json()
    assert told["type"] == f"urn:millrace:problem:{kind}"
    assert told["status"] == status
    assert told["title"]
    assert told["detail"]
    assert "Traceback" not in response.text
    return told
