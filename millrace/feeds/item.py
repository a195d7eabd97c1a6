"""What a reader yields: an Item to be sent or a Bad one to be reported, each with the Cursor behind it."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Protocol

import msgspec

from millrace.errors import MillraceError
from millrace.types import JSON, Message

MAX_ITEM_BYTES = 16_000_000
TEXT = "text/plain; charset=utf-8"


class FeedError(MillraceError):
    """A feed's source could not be read: what is wrong stands with file and line."""


class Cursor(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far a source was read: where the next item begins.

    `offset` counts bytes of a text file, rows of a Parquet file, files of a folder; `line` is the line number that
    was read last; `path` is the last file of a folder, relative to it.
    """

    offset: int = 0
    line: int = 0
    path: str = ""


class Item(msgspec.Struct, frozen=True, gc=False):
    """One message to be: `place` tells it from its equals (its line, row or path), `where` is for people."""

    body: bytes
    place: str
    where: str
    after: Cursor
    content_type: str = JSON
    filename: str = ""

    def id(self, feed: str) -> str:
        """Stable as long as the item's place and content are; ids of one file sort in its order."""
        return f"{feed}-{self.place}-{blake2b(self.body, digest_size=8).hexdigest()}"

    def message(self, feed: str, group: str = "") -> Message:
        """The message with that id."""
        attributes = {"content-type": self.content_type}
        if self.filename:
            attributes["filename"] = self.filename
        return Message(self.id(feed), self.body, attributes, group=group)


class Bad(msgspec.Struct, frozen=True):
    """An item that cannot be sent, and why; reading goes on behind it."""

    where: str
    problem: str
    after: Cursor


class Reader(Protocol):
    """A source that is read lazily, from any cursor that it gave before."""

    path: Path

    @property
    def total(self) -> int | None:
        """The offset at the end, None when only reading will tell."""
        ...

    def fingerprint(self, cursor: Cursor) -> str:
        """A hash that changes when what stands before the cursor does."""
        ...

    def read(self, start: Cursor) -> Iterator[Item | Bad]:
        """The items behind `start`; raises FeedError when there is no going on."""
        ...


def numbered(number: int) -> str:
    """A line or row number as the place in an id: of fixed width, so that ids sort."""
    return f"{number:010d}"
