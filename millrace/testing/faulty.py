"""A broker that fails on demand: before its verb had any effect, or after all of it, when only the answer is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, TypeVar

from millrace.broker import Broker, Peeked, Queue, Standing, Stats
from millrace.errors import StorageError
from millrace.types import Accepted, Commit, Lease, Put

T = TypeVar("T")
When = Literal["before", "after"]


class FaultyBroker(Broker):
    """Another broker, of which chosen calls fail.

    `fail("settle", "after")` lets the next settle do its work and then raises; `hold("take", "before")` stops the
    next take until the event that it returns is set. Faults of a verb are used up in the order they were asked for,
    one a call; `calls` counts the calls of each verb.
    """

    def __init__(self, inner: Broker) -> None:
        self.inner = inner
        self.capabilities = inner.capabilities
        self.calls: dict[str, int] = {}
        self._faults: dict[str, list[tuple[When, Callable[[], Awaitable[None]]]]] = {}

    def fail(self, verb: str, when: When = "before", error: BaseException | None = None, *, times: int = 1) -> None:
        """Make the next calls of a verb raise: a StorageError, unless another error is given."""
        chosen = error or StorageError(f"{verb} was made to fail {when} its work")

        async def fault() -> None:
            raise chosen

        self._faults.setdefault(self._known(verb), []).extend([(when, fault)] * times)

    def hold(self, verb: str, when: When = "before") -> tuple[asyncio.Event, asyncio.Event]:
        """Stop the next call of a verb; the first event says that it got there, setting the second lets it go on."""
        reached, go_on = asyncio.Event(), asyncio.Event()

        async def fault() -> None:
            reached.set()
            await go_on.wait()

        self._faults.setdefault(self._known(verb), []).append((when, fault))
        return reached, go_on

    async def declare(self, queues: Sequence[Queue]) -> None:
        await self._call("declare", lambda: self.inner.declare(queues))

    async def drop(self, queues: Sequence[str]) -> None:
        await self._call("drop", lambda: self.inner.drop(queues))

    async def put(self, puts: Sequence[Put]) -> list[Accepted]:
        return await self._call("put", lambda: self.inner.put(puts))

    async def take(
        self, queue: str, limit: int, *, max_bytes: int | None = None, lease_s: float | None = None
    ) -> list[Lease]:
        return await self._call("take", lambda: self.inner.take(queue, limit, max_bytes=max_bytes, lease_s=lease_s))

    async def wait(self, queue: str, timeout_s: float) -> None:
        await self._call("wait", lambda: self.inner.wait(queue, timeout_s))

    async def settle(self, commit: Commit) -> list[Lease]:
        return await self._call("settle", lambda: self.inner.settle(commit))

    async def extend(self, leases: Sequence[Lease], lease_s: float) -> list[Lease]:
        return await self._call("extend", lambda: self.inner.extend(leases, lease_s))

    async def stats(self, queue: str) -> Stats:
        return await self._call("stats", lambda: self.inner.stats(queue))

    async def queues(self) -> list[str]:
        return await self._call("queues", self.inner.queues)

    async def close(self) -> None:
        await self._call("close", self.inner.close)

    async def peek(self, queue: str, limit: int = 10, *, ids: Sequence[str] | None = None) -> list[Peeked]:
        return await self._call("peek", lambda: self.inner.peek(queue, limit, ids=ids))

    async def move(self, source: str, target: str, ids: Sequence[str] | None = None) -> int:
        return await self._call("move", lambda: self.inner.move(source, target, ids))

    async def purge(self, queue: str, ids: Sequence[str] | None = None, *, in_flight: bool = False) -> int:
        return await self._call("purge", lambda: self.inner.purge(queue, ids, in_flight=in_flight))

    async def standing(self, leases: Sequence[Lease]) -> list[Standing]:
        return await self._call("standing", lambda: self.inner.standing(leases))

    async def _call(self, verb: str, work: Callable[[], Awaitable[T]]) -> T:
        self.calls[verb] = self.calls.get(verb, 0) + 1
        faults = self._faults.get(verb)
        when, fault = faults.pop(0) if faults else ("", None)
        if fault and when == "before":
            await fault()
        result = await work()
        if fault and when == "after":
            await fault()
        return result

    @staticmethod
    def _known(verb: str) -> str:
        if verb not in Broker.__abstractmethods__:
            raise ValueError(
                f"expected a verb of Broker ({', '.join(sorted(Broker.__abstractmethods__))}), got {verb!r}"
            )
        return verb
