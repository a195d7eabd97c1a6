"""Which objects no message refers to: the names of objects hold their messages' ids, so few messages are looked at."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from millrace.broker import Broker
from millrace.brokers.claims.bodies import Bodies
from millrace.brokers.claims.claim import claim_of, id_of
from millrace.clock import Clock
from millrace.errors import StorageError

_GRACE_S = 86_400.0  # longer than any put takes from its object to its message
_PAGE = 500
_log = logging.getLogger(__name__)


class Sweep:
    """Compares a bucket with the queues of a broker."""

    def __init__(self, inner: Broker, bodies: Bodies, clock: Clock) -> None:
        self._inner = inner
        self._bodies = bodies
        self._clock = clock
        self._suspects: set[str] = set()

    async def run(self) -> int:
        """Delete what was without a message in the last run too; say how many. Raises StorageError."""
        before = self._clock.now() - _GRACE_S
        old = [info.key for info in await self._bodies.listed() if info.modified_at < before]
        alone = await self.unreferred(old)
        sure = alone & self._suspects
        self._suspects = alone - sure
        await self._bodies.delete(sure)
        return len(sure)

    async def referred(self, queue: str, ids: Sequence[str] | None) -> set[str]:
        """The objects to which messages of a queue refer, all of them or those of some ids."""
        try:
            keys = [info.key for info in await self._bodies.listed()]
        except StorageError as error:
            _log.warning("bodies of purged messages are not deleted now: %s", error)
            return set()
        chosen = None if ids is None else set(ids)
        return await self._referred(queue, [key for key in keys if chosen is None or id_of(key) in chosen])

    async def unreferred(self, keys: Iterable[str], *, first: str = "") -> set[str]:
        """Those of some objects to which no message refers in any queue; `first` is looked into before the others."""
        left = {key for key in keys if id_of(key) is not None}
        for queue in sorted(await self._inner.queues(), key=lambda name: name != first) if left else ():
            left -= await self._referred(queue, left)
        return left

    async def _referred(self, queue: str, keys: Iterable[str]) -> set[str]:
        found: set[str] = set()
        ids = sorted({id for key in keys if (id := id_of(key)) is not None})
        for start in range(0, len(ids), _PAGE):
            page = ids[start : start + _PAGE]
            seen = await self._inner.peek(queue, len(page), ids=page)
            found |= {claim.key for each in seen if (claim := claim_of(each.message)) is not None}
        return found
