"""Rows of tables that join no commit: written before it, those of one key one after the other."""

from __future__ import annotations

import asyncio

from millrace.errors import TooLarge
from millrace.flow.apart import ApartRows
from millrace.types import Commit, Failure, Lease, Message, Outcome, Row


class Table:
    """Tells of each put when it begins, and ends it when it is let go."""

    def __init__(self, *, joins: bool) -> None:
        self.joins = joins
        self.begun: list[tuple[str, bytes]] = []
        self.go_on = asyncio.Event()

    async def put(self, rows: list[Row]) -> None:
        self.begun += [(row.key, row.value) for row in rows]
        if any(row.value == b"large" for row in rows):
            raise TooLarge("400 KB at most")
        await self.go_on.wait()


def done(id: str, *rows: Row) -> Outcome:
    return Outcome(Lease("q", Message(id), id, 1, 0.0), "done", rows=rows)


def refuse(outcome: Outcome, failure: Failure) -> Outcome:
    return Outcome(outcome.lease, "dead")


async def turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_rows_of_one_key_are_written_in_the_order_of_their_outcomes() -> None:
    table = Table(joins=False)
    outcomes = [
        done("a", Row("apart", "k", b"1")),
        done("b", Row("apart", "other", b"1")),
        done("c", Row("apart", "k", b"2")),
    ]
    writing = asyncio.create_task(ApartRows({"apart": table}).write(Commit("q", outcomes), refuse))  # type: ignore[dict-item]
    await turns()
    assert sorted(table.begun) == [("k", b"1"), ("other", b"1")], "expected different keys at once, one key once"
    assert not writing.done(), "expected the commit to wait for what is being written"
    table.go_on.set()
    written = await writing
    assert table.begun[-1] == ("k", b"2")
    assert list(written.rows) == []


async def test_what_joins_the_commit_stays_in_it() -> None:
    apart, joined = Table(joins=False), Table(joins=True)
    apart.go_on.set()
    outcome = done("a", Row("joined", "k", b"1"), Row("apart", "k", b"2"))
    written = await ApartRows({"apart": apart, "joined": joined}).write(Commit("q", [outcome]), refuse)  # type: ignore[dict-item]
    assert list(written.rows) == [Row("joined", "k", b"1")]
    assert (apart.begun, joined.begun) == ([("k", b"2")], [])


async def test_a_row_that_is_too_large_is_its_own_messages_fault() -> None:
    table = Table(joins=False)
    table.go_on.set()
    outcomes = [done("a", Row("apart", "a", b"large")), done("b", Row("apart", "b", b"1"))]
    written = await ApartRows({"apart": table}).write(Commit("q", outcomes), refuse)  # type: ignore[dict-item]
    assert [outcome.verdict for outcome in written.outcomes] == ["dead", "done"]
