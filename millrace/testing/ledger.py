"""What every Ledger must do. `check_ledger` runs all of it; CHECKS lets a test runner name each part."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from millrace.errors import StorageError
from millrace.store import Ledger, Noted, Results, Table
from millrace.testing.bench import outcome, raised
from millrace.types import Commit, Failure, Lease, Message, Outcome, Put, Record, Row, Verdict

_WINDOW_UNITS = 1000.0


@dataclass
class LedgerBench:
    """An empty ledger, the table `rows` (key `id`, with stream) and the results beside it, and its time.

    `unit_s` is the time in which the checks count windows, and `advance` lets it pass, by hand or really.
    """

    ledger: Ledger
    table: Table
    results: Results
    advance: Callable[[float], Awaitable[None]]
    unit_s: float = 10.0

    async def note(self, *puts: Put, units: float = _WINDOW_UNITS) -> list[Noted]:
        """Note puts into queues with a window of so many units."""
        return await self.ledger.note(puts, [units * self.unit_s] * len(puts))

    async def queued(self, *puts: Put, sequence: int = 0, units: float = _WINDOW_UNITS) -> None:
        """Note puts and confirm them."""
        await self.note(*puts, units=units)
        await self.ledger.confirm(puts, [sequence] * len(puts))

    async def knows(self, id: str, queue: str = "q") -> bool:
        """Whether a put of this id would be a duplicate."""
        return (await self.note(put(id, queue=queue)))[0].known

    async def write(
        self, *outcomes: Outcome, units: float = _WINDOW_UNITS, dead_s: float = math.inf, queue: str = "q"
    ) -> list[Lease]:
        """Write a commit; done messages are known for so many units."""
        return await self.ledger.write(Commit(queue, outcomes), dedupe_s=units * self.unit_s, dead_s=dead_s)

    async def rows(self) -> dict[str, bytes]:
        """Every row."""
        return {row.key: row.value for row in await self.table.scan()}


FreshLedger = Callable[[], AbstractAsyncContextManager[LedgerBench]]


async def check_ledger(fresh: FreshLedger) -> None:
    """Hold a ledger to the port's contract; `fresh` opens an empty one each time.

    Raises AssertionError that says what was expected.
    """
    for check in CHECKS:
        async with fresh() as bench:
            await check(bench)


def put(id: str, key: str = "", queue: str = "q") -> Put:
    """A put of a small message."""
    return Put(queue, Message(id, b"\0body", {"a": "b"}, 1.0), dedupe=key)


def delivery(id: str, number: int = 1, queue: str = "q") -> Lease:
    """A delivery of a message, told from others by its number."""
    return Lease(queue, Message(id), ("receipt", id, number), number, 0.0)


def run(lease: Lease, value: bytes = b"1", verdict: Verdict = "done", keys: Sequence[str] = ()) -> Outcome:
    """The outcome of a run: rows of its id and of other keys, and two outputs."""
    id = lease.message.id
    rows = tuple(Row("rows", key, value) for key in (id, *keys))
    return outcome(lease, verdict, rows=rows, puts=(put(f"{id}.0", queue="out"), put(f"{id}.1", queue="out")))


async def a_note_is_no_knowledge(bench: LedgerBench) -> None:
    """Only a confirmed put is known, in its queue alone; a known one has the place that was confirmed."""
    assert await bench.note(put("a"), put("b")) == [Noted("a"), Noted("b")], "expected both to be unknown"
    assert await bench.note(put("a")) == [Noted("a")], "expected a note to be nobody's knowledge"
    await bench.ledger.confirm([put("a")], [7])
    assert await bench.note(put("a"), put("b")) == [Noted("a", True, 7), Noted("b")], "expected a to be known"
    await bench.ledger.confirm([put("a")], [0])
    assert await bench.note(put("a")) == [Noted("a", True, 7)], "expected its place to stay"
    assert not await bench.knows("a", "other"), "expected another queue not to know it"
    assert await bench.note() == [], "expected nothing of nothing"
    await bench.ledger.confirm([], [])
    await bench.ledger.withdraw([])


async def what_was_withdrawn_is_unknown(bench: LedgerBench) -> None:
    """Withdrawn are notes and keys that nobody confirmed, and nothing else."""
    await bench.queued(put("known", "k"))
    await bench.note(put("a", "l"))
    await bench.ledger.withdraw([put("a", "l"), put("known", "k")])
    assert await bench.knows("known"), "expected what was confirmed to stay"
    free = await bench.note(put("b", "l"), put("c", "k"))
    assert free == [Noted("b"), Noted("known", True, 0, True)], "expected l to be free"


async def a_key_is_bound_to_its_first_id(bench: LedgerBench) -> None:
    """Before it is confirmed others put under the first's id; afterwards they are duplicates of it."""
    assert await bench.note(put("a", "k"), put("b", "k"), put("c", "l")) == [Noted("a"), Noted("a"), Noted("c")]
    assert await bench.note(put("d", "k")) == [Noted("a")], "expected the id that the key is bound to"
    await bench.ledger.confirm([put("a", "k"), put("c", "l")], [3, 4])
    assert await bench.note(put("d", "k"), put("e", "l")) == [Noted("a", True, 3, True), Noted("c", True, 4, True)]
    assert await bench.note(put("d", "k", "other")) == [Noted("d")], "expected another queue's keys to be its own"
    await bench.write(run(delivery("a")))
    assert await bench.note(put("d", "k")) == [Noted("a", True, 3, True)], (
        "expected a settled message's key to be known"
    )


