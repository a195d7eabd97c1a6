"""A process that dies at any call of an outbox to its broker or its ledger: nothing lost, no effect twice."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from millrace.broker import Broker, Queue, dead_letters
from millrace.brokers.memory import MemoryBroker
from millrace.brokers.outbox import Outbox
from millrace.database import Database
from millrace.errors import BrokerError, StorageError, TooLarge, UnknownQueue
from millrace.store import Ledger
from millrace.stores.memory import MemoryResults, MemoryTables
from millrace.stores.memory_ledger import MemoryLedger
from millrace.stores.sqlite import SqliteLedger, SqliteTables
from millrace.testing import ManualClock
from millrace.testing.bench import outcome
from millrace.types import Accepted, Commit, Lease, Message, Outcome, Put, Row
from tests.conformance.outbox_parts import Forgetful

IDS = ["m0", "m1", "m2"]
LEASE_S = 10.0


class Died(Exception):
    """The process is gone: neither an error of the broker nor one of the storage, which somebody might survive."""


class Witness:
    """Any broker or ledger, whose calls are counted together with the other's; the chosen one is the last."""

    def __init__(self, inner: object, fate: Fate) -> None:
        self._inner = inner
        self._fate = fate

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found):
            return found

        async def call(*positional: object, **named: object) -> object:
            self._fate.meets(name, "before")
            result = await found(*positional, **named)
            self._fate.meets(name, "after")
            return result

        return call


class Fate:
    """At which call of all the process dies, before or after it; None: it lives."""

    def __init__(self, at: int | None, when: Literal["before", "after"], error: BaseException | None = None) -> None:
        self.calls: list[str] = []
        self._at = at
        self._when = when
        self._error = error or Died()

    def meets(self, name: str, when: str) -> None:
        if when == "before":
            self.calls.append(name)
        if self._at == len(self.calls) - 1 and when == self._when:
            raise self._error


class World:
    """What survives the process: a broker that forgets, and a ledger with its table."""

    def __init__(self, inner: Broker, ledger: Ledger, table: Any, clock: ManualClock) -> None:
        self.inner = inner
        self.ledger = ledger
        self.table = table
        self.clock = clock
        self.runs = itertools.count(1)

    def process(self, fate: Fate) -> Outbox:
        inner: Any = Witness(self.inner, fate)
        ledger: Any = Witness(self.ledger, fate)
        return Outbox(inner, ledger, clock=self.clock)

    async def work(self, outbox: Outbox) -> None:
        """A life: messages are put, as by a client that repeats itself, and worked off."""
        await outbox.declare([Queue("work", LEASE_S, max_receives=None), Queue("out", LEASE_S)])
        await outbox.put([Put("work", Message(id, b"x"), dedupe=f"key of {id}") for id in IDS])
        await self.work_off(outbox)

    async def work_off(self, outbox: Outbox) -> None:
        while leases := await outbox.take("work", 2):
            await outbox.settle(Commit("work", [self.done(lease) for lease in leases]))

    def done(self, lease: Lease) -> Outcome:
        """The outcome of running a message: a row that tells one run from another, and an output."""
        id, run = lease.message.id, next(self.runs)
        return outcome(
            lease,
            rows=(Row("rows", id, f'{{"id":"{id}","run":{run}}}'.encode()),),
            puts=(Put("out", Message(f"{id}.out", str(run).encode())),),
        )

    async def check(self) -> None:
        """Each message had its effects, once."""
        outbox = Outbox(self.inner, self.ledger, clock=self.clock)
        changes = await self.table.changes(after=0)
        assert sorted((change.key, change.kind) for change in changes) == [(id, "insert") for id in IDS]
        runs = {change.key: change.new for change in changes}
        outputs: list[Lease] = []
        while leases := await outbox.take("out", 1):
            outputs += leases
            assert await outbox.settle(Commit("out", [outcome(each) for each in leases])) == []
        assert sorted(each.message.id for each in outputs) == [f"{id}.out" for id in IDS]
        for each in outputs:
            assert each.message.body in runs[each.message.id.removesuffix(".out")], "the output of the run that counts"
        assert await outbox.take("work", 10) == []
        stats = await outbox.stats("work")
        assert (stats.depth, stats.in_flight, stats.delayed, stats.dead) == (0, 0, 0, 0)
        answers = await outbox.put([Put("work", Message(f"other {id}"), dedupe=f"key of {id}") for id in IDS])
        assert [(answer.id, answer.duplicate) for answer in answers] == [(id, True) for id in IDS]


