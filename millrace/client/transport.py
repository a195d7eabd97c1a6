"""The way to a project: over its file or over HTTP, alike in what it raises."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from millrace.types import Put, Record

TIMEOUT_S = 40.0  # of one request; a gateway waits for a broker that is away for 30 s, and then it answers


class Transport(Protocol):
    """Puts and records; opened by its class, closed once."""

    async def put(self, puts: Sequence[Put]) -> list[str]:
        """Store all or none durably; the ids by which `record` knows them."""
        ...

    async def record(self, id: str, wait_s: float = 0.0) -> Record | None:
        """The record of a message, as soon as it is finished or wait_s have passed; None when it is unknown."""
        ...

    async def close(self) -> None:
        """Let go of files and connections."""
        ...
