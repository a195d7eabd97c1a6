"""Messages that the inner broker buried by itself: results tell of it, and so does the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from millrace.broker import Capabilities, Queue
from millrace.brokers.outbox import Outbox
from millrace.database import Database
from millrace.errors import BrokerError
from millrace.store import Results
from millrace.stores.sqlite import SqliteLedger, SqliteResults
from millrace.testing import ManualClock
from millrace.testing.bench import outcome
from millrace.types import Commit, Message, Put, Record
from tests.conformance.outbox_parts import Forgetful

LOOK_EVERY_S = 2.0


class Bench:
    """An outbox beside an embedded ledger, and a second process's broker, which buries and tells nobody."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.database = Database.open(folder / "test.db", clock=self.clock)
        self.inner = Forgetful(self.clock)
        self.ledger = SqliteLedger(self.database)
        self.records = SqliteResults(self.database)
        self.outbox = Outbox(self.inner, self.ledger, clock=self.clock)
        self.results: Results = self.outbox.results(self.records)

    async def declare(self, **settings: object) -> None:
        await self.outbox.declare([Queue("letters"), Queue("q", **settings)])  # type: ignore[arg-type]

    async def put(self, *ids: str) -> None:
        await self.outbox.put([Put("q", Message(id, sent_at=self.clock.now())) for id in ids])

    async def bury(self) -> None:
        """Let the messages expire, and the broker notice."""
        self.clock.advance(20.0)
        assert await self.inner.take("q", 100) == []

    async def state(self, id: str = "a") -> str | None:
        record = await self.results.get(id)
        return record and record.state


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    await made.database.close()


async def test_an_expired_message_is_dead_and_stays_so(bench: Bench) -> None:
    await bench.declare(ttl_s=10.0)
    await bench.put("a")
    accepted = await bench.results.get("a")
    assert accepted is not None
    assert accepted.state == "queued"
    await bench.bury()
    record = await bench.results.get("a")
    assert record is not None
    assert record.failure is not None
    assert (record.state, record.failure.type, record.queue) == ("dead", "Expired", "q")
    assert (record.accepted_at, record.finished_at) == (accepted.accepted_at, bench.clock.now())
    stored = await bench.records.get("a")
    assert stored is not None
    assert stored.state == "dead", "expected the ledger to know"
    assert (await bench.outbox.put([Put("q", Message("a"))]))[0].duplicate


async def test_a_message_whose_deliveries_were_all_lost_is_dead(bench: Bench) -> None:
    await bench.declare(lease_s=5.0, max_receives=1)
    await bench.put("a")
    await bench.outbox.take("q", 1)
    await bench.bury()
    record = await bench.results.wait("a", 0.0)
    assert record is not None
    assert record.failure is not None
    assert (record.state, record.failure.type, record.attempts) == ("dead", "LeaseLost", 1)


async def test_who_waits_is_told_of_a_death_that_nobody_saw(bench: Bench) -> None:
    await bench.declare(ttl_s=10.0)
    await bench.put("a")
    began = bench.clock.monotonic()
    stats, looked = bench.inner.stats, asyncio.Event()
    bench.inner.stats = lambda queue: looked.set() or stats(queue)  # type: ignore[assignment,func-returns-value]
    waiting = asyncio.create_task(bench.results.wait("a", 600.0))
    while not looked.is_set():  # the first look finds it queued
        await bench.clock.until_sleeping()
        bench.clock.advance(1.0)
        await asyncio.wait([waiting], timeout=0.01)
    await bench.bury()
    while not (await asyncio.wait([waiting], timeout=0.01))[0]:  # the database is a thread
        bench.clock.advance(1.0)
    record = await asyncio.wait_for(waiting, 10)
    assert bench.clock.monotonic() < began + 100.0, "expected the death long before the time is up"
    assert record is not None
    assert record.state == "dead"


async def test_who_waits_gets_a_result_at_once_and_what_is_known_at_the_end(bench: Bench) -> None:
    await bench.declare()
    await bench.put("a", "b")
    waiting = asyncio.create_task(bench.results.wait("a", 600.0))
    await bench.clock.until_sleeping()
    lease = (await bench.outbox.take("q", 1))[0]
    await bench.outbox.settle(Commit("q", [outcome(lease)]))
    record = await asyncio.wait_for(waiting, 10)
    assert record is not None
    assert record.state == "done"
    late = await bench.results.wait("b", 0.0)
    assert late is not None
    assert late.state == "queued"
    assert await bench.results.wait("nobody", 0.0) is None
    await bench.results.put([Record("x", "q", "done")])
    assert await bench.state("x") == "done"


async def test_a_letter_in_another_queue_is_found(bench: Bench) -> None:
    await bench.declare(ttl_s=10.0, dead_to="letters")
    await bench.put("a")
    await bench.bury()
    assert await bench.state() == "dead"