async def memory(folder: Path) -> World:
    clock = ManualClock()
    tables = MemoryTables(clock)
    return World(Forgetful(clock), MemoryLedger(clock, [tables]), await tables.open("rows", "id", stream=True), clock)


async def sqlite(folder: Path) -> World:
    clock = ManualClock()
    database = Database.open(folder / "test.db", clock=clock)
    tables = SqliteTables(database)
    table = await tables.open("rows", "id", stream=True)
    return World(Forgetful(clock), SqliteLedger(database, [tables]), table, clock)


CALLS = 23  # of a life without a fault


@pytest.mark.parametrize("opened", [memory, sqlite])
async def test_a_life_makes_these_calls(opened: Callable[[Path], Awaitable[World]], tmp_path: Path) -> None:
    world = await opened(tmp_path)
    fate = Fate(None, "before")
    await world.work(world.process(fate))
    await world.check()
    assert len(fate.calls) == CALLS, f"the tests below die at each of these: {fate.calls}"


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("at", range(CALLS))
@pytest.mark.parametrize("opened", [memory, sqlite])
async def test_it_dies(
    opened: Callable[[Path], Awaitable[World]], at: int, when: Literal["before", "after"], tmp_path: Path
) -> None:
    world = await opened(tmp_path)
    with pytest.raises(Died):
        await world.work(world.process(Fate(at, when)))
    world.clock.advance(LEASE_S + 1)
    await world.work(world.process(Fate(None, when)))
    await world.check()


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("at", range(1, CALLS))
async def test_a_call_fails_and_is_tried_again(at: int, when: Literal["before", "after"], tmp_path: Path) -> None:
    """As the flow does: whatever raised is called again by the same process until it works."""
    world = await memory(tmp_path)
    outbox = world.process(Fate(at, when, StorageError("the answer got lost")))
    await outbox.declare([Queue("work", LEASE_S, max_receives=None), Queue("out", LEASE_S)])
    puts = [Put("work", Message(id, b"x"), dedupe=f"key of {id}") for id in IDS]
    await insisting(lambda: outbox.put(puts))
    empty = 0
    while empty < 2:
        leases = await insisting(lambda: outbox.take("work", 2))
        commit = Commit("work", [world.done(lease) for lease in leases])
        await insisting(lambda commit=commit: outbox.settle(commit))
        empty = 0 if leases else empty + 1
        if not leases:
            world.clock.advance(LEASE_S + 1)
    await world.check()


async def insisting(action: Callable[[], Awaitable[Any]]) -> Any:
    try:
        return await action()
    except StorageError:
        return await action()


async def started(folder: Path, **settings: Any) -> tuple[World, Outbox]:
    world = await memory(folder)
    outbox = world.process(Fate(None, "before"))
    await outbox.declare([Queue("work", LEASE_S, **settings), Queue("out", LEASE_S)])
    return world, outbox


async def test_of_two_that_ran_a_copy_the_first_to_commit_wins(tmp_path: Path) -> None:
    world, outbox = await started(tmp_path)
    await world.inner.put([Put("work", Message("m0")), Put("work", Message("m0"))])
    (first,) = await outbox.take("work", 1)
    (second,) = await outbox.take("work", 1)
    winner, late = world.done(second), world.done(first)
    assert await outbox.settle(Commit("work", [winner])) == []
    assert await outbox.settle(Commit("work", [late])) == [first]
    assert await world.table.get("m0") == winner.rows[0].value
    assert len(await world.inner.peek("out")) == 1
    assert (await world.inner.stats("work")).in_flight == 0, "the copy is gone as well"


async def test_copies_in_one_batch_run_once(tmp_path: Path) -> None:
    world, outbox = await started(tmp_path)
    await world.inner.put([Put("work", Message(id)) for id in ("m0", "m1", "m0")])
    leases = await outbox.take("work", 5)
    assert [lease.message.id for lease in leases] == ["m0", "m1"]
    assert (await world.inner.stats("work")).in_flight == 2


