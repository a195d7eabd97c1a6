"""Lines of a file of any size, each at most max_bytes long; NDJSON and plain text are one item a line."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO

import msgspec

from millrace.feeds.item import MAX_ITEM_BYTES, TEXT, Bad, Cursor, FeedError, Item, numbered
from millrace.types import JSON

BOM = b"\xef\xbb\xbf"
_SAMPLED_BYTES = 65_536


class Lines:
    """An iterator over a binary file's lines that knows where it is: `offset` in bytes, `number` of the last line.

    A line longer than `max_bytes` comes shortened to that, and is skipped to its end.
    """

    def __init__(self, file: BinaryIO, start: Cursor, max_bytes: int = MAX_ITEM_BYTES) -> None:
        self._file = file
        self._max_bytes = max_bytes
        self.offset = start.offset
        self.number = start.line
        if start.offset:
            file.seek(start.offset)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        line = self._file.readline(self._max_bytes)
        if not line:
            raise StopIteration
        first = self.offset == 0
        self.offset += len(line)
        self.number += 1
        if not line.endswith(b"\n"):
            self._skip_rest()
        return line.removeprefix(BOM) if first else line

    def back_to(self, cursor: Cursor) -> None:
        """Read again from an earlier place."""
        self._file.seek(cursor.offset)
        self.offset, self.number = cursor.offset, cursor.line

    @property
    def cursor(self) -> Cursor:
        """How far was read."""
        return Cursor(self.offset, self.number)

    def _skip_rest(self) -> None:
        while rest := self._file.readline(self._max_bytes):
            self.offset += len(rest)
            if rest.endswith(b"\n"):
                return


class TextFile:
    """What all line-based readers share: the path, its size, and a fingerprint of what was read."""

    def __init__(self, path: Path, *, max_bytes: int = MAX_ITEM_BYTES) -> None:
        self.path = path
        self.max_bytes = max_bytes

    @property
    def total(self) -> int | None:
        return self.path.stat().st_size

    def fingerprint(self, cursor: Cursor) -> str:
        """Of the first and last 64 KiB before the cursor: a file that only grew keeps it."""
        digest = blake2b(digest_size=16)
        with self.path.open("rb") as file:
            digest.update(file.read(min(cursor.offset, _SAMPLED_BYTES)))
            start = max(0, cursor.offset - _SAMPLED_BYTES)
            file.seek(start)
            tail = file.read(cursor.offset - start)
            digest.update(tail)
            if not tail.endswith(b"\n") and file.read(1):  # what was the last line goes on
                digest.update(b"+")
        return digest.hexdigest()

    def where(self, line: int) -> str:
        """A line as people name it: file:line."""
        return f"{self.path}:{line}"

    def too_long(self, line: int, after: Cursor) -> Bad:
        """What is told of a line beyond the limit."""
        return Bad(self.where(line), f"longer than the limit of {self.max_bytes:,} bytes", after)


class LineReader(TextFile):
    """One item for each line that is not blank: plain text."""

    content_type = TEXT

    def read(self, start: Cursor) -> Iterator[Item | Bad]:
        with _opened(self.path) as file:
            lines = Lines(file, start, self.max_bytes + 1)
            for line in lines:
                if body := line.strip():
                    yield self._item(body, len(line.rstrip(b"\r\n")), lines.cursor)

    def _item(self, body: bytes, length: int, after: Cursor) -> Item | Bad:
        if length > self.max_bytes:
            return self.too_long(after.line, after)
        if problem := self.check(body):
            return Bad(self.where(after.line), problem, after)
        return Item(body, numbered(after.line), self.where(after.line), after, self.content_type)

    def check(self, body: bytes) -> str:
        """What is wrong with a line, empty when nothing is."""
        try:
            body.decode()
        except UnicodeDecodeError as error:
            return f"not UTF-8: {error.reason} at byte {error.start + 1}"
        return ""


class NdjsonReader(LineReader):
    """One JSON value a line, sent as it stands."""

    content_type = JSON

    def check(self, body: bytes) -> str:
        try:
            msgspec.json.decode(body)
        except ValueError as error:
            return f"not JSON: {error}"
        return ""


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise FeedError(f"{path}: {error.strerror}") from error
