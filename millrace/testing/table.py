"""What every Table must do. `check_table` runs all of it; CHECKS lets a test runner name each part."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from millrace.store import Change, Table
from millrace.testing.bench import refused_or
from millrace.types import Row

FreshTable = Callable[[], AbstractAsyncContextManager[Table]]

_ODD_KEYS = ["", " ", "'; DROP TABLE x; --", '"', "%", "a/b", "ключ", "日本", "🐈", "A", "a"]


async def check_table(fresh: FreshTable, *, stream: bool = True) -> None:
    """Hold a table to the port's contract; `fresh` opens an empty one with stream, key field `id`, each time.

    Without `stream` it is one that has none. Raises AssertionError that says what was expected.
    """
    for check in CHECKS if stream else ROW_CHECKS:
        async with fresh() as table:
            await check(table)


def _row(table: Table, key: str, value: bytes = b"{}") -> Row:
    return Row(table.name, key, value)


def _told(changes: list[Change]) -> list[tuple[str, str, bytes | None, bytes | None]]:
    return [(change.key, change.kind, change.old, change.new) for change in changes]


async def _scanned(table: Table, limit: int) -> list[str]:
    keys: list[str] = []
    while page := await table.scan(after=keys[-1] if keys else None, limit=limit):
        assert len(page) <= limit, f"expected pages of {limit} rows at most, got {len(page)}"
        keys += [row.key for row in page]
    return keys


async def starts_empty(table: Table) -> None:
    """Nothing is found in a table that nothing was put into."""
    assert await table.get("a") is None, "expected no row in an empty table"
    assert await table.scan() == [], "expected no rows in an empty table"
    assert await table.delete(["a"]) == 0, "expected that nothing was deleted"
    assert await table.changes(after=0) == [], "expected no changes in an empty table"
    await table.put([])


async def put_replaces(table: Table) -> None:
    """The last row of a key is the one that stays, within one put and between puts."""
    await table.put([_row(table, "a", b'{"n":1}'), _row(table, "b", b'{"n":2}'), _row(table, "a", b'{"n":3}')])
    assert await table.get("a") == b'{"n":3}', "expected the last row of a key"
    await table.put([_row(table, "b", b'{"n":4}')])
    assert await table.get("b") == b'{"n":4}', "expected the row to be replaced"
    assert await _scanned(table, 10) == ["a", "b"], "expected one row a key"


async def keys_are_exact(table: Table) -> None:
    """Keys are compared as they are: case, blanks, quotes and any script."""
    await table.put([_row(table, key, b'{"id":%d}' % place) for place, key in enumerate(_ODD_KEYS)])
    for place, key in enumerate(_ODD_KEYS):
        assert await table.get(key) == b'{"id":%d}' % place, f"expected the row of key {key!r}"
    assert await _scanned(table, 3) == sorted(_ODD_KEYS), "expected all keys in the order of their characters"


async def a_key_without_utf8_is_no_rows(table: Table) -> None:
    """No row has half of a surrogate pair in its key: that is the answer, or Unencodable."""
    await table.put([_row(table, "a")])
    assert not await refused_or(table.get("a\ud800")), "expected no row"
    assert not await refused_or(table.delete(["a\ud800"])), "expected that nothing was deleted"
    assert await _scanned(table, 10) == ["a"], "expected the row that is there to be as it was"


async def scan_pages_in_key_order(table: Table) -> None:
    """Pages follow one another without gap or repeat, behind a key that need not exist."""
    keys = [f"{number:04d}" for number in range(700)]
    await table.put([_row(table, key) for key in reversed(keys)])
    assert await _scanned(table, 64) == keys, "expected every row once, in key order"
    assert [row.key for row in await table.scan(after="0001x", limit=2)] == ["0002", "0003"], "expected rows behind it"
    assert (await table.scan(limit=1))[0] == _row(table, "0000"), "expected a row as it was put"


async def delete_says_how_many(table: Table) -> None:
    """Only rows that were there are counted, each once."""
    await table.put([_row(table, key) for key in ("a", "b", "c")])
    assert await table.delete(["a", "c", "x", "a"]) == 2, "expected the two rows that were there"
    assert await _scanned(table, 10) == ["b"], "expected only the row that was not named"


async def values_are_kept_byte_for_byte(table: Table) -> None:
    """A row's JSON comes back as it was put: spaces, order, escapes and size."""
    values = [b'{"b": 1,  "a":"\\u00e9\xc3\xa9"}', b'{"big":"' + b"x" * 300_000 + b'"}', b"{}"]
    await table.put([_row(table, str(place), value) for place, value in enumerate(values)])
    for place, value in enumerate(values):
        assert await table.get(str(place)) == value, "expected the same bytes"


async def changes_tell_each_step(table: Table) -> None:
    """Insert, modify and remove with old and new, in order; writing the same again is no change."""
    await table.put([_row(table, "a", b"1"), _row(table, "b", b"2"), _row(table, "a", b"3")])
    await table.put([_row(table, "a", b"3")])
    await table.delete(["a", "x"])
    await table.put([_row(table, "a", b"4")])
    changes = await table.changes(after=0)
    assert _told(changes) == [
        ("a", "insert", None, b"1"),
        ("b", "insert", None, b"2"),
        ("a", "modify", b"1", b"3"),
        ("a", "remove", b"3", None),
        ("a", "insert", None, b"4"),
    ], f"expected insert, insert, modify, remove, insert; got {_told(changes)}"
    assert {change.table for change in changes} == {table.name}, "expected the table's name on each change"


async def changes_are_read_on_from_a_sequence(table: Table) -> None:
    """A reader that remembers the last sequence sees each change once."""
    await table.put([_row(table, str(number), b"1") for number in range(25)])
    found: list[Change] = []
    while page := await table.changes(after=found[-1].sequence if found else 0, limit=10):
        assert len(page) <= 10, "expected no more than the limit"
        found += page
    sequences = [change.sequence for change in found]
    assert sequences == sorted(set(sequences)), "expected sequences that grow"
    assert [change.key for change in found] == [str(number) for number in range(25)], "expected every change once"


async def changes_wait_for_the_next(table: Table) -> None:
    """A reader that waits is woken by the next write."""
    waiting = asyncio.ensure_future(_first_change(table))
    await asyncio.sleep(0)
    await table.put([_row(table, "a", b"1")])
    found = await asyncio.wait_for(waiting, 30)
    assert _told(found) == [("a", "insert", None, b"1")], "expected the change that was waited for"


async def _first_change(table: Table) -> list[Change]:
    while True:  # an early empty answer is allowed
        if found := await table.changes(after=0, wait_s=60.0):
            return found


ROW_CHECKS = (
    starts_empty,
    put_replaces,
    keys_are_exact,
    a_key_without_utf8_is_no_rows,
    scan_pages_in_key_order,
    delete_says_how_many,
    values_are_kept_byte_for_byte,
)
CHECKS = (
    *ROW_CHECKS,
    changes_tell_each_step,
    changes_are_read_on_from_a_sequence,
    changes_wait_for_the_next,
)
