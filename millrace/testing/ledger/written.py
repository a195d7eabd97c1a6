"""What a commit writes: the first delivery of a message all of its effects, every other one nothing."""

from __future__ import annotations

import asyncio
import math

import msgspec

from millrace.errors import StorageError
from millrace.testing.bench import outcome, raised
from millrace.testing.ledger.bench import LedgerBench, delivery, put, run
from millrace.types import Failure, Record, Row


async def effects_are_written(bench: LedgerBench) -> None:
    """Rows, records and outputs of a commit are there when it returns; outputs until they are sent."""
    await bench.queued(put("a"), put("b"), put("c"))
    dead = outcome(delivery("c"), "dead")
    assert await bench.write(run(delivery("a")), outcome(delivery("b")), dead) == [], "expected none to be late"
    assert await bench.rows() == {"a": b"1"}, "expected the row"
    for id, state in (("a", "done"), ("b", "done"), ("c", "dead")):
        record = await bench.results.get(id)
        assert record is not None, f"expected a record of {id}"
        assert record.state == state, f"expected {id} to be {state}, got {record}"
    assert await bench.ledger.unsent("q", ["a", "b", "c", "x"]) == {
        "a": [put("a.0", queue="out"), put("a.1", queue="out")],
        "b": [],
    }, "expected those that are done, with their outputs as they were"
    await bench.ledger.sent("q", ["a"])
    assert await bench.ledger.unsent("q", ["a"]) == {"a": []}, "expected its outputs to be sent"
    assert await bench.ledger.unsent("other", ["a"]) == {}, "expected another queue not to know it"
    assert [await bench.knows(id) for id in ("a", "b", "c")] == [True] * 3, "expected all to be known"


async def retries_write_nothing(bench: LedgerBench) -> None:
    """Only what has ended is written."""
    await bench.queued(put("a"), put("b"))
    retry, release = run(delivery("a"), verdict="retry"), run(delivery("b"), verdict="release")
    assert await bench.write(retry, release) == [], "expected none to be late"
    assert await bench.rows() == {}, "expected no rows"
    assert await bench.ledger.unsent("q", ["a", "b"]) == {}, "expected none to be done"


async def the_first_delivery_wins(bench: LedgerBench) -> None:
    """What another delivery has done is late: nothing of it is written, its company in the commit is."""
    assert await bench.write(run(delivery("a", 1), b"1")) == [], "expected the first to win"
    late = delivery("a", 2)
    assert await bench.write(run(late, b"2", keys=["shared"]), run(delivery("b"), b"2")) == [late], "expected a late a"
    assert await bench.rows() == {"a": b"1", "b": b"2"}, "expected nothing of what was late"
    dead = delivery("a", 3)
    assert await bench.write(outcome(dead, "dead")) == [dead], "expected what is done to stay done"
    record = await bench.results.get("a")
    assert record is not None, "expected a record"
    assert record.state == "done", f"expected the first's record, got {record}"


async def a_commit_may_be_repeated(bench: LedgerBench) -> None:
    """The same delivery is neither late nor written again: meanwhile another message may have written its row."""
    commit = run(delivery("a"), b"1", keys=["shared"])
    assert await bench.write(commit) == [], "expected it to be written"
    await bench.write(run(delivery("b"), b"2", keys=["shared"]))
    assert await bench.write(commit) == [], "expected it not to be late"
    assert (await bench.rows())["shared"] == b"2", "expected it not to be written again"


async def what_died_may_be_done(bench: LedgerBench) -> None:
    """A dead letter that was sent back runs again, whoever sent it, and dies or is done."""
    await bench.write(run(delivery("a", 1), verdict="dead"))
    assert await bench.ledger.unsent("q", ["a"]) == {}, "expected that a dead message may run"
    assert await bench.write(run(delivery("a", 2), verdict="dead")) == [], "expected it to die again"
    assert await bench.write(run(delivery("a", 3), b"3")) == [], "expected it to be done"
    assert (await bench.rows())["a"] == b"3", "expected the last one's row"


