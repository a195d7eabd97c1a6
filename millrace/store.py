"""Ports: where results go, and what sources remember.

A Table holds rows by key, a Bucket objects by name, Results one record per message id, Bookmarks one place per source.
By a key or an id that UTF-8 has no form for nothing is found, or Unencodable is raised.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Literal

import msgspec

from millrace.types import Commit, Lease, Put, Record, Row

ChangeKind = Literal["insert", "modify", "remove"]
CLOCKS_APART_S = 60.0  # at most: of those that stamp what happens to one message


class Change(msgspec.Struct, frozen=True):
    """One step of a table's change stream; `sequence` grows, and orders the changes of a key."""

    sequence: int
    table: str
    key: str
    kind: ChangeKind
    old: bytes | None  # JSON object
    new: bytes | None
    at: float  # Unix seconds


def change_kind(old: object | None, new: object | None) -> ChangeKind:
    """What happened to a row that was `old` and is `new`; None where there is no row."""
    if old is None:
        return "insert"
    return "modify" if new is not None else "remove"


class Table(ABC):
    """Rows by key; a row is a JSON object that contains its key field."""

    name: str
    key: str  # the key field's name
    joins: bool = True  # whether its rows become durable with the rest of a commit; else they are written before it

    @abstractmethod
    async def put(self, rows: Sequence[Row]) -> None:
        """Insert or replace rows, durably, all or none."""

    @abstractmethod
    async def get(self, key: str) -> bytes | None:
        """The row as JSON, None when there is none."""

    @abstractmethod
    async def delete(self, keys: Sequence[str]) -> int:
        """Delete rows; say how many there were."""

    @abstractmethod
    async def scan(self, *, after: str | None = None, limit: int = 1000) -> list[Row]:
        """Rows in key order, those behind `after`: a page at a time, so memory stays flat."""

    @abstractmethod
    async def changes(self, *, after: int, limit: int = 1000, wait_s: float = 0.0) -> list[Change]:
        """The change stream behind a sequence number, oldest first; empty unless the table was opened with stream.

        When there is none yet it waits up to wait_s for the next; an early empty answer is allowed. Writing what is
        there already is no change. Changes are kept for 24 h.
        """

    async def close(self) -> None:
        """Let go of what is this table's alone."""
        return


class ObjectInfo(msgspec.Struct, frozen=True):
    """An object in a listing; `modified_at` is Unix seconds, `etag` changes with the content."""

    key: str
    size: int
    etag: str
    modified_at: float


class Bucket(ABC):
    """Objects by key: a folder or an object store."""

    name: str

    @abstractmethod
    async def put(self, key: str, body: bytes) -> None:
        """Write a whole object; a reader sees the old or the new, never a part."""

    @abstractmethod
    async def get(self, key: str) -> bytes | None:
        """The object's bytes, None when there is none."""

    async def head(self, key: str) -> ObjectInfo | None:
        """What a listing says of one object, None when there is none."""
        async for info in self.list(key):
            if info.key == key:
                return info
        return None

    @abstractmethod
    async def delete(self, key: str) -> None:
        """Delete an object; none is no error."""

    @abstractmethod
    def list(self, prefix: str = "") -> AsyncIterator[ObjectInfo]:
        """All objects whose key begins with prefix, a page at a time."""


class Results(ABC):
    """What became of each message, for the dedupe window."""

    @abstractmethod
    async def get(self, id: str) -> Record | None:
        """The record of a message: finished, or queued/running/retrying while it is in a queue; None when unknown."""

    @abstractmethod
    async def put(self, records: Sequence[Record]) -> None:
        """Store finished records, durably."""

    @abstractmethod
    async def wait(self, id: str, timeout_s: float) -> Record | None:
        """The record as soon as it is done or dead, or whatever `get` says after timeout_s."""


class Noted(msgspec.Struct, frozen=True, gc=False):
    """What a ledger says of a put: the id that it is to be put under, and whether a message of that id was put before.

    The id is another than the message's own where its dedupe key was first used with that other id. `sequence` is the
    place that was confirmed of a message that is known, 0 where there is none. Known `by_key` it need not be in its
    queue any more: there is nothing to be confirmed.
    """

    id: str
    known: bool = False
    sequence: int = 0
    by_key: bool = False


