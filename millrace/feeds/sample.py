"""Uniform random lines of a file of any size: one pass, memory for n lines.

Li's algorithm L ("Reservoir-sampling algorithms of time complexity O(n(1+log(N/n)))", 1994): a draw says how many
lines to let pass before the next one enters the reservoir, so most lines cost no random number.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import BinaryIO, TypeVar

from millrace.feeds.item import MAX_ITEM_BYTES, Cursor, FeedError
from millrace.feeds.lines import Lines

T = TypeVar("T")


def reservoir(items: Iterable[T], size: int, rng: random.Random) -> list[T]:
    """`size` items, each set of that size equally likely, in the order in which they came; all when there are fewer."""
    stream = enumerate(items)
    kept = list(islice(stream, size))
    if len(kept) == size > 0:
        _replace(kept, stream, rng)
    return [item for _, item in sorted(kept, key=lambda entry: entry[0])]


def _replace(kept: list[tuple[int, T]], stream: Iterator[tuple[int, T]], rng: random.Random) -> None:
    size = len(kept)
    weight = 1.0
    wanted = size - 1
    while True:
        weight *= math.exp(math.log(1.0 - rng.random()) / size)
        wanted += _gap(weight, rng) + 1
        entry = next((entry for entry in stream if entry[0] == wanted), None)
        if entry is None:
            return
        kept[rng.randrange(size)] = entry


def _gap(weight: float, rng: random.Random) -> int:
    """How many items pass before the next is kept: geometric, drawn by inversion."""
    if weight >= 1.0:
        return 0
    if weight <= 0.0:
        return 1 << 62
    return int(math.log(1.0 - rng.random()) / math.log1p(-weight))


def sample_lines(
    file: BinaryIO, name: str, size: int, *, header: bool, quoted: bool, rng: random.Random
) -> Iterator[bytes]:
    """The header, when there is one, and `size` lines of the file, in its order, each ending in a newline.

    `quoted` says that a quoted field may go over several lines (CSV): they are kept together.
    Raises FeedError for a line or quoted row above 16 MB.
    """
    lines = _rows(file, name) if quoted else _whole_lines(file, name)
    if header:
        yield from map(_ended, _first(lines))
    yield from map(_ended, reservoir((line for line in lines if line.strip()), size, rng))


def _first(lines: Iterator[bytes]) -> list[bytes]:
    line = next(lines, None)
    return [] if line is None else [line]


def _ended(line: bytes) -> bytes:
    return line if line.endswith(b"\n") else line + b"\n"


def _whole_lines(file: BinaryIO, name: str) -> Iterator[bytes]:
    lines = Lines(file, Cursor(), MAX_ITEM_BYTES + 1)
    for line in lines:
        if len(line) > MAX_ITEM_BYTES:
            raise FeedError(f"{name}:{lines.number}: longer than the limit of {MAX_ITEM_BYTES:,} bytes")
        yield line


def _rows(file: BinaryIO, name: str) -> Iterator[bytes]:
    """Lines joined until their quotes are even: in CSV a row ends where no quote is open."""
    row = b""
    first = 0
    for number, line in enumerate(_whole_lines(file, name), start=1):
        first = first if row else number
        row += line
        if len(row) > MAX_ITEM_BYTES:
            raise FeedError(
                f"{name}:{first}: a quote is not closed within {MAX_ITEM_BYTES:,} bytes",
                "close it, or take lines as they are with --raw",
            )
        if row.count(b'"') % 2 == 0:
            yield row
            row = b""
    if row:
        yield row
