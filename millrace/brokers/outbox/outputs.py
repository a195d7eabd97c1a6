"""Outputs of functions: they wait in the ledger until the broker has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from millrace.broker import Broker, Queue
from millrace.brokers.limits import check_sizes, check_texts
from millrace.brokers.names import unknown_queue
from millrace.brokers.outbox.intake import Intake
from millrace.store import Ledger
from millrace.types import Put


class Outputs:
    """Puts what functions put; `queues` are the settings of those that are declared here."""

    def __init__(self, inner: Broker, ledger: Ledger, intake: Intake, queues: Mapping[str, Queue]) -> None:
        self._inner = inner
        self._ledger = ledger
        self._intake = intake
        self._queues = queues

    async def check(self, puts: Sequence[Put]) -> None:
        """Raise Unencodable, UnknownQueue or TooLarge for what would never be queued, before anything is written."""
        check_texts(puts)
        if any(put.queue not in self._queues for put in puts):
            names = await self._inner.queues()
            for put in puts:
                if put.queue not in names:
                    raise unknown_queue(put.queue, names)
        check_sizes(puts, self._inner.capabilities.max_body)

    async def send(self, queue: str, unsent: Mapping[str, Sequence[Put]]) -> None:
        """Put outputs of these messages of a queue into theirs, then forget that they wait."""
        if puts := [put for waiting in unsent.values() for put in waiting]:
            await self._intake.put(puts, bounded=False)
            await self._ledger.sent(queue, [id for id, waiting in unsent.items() if waiting])
