"""What happened inside moto while it answered one call: noted by the hooks, made durable before the answer goes out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import local
from typing import Any

from millrace.types import Put

Attributes = dict[str, dict[str, Any]]  # an item as DynamoDB writes it: {"id": {"S": "a"}}


class Journal:
    """Changes in the order in which they were first made.

    `items` has, by table and row key, the item's key attributes and what the item was before; `objects` the bucket and
    key of each object that was touched; `dropped` the tables that were deleted; `puts` what was sent to our queues.
    """

    def __init__(self) -> None:
        self.items: dict[tuple[str, str], tuple[Attributes, Attributes | None]] = {}
        self.objects: dict[tuple[str, str], None] = {}
        self.dropped: list[str] = []
        self.puts: list[Put] = []

    def __bool__(self) -> bool:
        return bool(self.items or self.objects or self.dropped or self.puts)


class _Current(local):
    journal: Journal | None = None


_current = _Current()


def current() -> Journal | None:
    """The journal of this thread's call; None in a thread that moto started by itself."""
    return _current.journal


@contextmanager
def recording(journal: Journal) -> Iterator[Journal]:
    """Let this thread's changes go into `journal`."""
    before, _current.journal = _current.journal, journal
    try:
        yield journal
    finally:
        _current.journal = before