async def a_key_has_a_window(bench: LedgerBench) -> None:
    """It begins with the first put; then the key is free for another id."""
    await bench.queued(put("a", "k"), units=6)
    await bench.advance(3 * bench.unit_s)
    assert await bench.note(put("b", "k"), units=6) == [Noted("a", True, 0, True)], "expected the key to be known"
    await bench.advance(4 * bench.unit_s)
    assert await bench.note(put("b", "k"), units=6) == [Noted("b")], "expected the key to be free"
    await bench.ledger.confirm([put("b", "k")], [2])
    assert await bench.note(put("c", "k"), units=6) == [Noted("b", True, 2, True)], "expected a new window"


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


async def done_is_known_for_its_window(bench: LedgerBench) -> None:
    """Then the message runs again and is known by its new record; dead ones are known until their letter is purged."""
    await bench.queued(put("a"), put("b"))
    await bench.write(run(delivery("a"), b"1"), outcome(delivery("b"), "dead"), units=6)
    await bench.advance(3 * bench.unit_s)
    assert [await bench.knows(id) for id in ("a", "b")] == [True, True], "expected both to be known"
    await bench.advance(4 * bench.unit_s)
    assert [await bench.knows(id) for id in ("a", "b")] == [False, True], "expected the dead one alone"
    assert await bench.ledger.unsent("q", ["a"]) == {}, "expected a to run again"
    assert await bench.write(run(delivery("a", 2), b"2"), units=6) == [], "expected it to be written"
    assert (await bench.rows())["a"] == b"2", "expected the new row"
    assert await bench.knows("a"), "expected it to be known again"
    await bench.ledger.expire("q", ["b"], 3 * bench.unit_s)
    assert await bench.knows("b"), "expected a purged letter's id to be known for the window"
    await bench.advance(4 * bench.unit_s)
    assert not await bench.knows("b"), "expected it to be forgotten"


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


async def doubt_makes_a_put_unconfirmed(bench: LedgerBench) -> None:
    """Only what is queued is in doubt, one or all; what has ended stays known."""
    await bench.queued(put("a"), put("b"), put("c"), put("done"), put("other", queue="other"))
    await bench.write(outcome(delivery("done")))
    await bench.ledger.doubt("q", ["a", "done", "nobody"])
    assert [await bench.knows(id) for id in ("a", "b", "done")] == [False, True, True], "expected a alone in doubt"
    await bench.ledger.doubt("q", None)
    assert [await bench.knows(id) for id in ("b", "done")] == [False, True], "expected b in doubt as well"
    assert await bench.knows("other", "other"), "expected other queues to be left alone"


