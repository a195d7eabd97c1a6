"""Ports: where results go, and what sources remember.

A Table holds rows by key, a Bucket objects by name, Results one record per message id, Bookmarks one place per source.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Literal

import msgspec

from millrace.types import Commit, Lease, Put, Record, Row

ChangeKind = Literal["insert", "modify", "remove"]


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


class Ledger(ABC):
    """What a broker that cannot dedupe needs beside it: each message's effects become durable together, and once.

    Rows, records and outputs of a commit are one transaction; the outputs wait in it (an outbox) until the broker has
    them. A message that is done is known by its queue and id for `dedupe_s`.
    """

    @abstractmethod
    async def note(self, puts: Sequence[Put]) -> list[bool]:
        """Before puts: say of each whether its message is done or dead already; note the others as queued.

        A note is no promise: a put that never came may be repeated, and is then none that is known.
        """

    @abstractmethod
    async def unsent(self, queue: str, ids: Sequence[str]) -> dict[str, list[Put]]:
        """Of messages that were taken: those that are done already, each with the outputs that are still to be put."""

    @abstractmethod
    async def write(self, commit: Commit, *, dedupe_s: float) -> list[Lease]:
        """Make rows, records and outputs of the commit durable, all or none, but for messages that were done already.

        The leases of those are returned; nothing of their outcomes is written. Objects and webhooks are not its own.
        """

    @abstractmethod
    async def sent(self, queue: str, ids: Sequence[str]) -> None:
        """Forget the outputs of these messages: the broker has them."""

    @abstractmethod
    async def forget(self, queue: str, ids: Sequence[str]) -> None:
        """Let these messages run again."""


class Bookmarks(ABC):
    """Where each source was when it stopped: small values by (source, mark)."""

    @abstractmethod
    async def load(self, source: str) -> dict[str, bytes]:
        """Everything that the source has marked; empty on its first start."""

    @abstractmethod
    async def save(self, source: str, marks: Mapping[str, bytes | None]) -> None:
        """Set marks, forget those that are None; durable, all or none."""
