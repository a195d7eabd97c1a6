"""Many rows in one statement.

Python gives up its interpreter lock at each step of a statement and must win it back from busy threads: a thousand
rows bound at once cost a few steps, one by one they cost a thousand. Chunks are powers of two, so that a connection
prepares each statement once and finds it in its cache afterwards.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from functools import cache
from typing import TypeVar

T = TypeVar("T")
_MAX_CHUNK = 256  # a row of 7 columns stays within 999 variables, the limit of old builds of SQLite, up to 128


def chunks(items: Sequence[T], most: int = _MAX_CHUNK) -> Iterator[Sequence[T]]:
    """All items in order, in slices whose lengths are powers of two, `most` at most."""
    start, left = 0, len(items)
    while left:
        size = min(most, 1 << (left.bit_length() - 1))
        yield items[start : start + size]
        start += size
        left -= size


@cache
def _values(columns: int, rows: int) -> str:
    row = f"({','.join('?' * columns)})"
    return ",".join([row] * rows)


def insert(connection: sqlite3.Connection, head: str, columns: int, values: Sequence[object], tail: str = "") -> None:
    """Run `head VALUES (?, …), … tail` for values given flat, row after row."""
    for chunk in chunks(range(len(values) // columns)):
        part = values[chunk[0] * columns : (chunk[-1] + 1) * columns]
        connection.execute(f"{head} VALUES {_values(columns, len(chunk))} {tail}", part)
