"""A folder: one item a file, in the order of their paths, hidden files left out.

A directory is listed in pages of the next names in order, so that ten million files cost no more memory than
a page, and a feed goes on behind the path where it stopped. Links to directories are not followed: they may loop.
"""

from __future__ import annotations

import heapq
import mimetypes
import os
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

from millrace.feeds.item import MAX_ITEM_BYTES, Bad, Cursor, FeedError, Item

_PAGE = 20_000


class FolderReader:
    """Every file below a folder; the body is the file's bytes, the content type is guessed from its name."""

    def __init__(self, path: Path, *, max_bytes: int = MAX_ITEM_BYTES, page: int = _PAGE) -> None:
        self.path = path
        self.max_bytes = max_bytes
        self._page = page

    @property
    def total(self) -> int | None:
        return None

    def fingerprint(self, cursor: Cursor) -> str:
        """Always the same: what changed before the cursor is found by the next feed that begins at the beginning."""
        return ""

    def read(self, start: Cursor) -> Iterator[Item | Bad]:
        after = tuple(start.path.split("/")) if start.path else ()
        for count, name in enumerate(self._walk("", after), start=start.offset + 1):
            yield self._item(name, Cursor(count, path=name))

    def _walk(self, folder: str, after: tuple[str, ...]) -> Iterator[str]:
        """Relative paths of files in order, those behind `after` (a path's parts)."""
        inside = after[1:]
        for name, is_folder in self._entries(folder, after[0] if after else ""):
            path = f"{folder}/{name}" if folder else name
            reached = bool(after) and name == after[0]
            if is_folder:
                yield from self._walk(path, inside if reached else ())
            elif not reached:
                yield path

    def _entries(self, folder: str, start: str) -> Iterator[tuple[str, bool]]:
        """Names and whether each is a folder, in order from `start` on, a page at a time."""
        page = heapq.nsmallest(self._page, (entry for entry in self._scan(folder) if entry[0] >= start))
        yield from page
        while len(page) == self._page:
            last = page[-1][0]
            page = heapq.nsmallest(self._page, (entry for entry in self._scan(folder) if entry[0] > last))
            yield from page

    def _scan(self, folder: str) -> Iterator[tuple[str, bool]]:
        try:
            with os.scandir(self.path / folder) as entries:
                for entry in entries:
                    is_folder = entry.is_dir(follow_symlinks=False)
                    if not entry.name.startswith(".") and (is_folder or entry.is_file()):
                        yield entry.name, is_folder
        except OSError as error:
            raise FeedError(f"{self.path / folder}: {error.strerror}") from error

    def _item(self, name: str, after: Cursor) -> Item | Bad:
        where = str(self.path / name)
        try:
            with (self.path / name).open("rb") as file:
                body = file.read(self.max_bytes + 1)
        except OSError as error:
            return Bad(where, str(error.strerror), after)
        if len(body) > self.max_bytes:
            return Bad(where, f"larger than the limit of {self.max_bytes:,} bytes", after)
        place = blake2b(os.fsencode(name), digest_size=8).hexdigest()
        guessed = mimetypes.guess_type(name)[0] or "application/octet-stream"
        return Item(body, place, where, after, guessed, filename=_readable(name))


def _readable(name: str) -> str:
    """A file name as text, whatever bytes it is made of."""
    return os.fsencode(name).decode(errors="replace")
