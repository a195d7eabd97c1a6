"""Results beside an outbox: a message that the ledger takes for queued may be a dead letter that nobody told of."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Sequence

from millrace.brokers.outbox.letters import Letters
from millrace.brokers.outbox.shared import Shared
from millrace.clock import Clock
from millrace.errors import MillraceError
from millrace.store import Results
from millrace.types import Record

_LOOK_EVERY_S = 2.0  # into a queue's letters, by one process
_MOST_ASKED = 1000  # ids of one look
_PATIENCE_S = 1.0  # of one who asks; a look that takes longer goes on, and the next one hears of it
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 15.0  # of one who waits, between two looks
_UNFINISHED = ("queued", "running", "retrying")
_log = logging.getLogger(__name__)


class OutboxResults(Results):
    """Another's records; of those that are not finished, the dead letters are looked for."""

    def __init__(self, inner: Results, letters: Letters, clock: Clock) -> None:
        self._inner = inner
        self._letters = letters
        self._clock = clock
        self._look = Shared(self._look_all)
        self._look_at: dict[str, float] = {}  # when a queue's letters may be looked through again, monotonic
        self._asked: dict[str, dict[str, float]] = defaultdict(dict)  # by queue: ids for its next look, when accepted

    async def get(self, id: str) -> Record | None:
        return await self._checked(await self._inner.get(id))

    async def put(self, records: Sequence[Record]) -> None:
        await self._inner.put(records)

    async def wait(self, id: str, timeout_s: float) -> Record | None:
        give_up_at, pause_s = self._clock.monotonic() + timeout_s, _FIRST_PAUSE_S
        while True:
            left_s = give_up_at - self._clock.monotonic()
            record = await self._checked(await self._inner.wait(id, min(left_s, pause_s)))
            if left_s <= pause_s or (record is not None and record.state not in _UNFINISHED):
                return record
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _checked(self, record: Record | None) -> Record | None:
        """The record, or that of its message's death."""
        if record is None or record.state not in _UNFINISHED:
            return record
        try:
            found = await asyncio.wait_for(self._look([record]), _PATIENCE_S)
        except (MillraceError, TimeoutError) as error:
            _log.debug("the letters of %s cannot be looked through now: %s", record.queue, error)
            return record
        return found[0]

    async def _look_all(self, records: Sequence[Record]) -> list[Record]:
        """Look for these and for those that came too soon after the last look; what those find is in the ledger."""
        now_s = self._clock.monotonic()
        for record in records:
            if len(waiting := self._asked[record.queue]) < _MOST_ASKED:
                waiting[record.id] = record.accepted_at
        dead: dict[tuple[str, str], Record] = {}
        for queue in {record.queue for record in records}:
            if self._look_at.get(queue, 0.0) <= now_s:
                self._look_at[queue] = now_s + _LOOK_EVERY_S
                found = await self._letters.find(queue, self._asked.pop(queue))
                dead |= {(queue, id): each for id, each in found.items()}
        return [dead.get((record.queue, record.id), record) for record in records]
