"""Dead letters that the inner broker made by itself (a time to live was over, every lease ran out): the ledger learns.

RabbitMQ buries what has expired with no process looking on, and other adapters at a take. So nobody tells of these
deaths: they are looked for, among the letters of a queue, when somebody asks for a result or sends letters elsewhere;
and letters in a queue of their own tell when they are taken from it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

from millrace.broker import DEAD_FROM_ATTRIBUTE, Broker, Peeked, Queue, dead_letters
from millrace.store import CLOCKS_APART_S, Ledger
from millrace.types import Failure, Lease, Record

_MOST_SEEN = 1000  # letters of one look
_UNSAID = Failure("Buried", "the broker made it a dead letter, and does not say why")


class Letters:
    """Looks for dead letters; `queues` are the settings of those that are declared here."""

    def __init__(self, inner: Broker, ledger: Ledger, queues: Mapping[str, Queue]) -> None:
        self._inner = inner
        self._ledger = ledger
        self._queues = queues

    def kept_s(self, queue: str) -> float:
        """How long a dead message of a queue is known: while its letter lies in `<queue>.dead`, else as any other."""
        settings = self._queues.get(queue)
        return math.inf if settings is None or settings.dead_to is None else settings.dedupe_s

    async def learn(self, queue: str, ids: Sequence[str] | None) -> None:
        """Before letters of a queue leave: have the ledger know of those that are there."""
        if self._inner.capabilities.browsable and ids != []:
            found = await self._inner.peek(dead_letters(queue), _MOST_SEEN, ids=ids)
            await self._bury(queue, [_record(queue, each, 0.0) for each in found])

    async def arrived(self, queue: str, leases: Sequence[Lease]) -> None:
        """Letters are taken from the queue that they were sent to: have the ledger know where they died.

        Where all of a queue can be looked at, `find` does. Raises StorageError.
        """
        if self._inner.capabilities.browsable:
            return
        dead: dict[str, list[Record]] = defaultdict(list)
        for lease in leases:
            origin = lease.message.attributes.get(DEAD_FROM_ATTRIBUTE, queue)
            if origin != queue and lease.attempt == 1:
                sent_at = lease.message.sent_at
                dead[origin].append(Record(lease.message.id, origin, "dead", failure=_UNSAID, accepted_at=sent_at))
        for origin, records in dead.items():
            await self._bury(origin, records)

    async def find(self, queue: str, accepted: Mapping[str, float]) -> dict[str, Record]:
        """Records of those messages that are dead letters, from now on also in the ledger.

        `accepted` is when each was put (Unix seconds): a letter that is older belongs to an earlier message of its id.
        Raises BrokerError, StorageError.
        """
        records: dict[str, Record] = {}
        for place in await self._places(queue):
            for each in await self._inner.peek(place, _MOST_SEEN, ids=list(accepted)):
                id, death = each.message.id, each.death
                if death is None and place != dead_letters(queue):
                    continue
                if death is None or (death.queue == queue and _is_after(death.last_failed_at, accepted[id])):
                    records[id] = _record(queue, each, accepted[id])
        await self._bury(queue, list(records.values()))
        return records

    async def _places(self, queue: str) -> list[str]:
        """Where letters of a queue may lie: a queue in use is looked into only where that takes nothing from it."""
        places = []
        if (await self._inner.stats(queue)).dead:
            places.append(dead_letters(queue))
        settings = self._queues.get(queue)
        if settings is not None and settings.dead_to is not None and self._inner.capabilities.browsable:
            places.append(settings.dead_to)
        return places

    async def _bury(self, queue: str, records: Sequence[Record]) -> None:
        if records:
            await self._ledger.bury(queue, records, dead_s=self.kept_s(queue))


def _is_after(died_at: float, accepted_at: float) -> bool:
    return not died_at or died_at + CLOCKS_APART_S >= accepted_at


def _record(queue: str, letter: Peeked, accepted_at: float) -> Record:
    death = letter.death
    if death is None:
        return Record(letter.message.id, queue, "dead", failure=_UNSAID, attempts=letter.attempts)
    return Record(
        letter.message.id,
        queue,
        "dead",
        failure=death.failure,
        attempts=death.attempts,
        function=death.function,
        version=death.version,
        accepted_at=accepted_at or letter.message.sent_at,
        finished_at=death.last_failed_at,
    )
