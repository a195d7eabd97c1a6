"""A project whose queue is elsewhere, in this process: how it is put together, several gateways, starts that wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from millrace.app import open_backend, pulse, queue, startup
from millrace.app.backend import Backend
from millrace.app.listener import Listener
from millrace.app.pulse import Pulse
from millrace.app.readiness import Reach
from millrace.app.startup import wait_for_backend
from millrace.app.stores import EmbeddedStore
from millrace.app.triggers import routes_of, sources_of
from millrace.app.up import up
from millrace.broker import Broker
from millrace.brokers.memory import MemoryBroker
from millrace.config.load import load
from millrace.config.schema import Project
from millrace.errors import BrokerDenied, BrokerError, ConfigError, Lasting, StorageDenied, StorageError
from millrace.sources.http import starting
from millrace.telemetry import Telemetry
from millrace.testing import ManualClock
from millrace.types import Commit, Message, Outcome, Put, Record, Row

PROJECT = """
service: pets
gateway: {port: 0}
queues: {images: {}, labels: {}}
tables: {rows: {}}
buckets: {lake: {url: ./lake, poll: 1s}}
functions:
  classify:
    model: app.Model
    events:
      - queue: images
      - schedule: rate(5 minutes)
      - bucket: lake/*.jpg
  called:
    handler: app.handler
    events: [{http: "GET /pets/{id}"}]
"""


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


class Elsewhere:
    """One broker for every backend of the test; `refusals` are raised by those who connect, one each."""

    def __init__(self, clock: ManualClock) -> None:
        self.refusals: list[Exception] = []
        self.asked: list[str] = []
        self._clock = clock
        self._broker = MemoryBroker(clock)

    async def open(self, url: str, *, clock: Any) -> Broker:
        self.asked.append(url)
        if self.refusals:
            raise self.refusals.pop(0)
        return self._broker


@pytest.fixture
def elsewhere(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Elsewhere:
    found = Elsewhere(clock)
    monkeypatch.setattr(queue, "open_broker", found.open)
    monkeypatch.setattr(MemoryBroker, "close", lambda _: asyncio.sleep(0))
    return found


@pytest.fixture
def project(tmp_path: Path, elsewhere: Elsewhere) -> Project:
    (tmp_path / "millrace.yml").write_text(PROJECT)
    return load(tmp_path).model_copy(update={"broker": "able://there"})


@pytest.fixture
async def gateways(project: Project, clock: ManualClock) -> AsyncIterator[list[Backend]]:
    """Two processes of one project."""
    opened = [await open_backend(project, clock=clock) for _ in range(2)]
    yield opened
    for backend in opened:
        await backend.close()


async def test_what_one_process_puts_another_works_off_and_a_third_knows(gateways: list[Backend]) -> None:
    front, worker = gateways
    assert front.broker.capabilities.transactional
    await front.broker.put([Put("images", Message("a", b"1"))])
    (lease,) = await worker.broker.take("images", 10)
    done = Outcome(
        lease,
        "done",
        Record("a", "images", "done", attempts=1),
        rows=(Row("rows", "a", b'{"id":"a"}'),),
        puts=(Put("labels", Message("a.classify.0", b"2")),),
    )
    assert await worker.broker.settle(Commit("images", [done])) == []
    record = await front.results.get("a")
    assert record is not None
    assert record.state == "done"
    assert await front.tables["rows"].get("a") == b'{"id":"a"}'
    assert [each.message.id for each in await front.broker.take("labels", 10)] == ["a.classify.0"]
    (again,) = await front.broker.put([Put("images", Message("a", b"1"))])
    assert again.duplicate


async def test_two_gateways_fire_a_schedule_once(gateways: list[Backend], project: Project, clock: ManualClock) -> None:
    running = [
        asyncio.create_task(source.run(backend.broker.put))
        for backend in gateways
        for source in sources_of(project, backend, clock)
        if source.name == "classify.1"
    ]
    done: set[str] = set()
    taken = 0
    for _ in range(80):  # 20 minutes
        await clock.until_sleeping(2)
        clock.advance(15.0)
        for lease in await gateways[0].broker.take("images", 10):
            taken += 1
            if not await gateways[0].broker.settle(Commit("images", [Outcome(lease, "done", _record(lease.message))])):
                done.add(lease.message.id)
    for task in running:
        task.cancel()
    assert len(done) == taken == 4


async def test_two_gateways_tell_of_a_file_once(
    gateways: list[Backend], project: Project, clock: ManualClock, tmp_path: Path
) -> None:
    running = [
        asyncio.create_task(source.run(backend.broker.put))
        for backend in gateways
        for source in sources_of(project, backend, clock)
        if source.name == "classify.2"
    ]
    await gateways[0].buckets["lake"].put("a.jpg", b"1")
    ids: list[str] = []
    for _ in range(6):
        await clock.until_sleeping(2)
        clock.advance(1.0)
        for lease in await gateways[1].broker.take("images", 10):
            ids.append(lease.message.id)
            await gateways[1].broker.settle(Commit("images", [Outcome(lease, "done", _record(lease.message))]))
    for task in running:
        task.cancel()
    assert len(ids) == 1


def _record(message: Message) -> Record:
    return Record(message.id, "images", "done")


async def test_calls_of_other_processes_have_a_durable_queue(gateways: list[Backend], project: Project) -> None:
    front, worker = gateways
    await front.share_calls()
    await worker.share_calls()
    (route,) = routes_of(project, front.calls_elsewhere.queues)
    assert route.queue == "called.calls"
    await front.calls_elsewhere.broker.put([Put(route.queue, Message("c", b"{}"))])
    (lease,) = await worker.calls_elsewhere.broker.take("called.calls", 1)
    record = Record("c", "called.calls", "done")
    await worker.calls_elsewhere.broker.settle(Commit("called.calls", [Outcome(lease, "done", record)]))
    assert await front.calls_elsewhere.results.wait("c", 1.0) == record


async def test_the_embedded_queue_may_stand_beside_another_database(
    project: Project, clock: ManualClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "far").mkdir()
    far = EmbeddedStore(project.model_copy(update={"root": tmp_path / "far"}), clock)

    async def open_store(project: Project, clock: Any) -> Any:
        return _Far(far)

    monkeypatch.setattr("millrace.app.backend.open_store", open_store)
    backend = await open_backend(project.model_copy(update={"broker": None}), clock=clock)
    await backend.broker.put([Put("images", Message("a", b"1"))])
    (lease,) = await backend.broker.take("images", 10)
    await backend.broker.settle(Commit("images", [Outcome(lease, "done", Record("a", "images", "done"))]))
    assert (await far.results.get("a")) is not None
    await backend.close()
    assert (tmp_path / ".millrace" / "millrace.db").exists()


class _Far:
    """Another database: a store that is not the embedded one of this project."""

    def __init__(self, store: EmbeddedStore) -> None:
        self.results, self.bookmarks, self.ledger = store.results, store.bookmarks, store.ledger
        self.open_table, self.close = store.open_table, store.close


class Waited:
    """Announcements, and what happens at each."""

    def __init__(self, on_told: Callable[[str], None] = lambda _: None) -> None:
        self.told: list[str] = []
        self._on_told = on_told

    def __call__(self, text: str) -> None:
        self.told.append(text)
        self._on_told(text)


async def test_a_start_waits_for_its_broker_and_says_each_reason_once(
    project: Project, elsewhere: Elsewhere, clock: ManualClock
) -> None:
    elsewhere.refusals = [BrokerError("nobody listens", "start it")] * 3 + [BrokerError("wrong password", "see it")]
    told = Waited()
    waiting = asyncio.create_task(wait_for_backend(project, None, told, asyncio.Event(), clock))
    await _advanced_until(waiting, clock)
    backend = await waiting
    assert backend is not None
    await backend.close()
    assert told.told == ["waiting: nobody listens\n  start it", "waiting: wrong password\n  see it"]
    assert len(elsewhere.asked) == 5


async def test_meanwhile_the_gateway_answers_503(project: Project, elsewhere: Elsewhere, clock: ManualClock) -> None:
    elsewhere.refusals = [BrokerError("nobody listens", "start it")]
    asked = asyncio.Event()
    told = Waited(lambda text: asked.set() if "answers 503" in text else None)
    stop = asyncio.Event()
    running = asyncio.create_task(up(project, functions=(), announce=told, stop=stop, clock=clock))
    await asked.wait()
    url = told.told[-1].split()[2]
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        assert (await client.get("/healthz")).status_code == 200
        for method, path in (("GET", "/readyz"), ("POST", "/queues/images"), ("GET", "/pets/1")):
            answer = await client.request(method, path)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
            assert answer.json()["type"] == "urn:millrace:problem:starting"
        clock.advance(1.0)
        while not any("listening" in line for line in told.told):
            await asyncio.sleep(0)
        assert (await client.get("/readyz")).status_code == 200
        assert (await client.post("/queues/images", content=b"1")).status_code == 202
        stop.set()
    assert await running == 0


async def test_the_word_to_stop_ends_the_wait(project: Project, elsewhere: Elsewhere, clock: ManualClock) -> None:
    stop = asyncio.Event()
    elsewhere.refusals = [BrokerError("nobody listens")] * 9
    told = Waited(lambda _: stop.set())
    assert await up(project, gateway=False, announce=told, stop=stop, clock=clock) == 0
    assert len(elsewhere.asked) == 1


async def test_what_will_not_mend_itself_is_not_waited_for(
    project: Project, elsewhere: Elsewhere, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere.refusals = [ConfigError("no such broker")]
    with pytest.raises(ConfigError):
        await wait_for_backend(project, None, Waited(), asyncio.Event(), clock)

    async def damaged(*_: Any) -> Backend:
        raise StorageError("damaged")

    monkeypatch.setattr(startup, "connect", damaged)
    with pytest.raises(StorageError):
        await wait_for_backend(project.model_copy(update={"broker": None}), None, Waited(), asyncio.Event(), clock)


async def test_a_broker_that_is_away_is_told_to_commands_at_once(
    project: Project, elsewhere: Elsewhere, clock: ManualClock
) -> None:
    elsewhere.refusals = [BrokerError("nobody listens")]
    with pytest.raises(BrokerError, match="nobody listens"):
        await open_backend(project, clock=clock)


@pytest.mark.parametrize("refusal", [BrokerDenied("wrong password", "see it"), StorageDenied("no such user")])
async def test_a_password_is_not_waited_for(
    project: Project, elsewhere: Elsewhere, clock: ManualClock, refusal: Exception
) -> None:
    elsewhere.refusals = [refusal]
    told = Waited()
    with pytest.raises(Lasting):
        await wait_for_backend(project, None, told, asyncio.Event(), clock)
    assert told.told == []


async def test_a_worker_that_waits_is_alive_and_not_ready(
    project: Project, elsewhere: Elsewhere, clock: ManualClock
) -> None:
    elsewhere.refusals = [BrokerError("nobody listens", "start it")]
    waits, stop = asyncio.Event(), asyncio.Event()
    told = Waited(lambda text: waits.set() if "waiting" in text else None)
    running = asyncio.create_task(
        up(project, gateway=False, functions=(), announce=told, stop=stop, clock=clock, health=("127.0.0.1", 0))
    )
    await waits.wait()
    assert told.told[0].startswith("health at http://127.0.0.1:")
    async with httpx.AsyncClient(base_url=told.told[0].split()[-1], trust_env=False) as client:
        assert (await client.get("/healthz")).status_code == 200
        answer = await client.get("/readyz")
        assert answer.status_code == 503
        assert "not answered yet" in answer.json()["details"]["away"]
        clock.advance(1.0)
        while not any("running" in line for line in told.told):
            await asyncio.sleep(0)
        while (await client.get("/readyz")).status_code != 200:
            await asyncio.sleep(0)
        stop.set()
    assert await running == 0


class Silent:
    """A broker's `stats` or a database's `get` that fails while `refusal` is set, or waits for it."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.refusal: Exception | asyncio.Event | None = None

    async def __call__(self, name: str) -> Any:
        if isinstance(self.refusal, asyncio.Event):
            await self.refusal.wait()
        elif self.refusal is not None:
            raise self.refusal
        return await self._inner(name)


async def test_a_broker_or_database_that_goes_away_makes_a_process_unready_until_it_is_back(
    project: Project,
    elsewhere: Elsewhere,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    backend = await open_backend(project, clock=clock)
    stats, get = Silent(backend.broker.stats), Silent(backend.results.get)
    monkeypatch.setattr(backend.broker, "stats", stats)
    monkeypatch.setattr(backend.results, "get", get)
    monkeypatch.setattr(pulse, "_PATIENCE_S", 0.01)
    reach = Reach()
    running = asyncio.create_task(Pulse(backend, reach, Telemetry(), clock).run())

    async def until(away: str) -> None:
        while reach.away != away:
            clock.advance(5.0)
            await asyncio.sleep(0.001)

    async with asyncio.timeout(60):
        await until("")
        stats.refusal = BrokerError("nobody listens")
        await until("nobody listens")
        stats.refusal = None
        await until("")
        get.refusal = StorageError("no database")
        await until("no database")
        get.refusal = asyncio.Event()
        await until("the database does not answer within 0 s")
        get.refusal = None
        await until("")
        stats.refusal = asyncio.Event()
        await until("the broker does not answer within 0 s")
        stats.refusal = None
        await until("")
        stats.refusal = RuntimeError("a fault of the adapter")
        while "a fault of the adapter" not in caplog.text:
            clock.advance(5.0)
            await asyncio.sleep(0.001)
        stats.refusal = BrokerError("nobody listens")
        await until("nobody listens")
    running.cancel()
    await backend.close()


async def test_what_starts_speaks_http_alone() -> None:
    with pytest.raises(RuntimeError, match="websocket"):
        await starting({"type": "websocket"}, None, None)  # type: ignore[arg-type]


async def test_a_listener_listens_once(project: Project) -> None:
    listener = Listener(project)
    assert await listener.start() == await listener.start()
    await listener.close()


async def _advanced_until(task: asyncio.Task[Any], clock: ManualClock) -> None:
    while not task.done():
        sleeping = asyncio.ensure_future(clock.until_sleeping())
        await asyncio.wait({task, sleeping}, return_when=asyncio.FIRST_COMPLETED)
        sleeping.cancel()
        clock.advance(1.0)