async def of_many_at_once_one_wins(bench: LedgerBench) -> None:
    """Twenty deliveries of one batch commit at the same time: one of them has effects, whole."""
    names = [f"m{number:02}" for number in range(30)]
    commits = [
        [run(delivery(id, number), b"%d" % number) for id in (names if number % 2 else reversed(names))]
        for number in range(20)
    ]
    lost = await asyncio.gather(*(bench.write(*commit) for commit in commits))
    assert sum(map(len, lost)) == 19 * 30, "expected one winner a message"
    winners = {id: number for number, late in enumerate(lost) for id in {*names} - {each.message.id for each in late}}
    assert await bench.rows() == {id: b"%d" % winners[id] for id in names}, "expected the rows of those who won"
    assert len(await bench.table.changes(after=0)) == 30, "expected one write a row"


async def a_write_is_all_or_none(bench: LedgerBench) -> None:
    """A row that cannot be written keeps the whole commit out."""
    nowhere = outcome(delivery("b"), rows=(Row("nowhere", "b", b"1"),))
    await raised(StorageError, bench.write(run(delivery("a")), nowhere))
    assert await bench.rows() == {}, "expected no row"
    assert await bench.ledger.unsent("q", ["a", "b"]) == {}, "expected nothing to be done"
    assert await bench.write(run(delivery("a", 2))) == [], "expected it to be written later"


async def the_last_of_a_key_stays(bench: LedgerBench) -> None:
    """Two messages of a commit that write one row do so in their order."""
    await bench.write(run(delivery("a"), b"1", keys=["k", "k"]), run(delivery("b"), b"2", keys=["k"]))
    assert (await bench.rows())["k"] == b"2", "expected the last"


async def what_the_broker_buried_is_dead(bench: LedgerBench) -> None:
    """Whoever was noted or queued; what has ended keeps its record, and what is not known stays so."""
    await bench.queued(put("queued"), put("done"), put("dead"))
    await bench.note(put("noted"))
    await bench.write(run(delivery("done")), outcome(delivery("dead"), "dead"))
    before = [await bench.results.get(id) for id in ("done", "dead")]
    expired = Failure("Expired", "too late")
    records = [Record(id, "q", "dead", failure=expired) for id in ("queued", "noted", "done", "dead", "nobody")]
    await bench.ledger.bury("q", records, dead_s=math.inf)
    for id in ("queued", "noted"):
        record = await bench.results.wait(id, 0.0)
        assert record == Record(id, "q", "dead", failure=expired), f"expected the record of {id}, got {record}"
        assert await bench.knows(id), f"expected {id} to be known"
    assert [await bench.results.get(id) for id in ("done", "dead")] == before, "expected ended ones to be left alone"
    assert not await bench.knows("nobody"), "expected nothing to be made up"
    assert await bench.ledger.unsent("q", ["queued"]) == {}, "expected that a letter may be sent back and run"
    assert await bench.write(run(delivery("queued"), b"7")) == [], "expected it to be done"
    assert (await bench.rows())["queued"] == b"7", "expected its row"


async def a_death_is_none_of_a_later_message(bench: LedgerBench) -> None:
    """A record of a message that was accepted long before the one that is noted now."""
    await bench.queued(put("a"))
    earlier = Record("a", "q", "dead", accepted_at=1.0)
    await bench.ledger.bury("q", [earlier], dead_s=math.inf)
    record = await bench.results.get("a")
    assert record is None or record.state == "queued", f"expected it to be left alone, got {record}"
    await bench.ledger.bury("q", [msgspec.structs.replace(earlier, accepted_at=0.0)], dead_s=math.inf)
    record = await bench.results.get("a")
    assert record is not None, "expected a record"
    assert record.state == "dead", f"expected it to be dead, got {record}"


CHECKS = (
    effects_are_written,
    retries_write_nothing,
    the_first_delivery_wins,
    a_commit_may_be_repeated,
    what_died_may_be_done,
    of_many_at_once_one_wins,
    a_write_is_all_or_none,
    the_last_of_a_key_stays,
    what_the_broker_buried_is_dead,
    a_death_is_none_of_a_later_message,
)
