"""What the embedded queue promises beyond the port: isolation of shared puts, participants, growth, cleanliness."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from millrace.broker import Queue, handle_of, lease_of
from millrace.brokers.memory import MemoryBroker
from millrace.brokers.memory import queue as memory_queue
from millrace.brokers.sqlite import SqliteBroker, statements
from millrace.database import Database
from millrace.errors import BrokerError, QueueFull, StorageError, UnknownQueue
from millrace.testing import FaultyBroker, ManualClock
from millrace.testing.bench import outcome
from millrace.types import Commit, Lease, Message, Outcome, Put, Tried


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database.open(tmp_path / "test.db", clock=ManualClock())
    yield database
    await database.close()


@pytest.fixture
async def broker(database: Database) -> SqliteBroker:
    broker = SqliteBroker(database)
    await broker.declare([Queue("q"), Queue("bounded", max_depth=2)])
    return broker


def putting(queue: str, *ids: str, body: bytes = b"x") -> list[Put]:
    return [Put(queue, Message(id, body)) for id in ids]


async def counted(database: Database, table: str) -> int:
    return await database.read(lambda connection: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


async def remembered(database: Database) -> set[str]:
    return await database.read(lambda connection: {id for (id,) in connection.execute("SELECT id FROM records")})


async def waiting(broker, queue: str) -> list[str]:
    return [peeked.message.id for peeked in await broker.peek(queue, 1000)]


# ---- puts that share a statement


async def test_puts_at_the_same_time_share_a_statement_and_keep_their_answers(broker: SqliteBroker) -> None:
    puts = [broker.put(putting("q", f"m{number % 7}", f"n{number}")) for number in range(20)]
    answers = await asyncio.gather(*puts)
    assert [[answer.id for answer in each] for each in answers] == [[f"m{n % 7}", f"n{n}"] for n in range(20)]
    assert [each[0].duplicate for each in answers] == [False] * 7 + [True] * 13
    assert len(await waiting(broker, "q")) == 27


async def test_a_refused_put_does_not_harm_those_beside_it(broker: SqliteBroker) -> None:
    answers = await asyncio.gather(
        broker.put(putting("q", "a")),
        broker.put(putting("bounded", "1", "2", "3")),
        broker.put(putting("nowhere", "b")),
        broker.put(putting("bounded", "4", "5")),
        broker.put(putting("q", "c")),
        return_exceptions=True,
    )
    assert [type(answer) for answer in answers] == [list, QueueFull, UnknownQueue, list, list]
    assert await waiting(broker, "q") == ["a", "c"]
    assert await waiting(broker, "bounded") == ["4", "5"]


async def test_a_put_that_cannot_be_written_does_not_harm_those_beside_it(broker: SqliteBroker) -> None:
    too_large_a_number = Put("q", Message("odd"), tried=Tried(2**64))
    answers = await asyncio.gather(
        broker.put(putting("q", "a")),
        broker.put([too_large_a_number]),
        broker.put(putting("q", "b")),
        return_exceptions=True,
    )
    assert isinstance(answers[1], OverflowError)
    assert await waiting(broker, "q") == ["a", "b"]


async def test_callers_who_gave_up_harm_nobody(broker: SqliteBroker) -> None:
    odd = Put("q", Message("odd"), tried=Tried(2**64))
    first, gone, bad = (
        asyncio.ensure_future(broker.put(puts)) for puts in (putting("q", "a"), putting("q", "b"), [odd])
    )
    await asyncio.sleep(0)
    gone.cancel()
    bad.cancel()
    assert (await first)[0].id == "a"
    assert "a" in await waiting(broker, "q")


async def test_a_closed_database_refuses_every_put(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "other.db")
    broker = SqliteBroker(database)
    await broker.declare([Queue("q")])
    await database.close()
    answers = await asyncio.gather(*(broker.put(putting("q", id)) for id in "ab"), return_exceptions=True)
    assert [type(answer) for answer in answers] == [StorageError, StorageError]


@pytest.mark.parametrize(("count", "width"), [(1, 1), (3, 3), (16, 16), (17, 32)])
async def test_what_pads_a_statement_is_stored_nowhere(
    database: Database, broker: SqliteBroker, count: int, width: int
) -> None:
    assert statements.width(count) == width
    answers = await broker.put(putting("q", *(f"m{number:02}" for number in range(count))))
    assert [answer.sequence for answer in answers] == [*range(answers[0].sequence, answers[0].sequence + count)]
    assert await counted(database, "messages") == count
    await broker.settle(Commit("q", [outcome(lease) for lease in await broker.take("q", count)]))
    assert len(await remembered(database)) == await counted(database, "records") == count


async def test_thousands_in_one_put(broker: SqliteBroker) -> None:
    ids = [f"m{number:05}" for number in range(2000)]
    accepted = await broker.put(putting("q", *ids))
    assert [answer.id for answer in accepted] == ids
    leases = await broker.take("q", 5000)
    assert [lease.message.id for lease in leases] == ids
    assert await broker.settle(Commit("q", [outcome(lease) for lease in leases])) == []


# ---- commits


async def test_a_participant_that_fails_undoes_the_settle(database: Database, broker: SqliteBroker) -> None:
    class Failing:
        def apply(self, connection: sqlite3.Connection, commit: Commit) -> None:
            connection.execute("INSERT INTO bookmarks VALUES ('s', 'm', x'00')")
            raise StorageError("no", "try again")

    await broker.put(putting("q", "a"))
    leases = await broker.take("q", 1)
    commit = Commit("q", [outcome(lease, puts=(Put("q", Message("out")),)) for lease in leases])
    with pytest.raises(StorageError):
        await SqliteBroker(database, [Failing()]).settle(commit)
    assert (await counted(database, "bookmarks"), await counted(database, "records")) == (0, 0)
    assert await waiting(broker, "q") == ["a"]
    assert await broker.settle(commit) == []


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_what_is_no_outcome_of_this_broker_is_refused(database: Database, kind: str) -> None:
    broker = SqliteBroker(database) if kind == "sqlite" else MemoryBroker()
    await broker.declare([Queue("q")])
    await broker.put(putting("q", "a"))
    (lease,) = await broker.take("q", 1)
    with pytest.raises(BrokerError, match="dead without a death"):
        await broker.settle(Commit("q", [outcome(lease, "dead", death=None)]))
    assert await waiting(broker, "q") == ["a"]


async def test_a_receipt_of_another_broker_is_refused(broker: SqliteBroker) -> None:
    with pytest.raises(BrokerError, match="not a receipt"):
        await broker.settle(Commit("q", [outcome(Lease("q", Message("a"), "other", 1, 0.0))]))


async def test_nothing_is_left_of_what_was_settled(database: Database, broker: SqliteBroker) -> None:
    for verdict in ("done", "dead"):
        await broker.put(putting("q", verdict, body=b"x" * 10_000))
        leases = await broker.take("q", 1)
        await broker.settle(Commit("q", [outcome(lease, verdict) for lease in leases]))
    assert await counted(database, "bodies") == 1
    await broker.purge("q.dead")
    assert await counted(database, "bodies") == 0
    assert await counted(database, "messages") == 0


async def test_old_records_are_forgotten_a_few_at_a_time(database: Database) -> None:
    broker = SqliteBroker(database)
    await broker.declare([Queue("q", dedupe_s=10)])

    async def run(prefix: str, count: int) -> None:
        await broker.put(putting("q", *(f"{prefix}{number}" for number in range(count))))
        await broker.settle(Commit("q", [outcome(lease) for lease in await broker.take("q", count)]))

    await run("a", 400)
    database.clock.advance(11)
    await run("b", 50)
    assert await counted(database, "records") == 450, "it is not yet time to look"
    await run("c", 60)
    assert await counted(database, "records") == 110, "only those within the window are left"


async def test_nothing_is_left_of_what_was_settled_by_its_handle(database: Database, broker: SqliteBroker) -> None:
    for verdict in ("done", "retry"):
        await broker.put(putting("q", verdict, body=b"x" * 10_000))
        (lease,) = await broker.take("q", 1)
        bare = lease_of("q", handle_of(lease.receipt))
        assert await broker.settle(Commit("q", [Outcome(bare, verdict)])) == []
    assert await counted(database, "bodies") == 1
    await broker.settle(Commit("q", [outcome(lease) for lease in await broker.take("q", 1)]))
    assert await counted(database, "bodies") == 0
    assert await remembered(database) == {"done", "retry"}


async def test_one_lease_twice_in_a_commit_is_settled_once(database: Database) -> None:
    for broker in (SqliteBroker(database), MemoryBroker()):
        await broker.declare([Queue("bounded", max_depth=2)])
        await broker.put(putting("bounded", "a", "b"))
        (lease,) = await broker.take("bounded", 1)
        await broker.settle(Commit("bounded", [outcome(lease), outcome(lease)]))
        await broker.put(putting("bounded", "c"))
        with pytest.raises(QueueFull):
            await broker.put(putting("bounded", "d"))


async def test_nothing_is_left_of_a_dropped_queue(database: Database, broker: SqliteBroker) -> None:
    await broker.put([*putting("q", "a", "b", "c", body=b"x" * 10_000), Put("q", Message("d"), dedupe="k")])
    done, dead = await broker.take("q", 2)
    await broker.settle(Commit("q", [outcome(done), outcome(dead, "dead")]))
    await broker.drop(["q"])
    counts = {table: await counted(database, table) for table in ("messages", "bodies", "records", "dedupes")}
    assert counts == dict.fromkeys(counts, 0)
    assert sorted(await broker.queues()) == ["bounded", "bounded.dead"]


async def test_an_id_that_nobody_wants_remembered_is_not_written(database: Database) -> None:
    broker = SqliteBroker(database)
    await broker.declare([Queue("q", dedupe_s=0)])
    await broker.put(putting("q", "plain", "told", "dead"))
    plain, told, dead = await broker.take("q", 3)
    outcomes = [Outcome(plain, "done"), outcome(told), outcome(dead, "dead", record=None)]
    assert await broker.settle(Commit("q", outcomes)) == []
    assert await remembered(database) == {"dead", "told"}


# ---- dedupe keys


async def test_keys_whose_window_is_over_are_forgotten(database: Database) -> None:
    broker = SqliteBroker(database)
    await broker.declare([Queue("q", dedupe_s=10)])
    await broker.put([Put("q", Message(f"a{number}"), dedupe=f"a{number}") for number in range(30)])
    database.clock.advance(11)
    assert await counted(database, "dedupes") == 30
    await broker.put([Put("q", Message(f"b{number}"), dedupe=f"b{number}") for number in range(20)])
    assert await counted(database, "dedupes") == 20, "only those within the window are left"


async def test_puts_without_a_key_cost_no_statement_more(database: Database, broker: SqliteBroker) -> None:
    async def traced(puts: list[Put]) -> int:
        said: list[str] = []
        await database.write(lambda connection: connection.set_trace_callback(said.append))
        await broker.put(puts)
        await database.write(lambda connection: connection.set_trace_callback(None))
        return sum(each.lstrip().startswith(("SELECT", "INSERT", "DELETE", "UPDATE")) for each in said)

    await broker.put(putting("q", "first"))
    assert await traced(putting("q", "a", "b", "c")) == 1
    assert await traced([Put("q", Message("d"), dedupe="k")]) > 1


async def test_the_same_put_twice_is_stored_once(broker: SqliteBroker) -> None:
    put, keyed = Put("q", Message("a")), Put("q", Message("b"), dedupe="k")
    answers = await broker.put([put, keyed, put, keyed])
    assert [answer.duplicate for answer in answers] == [False, False, True, True]
    assert [answer.sequence for answer in answers] == [answers[0].sequence, answers[1].sequence] * 2


# ---- several brokers on one database


async def test_a_queue_dropped_elsewhere_is_soon_unknown(database: Database, broker: SqliteBroker) -> None:
    other = SqliteBroker(database)
    await other.put(putting("q", "a"))
    await broker.drop(["q"])
    other._queues.forget()  # what else takes a second
    with pytest.raises(UnknownQueue):
        await other.put(putting("q", "a"))


async def test_a_queue_declared_elsewhere_is_known(database: Database, broker: SqliteBroker) -> None:
    other = SqliteBroker(database)
    await other.put(putting("q", "a"))
    assert [lease.message.id for lease in await broker.take("q", 1)] == ["a"]


async def test_a_second_declaration_counts_what_is_there(broker: SqliteBroker) -> None:
    await broker.put(putting("q", "a", "b"))
    await broker.declare([Queue("q", max_depth=3)])
    with pytest.raises(QueueFull, match="holds 2 messages of at most 3; 2 more"):
        await broker.put(putting("q", "c", "d"))
    await broker.put(putting("q", "c"))


async def test_a_purge_of_dead_letters_needs_no_living_queue(broker: SqliteBroker) -> None:
    await broker.declare([Queue("lone.dead")])
    await broker.put(putting("lone.dead", "a"))
    assert await broker.purge("lone.dead") == 1


# ---- growth


_OF_LEASES = ["LEASE", "OURS", "EXTEND", "DELETE", "RETRY", "RELEASE", "BURY", "REDIRECT", "MOVE"]
_OF_PUTS = ["PLACES", "FIRSTS", "REMEMBER_KEYS", "FORGET_KEYS"]


async def plan(database: Database, name: str) -> list[str]:
    statement = getattr(statements, name)
    named = {"queue": "q", "limit": 1, "now": 1.0, "window": 1}
    values = named if ":queue" in statement else ["[]"] * statement.count("?")
    steps = await database.read(
        lambda connection: connection.execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
    )
    return [step for *_, step in steps]


@pytest.mark.parametrize("name", ["CANDIDATES", "FIFO_NEAR", "FIFO_FAR", *_OF_LEASES, *_OF_PUTS])
async def test_no_statement_of_the_flow_walks_through_the_queue(database: Database, name: str) -> None:
    steps = await plan(database, name)
    assert steps
    assert not [step for step in steps if step.startswith(("SCAN messages", "SCAN dedupes"))]


@pytest.mark.parametrize("name", _OF_LEASES)
async def test_leased_messages_are_found_by_their_numbers(database: Database, name: str) -> None:
    (step,) = [step for step in await plan(database, name) if "messages" in step]
    assert "INTEGER PRIMARY KEY" in step, "the index of the queue would be walked through"


# ---- the broker that fails on demand


async def test_a_faulty_broker_fails_before_or_after_its_work() -> None:
    broker = FaultyBroker(MemoryBroker())
    await broker.declare([Queue("q")])
    broker.fail("put", "before")
    broker.fail("put", "after", ConnectionError("the answer was lost"))
    with pytest.raises(StorageError, match="made to fail before"):
        await broker.put(putting("q", "a"))
    assert (await broker.stats("q")).depth == 0
    with pytest.raises(ConnectionError):
        await broker.put(putting("q", "a"))
    assert (await broker.stats("q")).depth == 1
    assert (await broker.put(putting("q", "a")))[0].duplicate
    assert broker.calls == {"declare": 1, "put": 3, "stats": 2}
    with pytest.raises(ValueError, match="expected a verb of Broker"):
        broker.fail("fly")


async def test_a_faulty_broker_holds_a_verb_until_it_is_let_go() -> None:
    broker = FaultyBroker(MemoryBroker())
    await broker.declare([Queue("q")])
    reached, go_on = broker.hold("put", "after")
    task = asyncio.ensure_future(broker.put(putting("q", "a")))
    await reached.wait()
    assert await waiting(broker, "q") == ["a"]
    assert not task.done()
    go_on.set()
    assert (await task)[0].id == "a"


async def test_a_faulty_broker_is_a_broker_in_every_verb() -> None:
    broker = FaultyBroker(MemoryBroker(ManualClock()))
    await broker.declare([Queue("q")])
    await broker.put(putting("q", "a", "b"))
    await broker.wait("q", 1.0)
    leases = await broker.extend(await broker.take("q", 1), 5.0)
    assert await broker.settle(Commit("q", [outcome(lease, "dead") for lease in leases])) == []
    assert await broker.move("q.dead", "q") == 1
    assert await broker.purge("q") == 2
    await broker.close()
    assert set(broker.calls) == {"declare", "put", "wait", "take", "extend", "settle", "move", "purge", "close"}


async def test_memory_forgets_ids_whose_window_is_over() -> None:
    clock = ManualClock()
    broker = MemoryBroker(clock)
    await broker.declare([Queue("q", dedupe_s=10)])
    for round in range(50):
        await broker.put(putting("q", f"m{round}"))
        await broker.settle(Commit("q", [outcome(lease) for lease in await broker.take("q", 1)]))
        clock.advance(3)
    assert len(broker._queues["q"]._remembered) < 6


async def test_memory_forgets_the_oldest_of_too_many_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_queue, "MOST_REMEMBERED", 3)
    broker = MemoryBroker(ManualClock())
    await broker.declare([Queue("q")])
    for round in range(10):
        await broker.put(putting("q", f"m{round}"))
        await broker.settle(Commit("q", [outcome(lease) for lease in await broker.take("q", 1)]))
    again = await broker.put([*putting("q", "m6"), *putting("q", "m7")])
    assert [each.duplicate for each in again] == [False, True]


async def test_memory_waits_in_a_line_for_what_is_delayed() -> None:
    clock = ManualClock()
    broker = MemoryBroker(clock)
    await broker.declare([Queue("line", fifo=True)])
    await broker.put([Put("line", Message("a"), delay_s=5)])
    waiting_for_it = asyncio.ensure_future(broker.wait("line", 1e6))
    await clock.until_sleeping()
    clock.advance(5)
    await asyncio.wait_for(waiting_for_it, 30)
    await broker.wait("line", 1e6)
