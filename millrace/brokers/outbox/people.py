"""What people do to queues, so that the ledger knows of it: move and purge.

Before messages leave, what is known of them is in doubt; afterwards it is known again of those that stayed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from millrace.broker import DEAD_SUFFIX, Broker
from millrace.brokers.outbox.intake import WINDOW_S
from millrace.brokers.outbox.letters import Letters
from millrace.store import Ledger
from millrace.types import Message, Put

_MOST_LEFT = 1000  # messages in flight that are looked at when all others were purged or moved


class People:
    """Moves and purges; `windows_s` are the dedupe windows of the queues that are declared here."""

    def __init__(self, inner: Broker, ledger: Ledger, letters: Letters, windows_s: Mapping[str, float]) -> None:
        self._inner = inner
        self._ledger = ledger
        self._letters = letters
        self._windows_s = windows_s

    async def move(self, source: str, target: str, ids: Sequence[str] | None) -> int:
        """Move messages; say how many."""
        owner = source.removesuffix(DEAD_SUFFIX)
        if owner == source:
            await self._ledger.doubt(source, ids)
        else:
            await self._letters.learn(owner, ids)
        if ids is not None:
            await self._ledger.forget(target, ids, done=True)  # before: it could be taken at once
        count = await self._inner.move(source, target, ids)
        left, sure = await self._left(source, ids)
        if count:
            window_s = self._windows_s.get(target, WINDOW_S)
            await self._ledger.moved(owner, target, ids, left, dedupe_s=window_s, sure=sure, dead=owner != source)
        if owner == source:
            await self._trust(source, left)
        return count

    async def purge(self, queue: str, ids: Sequence[str] | None, *, in_flight: bool) -> int:
        """Delete messages; say how many."""
        owner = queue.removesuffix(DEAD_SUFFIX)
        if owner != queue:
            await self._letters.learn(owner, ids)
        await self._ledger.doubt(queue, ids)
        count = await self._inner.purge(queue, ids, in_flight=in_flight)
        left, _ = await self._left(queue, ids)
        if owner != queue:
            await self._ledger.expire(owner, ids, self._windows_s.get(owner, WINDOW_S))
        else:
            await self._trust(queue, left)
        return count

    async def _trust(self, queue: str, ids: Sequence[str]) -> None:
        """These were in doubt, and are in their queue."""
        if ids:
            await self._ledger.confirm([Put(queue, Message(id)) for id in ids], [0] * len(ids))

    async def _left(self, queue: str, ids: Sequence[str] | None) -> tuple[list[str], bool]:
        """Ids of messages that are still in a queue, and whether these are surely all."""
        if not self._inner.capabilities.browsable:
            return [], False
        limit = _MOST_LEFT if ids is None else len(ids)
        left = [each.message.id for each in await self._inner.peek(queue, limit, ids=ids)]
        return left, ids is not None or len(left) < limit