class Ledger(ABC):
    """What a broker that cannot dedupe needs beside it: each message's effects become durable together, and once.

    Rows, records and outputs of a commit are one transaction; the outputs wait in it (an outbox) until the broker has
    them. A message is known by its queue and id, from its confirmed put until `dedupe_s` after it ended. Times of
    expiry are measured by the ledger, with one clock for all processes. Every verb raises StorageError.
    """

    @abstractmethod
    async def note(self, puts: Sequence[Put], windows_s: Sequence[float]) -> list[Noted]:
        """Before puts into queues with these windows: say of each what is known; note the others, unconfirmed.

        An unconfirmed note is known to nobody, since its put may never have come. But it binds its dedupe key to its
        id at once, durably, so that two who use a key at the same time put one message, twice at worst.
        """

    @abstractmethod
    async def confirm(self, puts: Sequence[Put], sequences: Sequence[int]) -> None:
        """The broker has these, each at its place (0 where that is not known): from now on they are known."""

    @abstractmethod
    async def know(self, puts: Sequence[Put], sequences: Sequence[int], windows_s: Sequence[float]) -> None:
        """The broker has these, whose ids were made for them and which nobody noted: from now on they are known.

        They have no dedupe keys; what has ended meanwhile stays as it is.
        """

    @abstractmethod
    async def withdraw(self, puts: Sequence[Put]) -> None:
        """The broker refused these: forget their notes and keys that are unconfirmed."""

    @abstractmethod
    async def unsent(self, queue: str, ids: Sequence[str]) -> dict[str, list[Put]]:
        """Which of some messages are done already, each with the outputs that are still to be put."""

    @abstractmethod
    async def write(self, commit: Commit, *, dedupe_s: float, dead_s: float) -> list[Lease]:
        """Make rows, records and outputs of ended messages durable, all or none; return the leases that came too late.

        Those are of messages that another delivery has done; nothing of their outcomes is written. An outcome whose
        own delivery was written before (the answer got lost) is neither written again nor returned. A dead message
        may still become done, since its letter can be sent back. Done ones are known for `dedupe_s`, dead ones for
        `dead_s`. A commit has no id twice; objects and webhooks are not the ledger's.
        """

    @abstractmethod
    async def sent(self, queue: str, ids: Sequence[str]) -> None:
        """Forget the outputs of these messages: the broker has them."""

    @abstractmethod
    async def bury(self, queue: str, records: Sequence[Record], *, dead_s: float) -> None:
        """The broker made these messages dead letters by itself: their records, known for `dead_s`.

        What has ended, or is not known, is left alone; and where a record says when its message was accepted, so is a
        message of the same id that was noted more than CLOCKS_APART_S after that: it is another one.
        """

    @abstractmethod
    async def doubt(self, queue: str, ids: Sequence[str] | None) -> None:
        """Before messages are purged or moved (all of them: None): those that are queued are unconfirmed again."""

    @abstractmethod
    async def moved(
        self,
        source: str,
        target: str,
        ids: Sequence[str] | None,
        left: Sequence[str],
        *,
        dedupe_s: float,
        sure: bool,
        dead: bool,
    ) -> None:
        """Messages were moved, `dead` ones or queued ones, all (None) or some ids, but for those `left`.

        They are queued in the target now; confirmed only where it is `sure` which were moved.
        """

    @abstractmethod
    async def forget(self, queue: str, ids: Sequence[str] | None, *, done: bool = False) -> None:
        """Know nothing of these messages any more (all of the queue, its keys too: None), or only that they were done.

        A message that was not done loses nothing by `done`.
        """

    @abstractmethod
    async def expire(self, queue: str, ids: Sequence[str] | None, dedupe_s: float) -> None:
        """Dead letters were purged (all: None): what is known of dead messages expires after `dedupe_s`."""


class Bookmarks(ABC):
    """Where each source was when it stopped: small values by (source, mark)."""

    @abstractmethod
    async def load(self, source: str) -> dict[str, bytes]:
        """Everything that the source has marked; empty on its first start."""

    @abstractmethod
    async def save(self, source: str, marks: Mapping[str, bytes | None]) -> None:
        """Set marks, forget those that are None; durable, all or none."""