async def test_copies_in_one_commit_have_one_effect(tmp_path: Path) -> None:
    world, outbox = await started(tmp_path)
    await world.inner.put([Put("work", Message("m0")), Put("work", Message("m0"))])
    leases = [*await outbox.take("work", 1), *await outbox.take("work", 1)]
    assert await outbox.settle(Commit("work", [outcome(leases[0], "dead"), world.done(leases[1])])) == [leases[0]]
    assert await world.table.get("m0") is not None
    assert await world.inner.peek(dead_letters("work")) == [], "done is more than dead"


async def test_a_retry_of_what_another_has_done_is_dropped_at_its_next_take(tmp_path: Path) -> None:
    world, outbox = await started(tmp_path)
    await world.inner.put([Put("work", Message("m0")), Put("work", Message("m0"))])
    (first,), (second,) = await outbox.take("work", 1), await outbox.take("work", 1)
    await outbox.settle(Commit("work", [world.done(first)]))
    assert await outbox.settle(Commit("work", [outcome(second, "retry")])) == []
    assert await outbox.take("work", 1) == []
    assert (await world.inner.stats("work")).depth == 0


async def test_a_dead_letter_sent_back_by_other_means_runs(tmp_path: Path) -> None:
    world, outbox = await started(tmp_path)
    await outbox.put([Put("work", Message("m0"))])
    await outbox.settle(Commit("work", [outcome(each, "dead") for each in await outbox.take("work", 1)]))
    assert await world.inner.move(dead_letters("work"), "work") == 1
    (lease,) = await outbox.take("work", 1)
    assert await outbox.settle(Commit("work", [world.done(lease)])) == []
    assert await world.table.get("m0") is not None


async def test_a_moved_message_runs_where_its_id_was_done(tmp_path: Path) -> None:
    _world, outbox = await started(tmp_path)
    await outbox.put([Put("out", Message("m0"))])
    await outbox.settle(Commit("out", [outcome(each) for each in await outbox.take("out", 1)]))
    await outbox.put([Put("work", Message("m0")), Put("work", Message("m1"))])
    assert await outbox.move("work", "out", ["m0"]) == 1
    assert [lease.message.id for lease in await outbox.take("out", 1)] == ["m0"]
    again = await outbox.put([Put("work", Message("m0")), Put("work", Message("m1")), Put("out", Message("m0"))])
    assert [answer.duplicate for answer in again] == [False, True, True]


@pytest.mark.parametrize("verb", ["purge", "move"])
async def test_what_may_have_left_a_queue_is_not_known(verb: str, tmp_path: Path) -> None:
    """A broker that cannot be looked into does not say what was purged: then a put is no duplicate."""
    world, outbox = await started(tmp_path)
    world.inner.capabilities = msgspec.structs.replace(world.inner.capabilities, browsable=False)
    await outbox.put([Put("work", Message("m0"))])
    await (outbox.purge("work") if verb == "purge" else outbox.move("work", "out"))
    (answer,) = await outbox.put([Put("work", Message("m0"))])
    assert not answer.duplicate