async def moved_messages_are_queued_there(bench: LedgerBench) -> None:
    """In the target, as far as it is sure which; where they were nothing is known of them."""
    await bench.queued(put("a"), put("b"), put("done"), put("dead"))
    await bench.write(outcome(delivery("done")), outcome(delivery("dead"), "dead"))
    window_s = _WINDOW_UNITS * bench.unit_s
    await bench.ledger.moved("q", "other", None, ["b"], dedupe_s=window_s, sure=True, dead=False)
    assert [await bench.knows(id, "other") for id in ("a", "b", "done", "dead")] == [True, False, False, False]
    assert [await bench.knows(id) for id in ("a", "b", "done", "dead")] == [False, True, True, True]
    await bench.ledger.moved("q", "other", ["dead", "nobody"], [], dedupe_s=window_s, sure=False, dead=True)
    assert not await bench.knows("dead", "other"), "expected what is not sure to be unconfirmed"
    assert not await bench.knows("nobody", "other"), "expected nothing to be made up"


async def a_redriven_message_is_queued(bench: LedgerBench) -> None:
    """Moved back into its own queue, a dead letter is a queued message, with no result yet."""
    await bench.write(outcome(delivery("a"), "dead"), outcome(delivery("b"), "dead"))
    window_s = _WINDOW_UNITS * bench.unit_s
    await bench.ledger.moved("q", "q", ["a"], [], dedupe_s=window_s, sure=True, dead=True)
    assert await bench.knows("a"), "expected it to be known"
    await bench.ledger.doubt("q", None)
    assert [await bench.knows("a"), await bench.knows("b")] == [False, True], "expected it to be queued, not dead"
    record = await bench.results.get("b")
    assert record is not None, "expected the record of what lies there"
    assert record.state == "dead", f"got {record}"


async def what_is_forgotten_is_new(bench: LedgerBench) -> None:
    """Some ids, all that was done, or a queue with all that it knew."""
    await bench.queued(put("a", "k"), put("b"), put("done"), put("again"), put("other", queue="other"))
    await bench.write(run(delivery("done")), run(delivery("again")))
    await bench.ledger.forget("q", ["again", "a"], done=True)
    assert await bench.ledger.unsent("q", ["done", "again"]) == {
        "done": [put("done.0", queue="out"), put("done.1", queue="out")]
    }, "expected again to run again"
    assert await bench.knows("a"), "expected what was not done to be known"
    await bench.ledger.forget("q", ["b"])
    assert [await bench.knows("b"), await bench.knows("a")] == [False, True], "expected b to be forgotten"
    await bench.ledger.forget("q", None)
    assert await bench.note(put("x", "k"), put("done")) == [Noted("x"), Noted("done")], "expected nothing to be known"
    assert await bench.knows("other", "other"), "expected other queues to be left alone"


async def ids_are_any_text(bench: LedgerBench) -> None:
    """No id or key means anything to the storage, however long."""
    names = ["", " ", "'; DROP TABLE x; --", "%s", "\u2400", "\u24000", "ключ", "🐈", "A", "a", "x" * 5000]
    puts = [put(id, f"key {id}") for id in names]
    assert await bench.note(*puts) == [Noted(id) for id in names], "expected every id to be new"
    await bench.ledger.confirm(puts, [1] * len(puts))
    assert await bench.note(*puts) == [Noted(id, True, 1, True) for id in names], "expected every id to be known"
    assert await bench.write(*(outcome(delivery(id), puts=(put(id),)) for id in names)) == [], "expected none late"
    assert await bench.ledger.unsent("q", names) == {id: [put(id)] for id in names}, "expected every id to be done"


CHECKS = (
    a_note_is_no_knowledge,
    what_was_withdrawn_is_unknown,
    a_key_is_bound_to_its_first_id,
    a_key_has_a_window,
    effects_are_written,
    retries_write_nothing,
    the_first_delivery_wins,
    a_commit_may_be_repeated,
    what_died_may_be_done,
    of_many_at_once_one_wins,
    a_write_is_all_or_none,
    the_last_of_a_key_stays,
    done_is_known_for_its_window,
    what_the_broker_buried_is_dead,
    doubt_makes_a_put_unconfirmed,
    moved_messages_are_queued_there,
    a_redriven_message_is_queued,
    what_is_forgotten_is_new,
    ids_are_any_text,
)