async def test_a_queue_in_use_is_not_looked_into_where_that_takes_messages_from_it(bench: Bench) -> None:
    plain: Capabilities = msgspec.structs.replace(Forgetful.capabilities, browsable=False)
    bench.inner.capabilities = plain  # type: ignore[misc]
    await bench.declare(ttl_s=10.0, dead_to="letters")
    await bench.put("a")
    await bench.bury()
    assert await bench.state() == "queued"


async def test_letters_in_a_queue_that_cannot_be_looked_at_tell_when_they_are_taken(bench: Bench) -> None:
    plain: Capabilities = msgspec.structs.replace(Forgetful.capabilities, browsable=False)
    bench.inner.capabilities = plain  # type: ignore[misc]
    await bench.declare(ttl_s=10.0, dead_to="letters")
    await bench.put("a", "b")
    await bench.bury()
    (first, second) = await bench.outbox.take("letters", 2)
    assert {first.message.id, second.message.id} == {"a", "b"}
    record = await bench.results.get("a")
    assert record is not None
    assert record.failure is not None
    assert (record.state, record.queue, record.failure.type) == ("dead", "q", "Buried")


async def test_a_letter_that_is_taken_late_is_none_of_a_later_message_of_its_id(bench: Bench) -> None:
    plain: Capabilities = msgspec.structs.replace(Forgetful.capabilities, browsable=False)
    bench.inner.capabilities = plain  # type: ignore[misc]
    await bench.declare(ttl_s=10.0, dead_to="letters", dedupe_s=60.0)
    await bench.put("a")
    await bench.bury()
    bench.clock.advance(100.0)
    await bench.put("a")
    (letter,) = await bench.outbox.take("letters", 2)
    assert letter.message.id == "a"
    assert await bench.state() == "queued"


async def test_a_letter_of_an_earlier_message_of_the_id_is_none_of_this_one(bench: Bench) -> None:
    await bench.declare(ttl_s=1000.0, dead_to="letters", dedupe_s=60.0)
    await bench.put("a")
    bench.clock.advance(2000.0)
    assert await bench.inner.take("q", 1) == []
    bench.clock.advance(100.0)
    await bench.put("a")
    assert await bench.state() == "queued"


async def test_other_letters_are_none_of_ours(bench: Bench) -> None:
    await bench.declare(ttl_s=10.0)
    await bench.outbox.declare([Queue("other", ttl_s=10.0, dead_to="letters"), Queue("letters")])
    await bench.put("b")
    await bench.bury()
    await bench.outbox.declare([Queue("q", dead_to="letters")])
    await bench.put("a")
    await bench.inner.put([Put("letters", Message("a"))])  # no letter, though it has the id
    assert await bench.state("a") == "queued"


async def test_a_letter_without_a_word_is_one_all_the_same(bench: Bench) -> None:
    await bench.declare()
    await bench.put("a")
    await bench.inner.put([Put("q.dead", Message("a"))])  # as another program would
    await bench.inner.purge("q")
    record = await bench.results.get("a")
    assert record is not None
    assert record.failure is not None
    assert record.failure.type == "Buried"


async def test_letters_are_looked_through_now_and_then(bench: Bench) -> None:
    looks = []
    peek = bench.inner.peek
    bench.inner.peek = lambda *given, **named: looks.append(given) or peek(*given, **named)  # type: ignore[assignment]
    await bench.declare(ttl_s=10.0)
    await bench.put("a", "b")
    assert [await bench.state("a"), looks] == ["queued", []], "expected no look where there are no letters"
    await bench.bury()
    await bench.put("c")
    assert await bench.state("a") == "dead"
    assert await bench.state("b") == "queued", "expected no second look so soon"
    bench.clock.advance(LOOK_EVERY_S)
    assert [await bench.state("c"), await bench.state("b")] == ["queued", "dead"], "expected one look for both"
    assert len(looks) == 2


async def test_a_broker_that_is_away_leaves_what_the_ledger_knows(bench: Bench) -> None:
    async def away(*_: object, **__: object) -> None:
        raise BrokerError("away")

    await bench.declare()
    await bench.put("a")
    bench.inner.stats = away  # type: ignore[assignment]
    assert await bench.state() == "queued"


async def test_letters_that_nobody_told_of_are_redriven_and_forgotten_like_any(bench: Bench) -> None:
    await bench.declare(ttl_s=10.0, dedupe_s=60.0)
    await bench.put("a", "b", "c")
    await bench.bury()
    assert await bench.outbox.move("q.dead", "q", ["a"]) == 1
    assert await bench.state("a") == "queued"
    assert await bench.outbox.move("q.dead", "letters", ["b"]) == 1
    assert (await bench.outbox.put([Put("q", Message("b"))]))[0].duplicate is False, "expected it to have left"
    assert await bench.outbox.purge("q.dead") == 1
    assert (await bench.results.get("c")).state == "dead", "expected it to be known for the window"  # type: ignore[union-attr]
    bench.clock.advance(61.0)
    assert await bench.results.get("c") is None
