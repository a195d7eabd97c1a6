"""CSV and TSV: one JSON object a row, named by the header; a quoted field may hold newlines.

A row that cannot be read costs one line: reading goes on at the line behind the one where the row began, so that a
quote that is never closed does not swallow the file.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import msgspec

from millrace.feeds.item import MAX_ITEM_BYTES, Bad, Cursor, FeedError, Item, numbered
from millrace.feeds.lines import Lines, TextFile


class DelimitedReader(TextFile):
    """Rows behind a header, separated by `delimiter`."""

    def __init__(self, path: Path, *, delimiter: str = ",", max_bytes: int = MAX_ITEM_BYTES) -> None:
        super().__init__(path, max_bytes=max_bytes)
        self.delimiter = delimiter

    def read(self, start: Cursor) -> Iterator[Item | Bad]:
        csv.field_size_limit(self.max_bytes)
        try:
            with self.path.open("rb") as file:
                lines = Lines(file, Cursor(), self.max_bytes + 1)
                header = self._header(lines)
                if start.offset > lines.offset:
                    lines.back_to(start)
                yield from self._items(_Rows(lines, self.delimiter, self.max_bytes), header)
        except OSError as error:
            raise FeedError(f"{self.path}: {error.strerror}") from error

    def _header(self, lines: Lines) -> list[str]:
        try:
            names = _Rows(lines, self.delimiter, self.max_bytes).read()
        except (csv.Error, UnicodeDecodeError, _TooLong) as error:
            raise FeedError(f"{self.where(1)}: the header cannot be read: {error}") from error
        if not names:
            raise FeedError(f"{self.where(1)}: expected a header with the fields' names, got nothing")
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated or "" in names:
            got = f"{repeated[0]!r} twice" if repeated and repeated[0] else "an empty one"
            raise FeedError(f"{self.where(1)}: expected a header of different names, got {got}")
        return names

    def _items(self, rows: _Rows, header: list[str]) -> Iterator[Item | Bad]:
        while True:
            try:
                row = rows.read()
            except (csv.Error, UnicodeDecodeError, _TooLong) as error:
                yield rows.give_up_line(self, str(error))
                continue
            if row is None:
                return
            if row:
                yield self._item(row, header, rows)

    def _item(self, row: list[str], header: list[str], rows: _Rows) -> Item | Bad:
        where = self.where(rows.first.line + 1)
        after = rows.lines.cursor
        if len(row) != len(header):
            return Bad(where, f"expected {len(header)} fields, got {len(row)}", after)
        body = msgspec.json.encode(dict(zip(header, row, strict=True)))
        return Item(body, numbered(rows.first.line + 1), where, after)


class _TooLong(Exception):
    """A row went on beyond the limit."""


class _Rows:
    """csv.reader over Lines: it asks for just the lines of one row, so `lines` stands behind the row it gave."""

    def __init__(self, lines: Lines, delimiter: str, max_bytes: int) -> None:
        self.lines = lines
        self.first = self.second = lines.cursor  # where the row began, and the line behind its first
        self._delimiter = delimiter
        self._max_bytes = max_bytes
        self._reader = self._fresh()

    def _fresh(self) -> Iterator[list[str]]:
        return csv.reader(self._text(), delimiter=self._delimiter, strict=True)

    def _text(self) -> Iterator[str]:
        for line in self.lines:
            if self.second == self.first:
                self.second = self.lines.cursor
            if self.lines.offset - self.first.offset > self._max_bytes:
                raise _TooLong(f"longer than the limit of {self._max_bytes:,} bytes; is a quote not closed?")
            yield line.decode()

    def read(self) -> list[str] | None:
        """The next row's fields, none for a blank line, None at the end."""
        self.first = self.second = self.lines.cursor
        return next(self._reader, None)

    def give_up_line(self, file: TextFile, problem: str) -> Bad:
        """Leave the line where the row began, and read on behind it."""
        self.lines.back_to(self.second)
        self._reader = self._fresh()
        return Bad(file.where(self.first.line + 1), problem, self.second)