async def test_what_was_done_stays_while_its_outputs_cannot_be_put(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world, outbox = await started(tmp_path, max_receives=None)
    await world.inner.put([Put("work", Message("m0")), Put("work", Message("m1"))])
    (lease,) = await outbox.take("work", 1)
    await world.ledger.write(Commit("work", [world.done(lease)]), dedupe_s=1e6, dead_s=1e6)
    await world.inner.drop(["out"])
    world.clock.advance(LEASE_S + 1)
    assert [each.message.id for each in await outbox.take("work", 5)] == ["m1"], "the others go on"
    assert "stay in their queue" in caplog.text
    await world.inner.declare([Queue("out")])
    world.clock.advance(LEASE_S + 1)
    await outbox.take("work", 5)
    assert len(await world.inner.peek("out")) == 1


async def test_a_ledger_that_is_away_costs_no_delivery(tmp_path: Path) -> None:
    world, outbox = await started(tmp_path)
    await outbox.put([Put("work", Message("m0"))])
    away = world.process(Fate(1, "before", StorageError("away")))
    with pytest.raises(StorageError):
        await away.take("work", 1)
    (lease,) = await outbox.take("work", 1)
    assert lease.attempt == 1


async def test_refused_puts_are_known_to_nobody(tmp_path: Path) -> None:
    _world, outbox = await started(tmp_path)
    with pytest.raises(UnknownQueue):
        await outbox.put([Put("work", Message("m0"), dedupe="k"), Put("nowhere", Message("m1"))])
    (answer,) = await outbox.put([Put("work", Message("m2"), dedupe="k")])
    assert (answer.id, answer.duplicate) == ("m2", False), "its key is not bound to what was refused"


async def test_a_key_keeps_its_id_when_its_first_put_is_lost(tmp_path: Path) -> None:
    world, outbox = await started(tmp_path)
    with pytest.raises(Died):
        await world.process(Fate(1, "before")).put([Put("work", Message("m0"), dedupe="k")])
    (answer,) = await outbox.put([Put("work", Message("m1", b"again"), dedupe="k")])
    assert (answer.id, answer.duplicate) == ("m0", False)
    assert await outbox.put([Put("work", Message("m2"), dedupe="k")]) == [Accepted("m0", True, answer.sequence)]


async def test_outputs_that_cannot_be_put_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    world, outbox = await started(tmp_path)
    await outbox.put([Put("work", Message("m0"))])
    (lease,) = await outbox.take("work", 1)
    large = outcome(lease, rows=(Row("rows", "m0", b"{}"),), puts=(Put("out", Message("x", bytes(256_000_001))),))
    with pytest.raises(TooLarge):
        await outbox.settle(Commit("work", [large]))
    with pytest.raises(BrokerError, match="without a death"):
        await outbox.settle(Commit("work", [Outcome(lease, "dead")]))
    assert await world.table.get("m0") is None
    assert await outbox.settle(Commit("work", [outcome(lease)])) == []


async def test_results_are_kept_beside(tmp_path: Path) -> None:
    clock = ManualClock()
    results = MemoryResults(clock)
    outbox = Outbox(Forgetful(clock), MemoryLedger(clock, [MemoryTables(clock), results]), clock=clock)
    await outbox.declare([Queue("work")])
    await outbox.put([Put("work", Message("m0"))])
    await outbox.settle(Commit("work", [outcome(each, "dead") for each in await outbox.take("work", 1)]))
    record = await results.get("m0")
    assert record is not None
    assert record.state == "dead"
    await outbox.close()


async def test_a_letter_is_no_copy_of_what_has_its_id(tmp_path: Path) -> None:
    world, outbox = await started(tmp_path, dead_to="out")
    await outbox.put([Put("work", Message("m0", b"mine")), Put("out", Message("m0", b"other"))])
    await outbox.settle(Commit("work", [outcome(each, "dead") for each in await outbox.take("work", 1)]))
    assert sorted(each.message.body for each in await outbox.take("out", 5)) == [b"mine", b"other"]
    assert (await world.inner.stats("out")).in_flight == 2


async def test_a_known_key_makes_no_purged_message_known(tmp_path: Path) -> None:
    _, outbox = await started(tmp_path)
    await outbox.put([Put("work", Message("m0"), dedupe="k")])
    await outbox.purge("work")
    for dedupe, duplicate in (("k", True), ("", False)):
        (answer,) = await outbox.put([Put("work", Message("m0"), dedupe=dedupe)])
        assert answer.duplicate == duplicate


async def test_a_broker_that_knows_ids_itself_is_believed(tmp_path: Path) -> None:
    clock = ManualClock()
    inner = MemoryBroker(clock)
    outbox = Outbox(inner, MemoryLedger(clock), clock=clock)
    await outbox.declare([Queue("work")])
    await inner.put([Put("work", Message("m0"), dedupe="k")])
    answers = await outbox.put([Put("work", Message("m0")), Put("work", Message("m1"), dedupe="k")])
    assert [(answer.id, answer.duplicate) for answer in answers] == [("m0", True), ("m1", False)]
    assert len(await outbox.take("work", 5)) == 2, "keys are the ledger's: the broker's may be of another time"
