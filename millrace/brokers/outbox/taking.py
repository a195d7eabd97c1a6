"""What was taken: messages that are done already are not run again, nor are copies of those that are.

Their outputs that wait are put, and they are acknowledged.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress

from millrace.broker import DEAD_FROM_ATTRIBUTE, Broker
from millrace.brokers.outbox.letters import Letters
from millrace.brokers.outbox.outputs import Outputs
from millrace.errors import BrokerError, StorageError
from millrace.store import Ledger
from millrace.types import Commit, Lease, Outcome, Put

_log = logging.getLogger(__name__)


class Taking:
    """Sorts leases of the inner broker."""

    def __init__(self, inner: Broker, ledger: Ledger, outputs: Outputs, letters: Letters) -> None:
        self._inner = inner
        self._ledger = ledger
        self._outputs = outputs
        self._letters = letters
        self._away = False  # the ledger did not answer the last take

    async def ready(self, queue: str) -> None:
        """Nothing is taken while nobody can tell what is done: not every broker gives back uncounted."""
        if self._away:
            await self._ledger.unsent(queue, [])
            self._away = False

    async def not_done(self, queue: str, leases: Sequence[Lease]) -> list[Lease]:
        """The leases whose messages are to be run; copies of them, and what is done already, are acknowledged."""
        done = await self._done(queue, leases)
        if not done and len({lease.message.id for lease in leases}) == len(leases):
            return list(leases)
        fresh: dict[tuple[str, str | None], Lease] = {}
        over = []
        for lease in leases:
            origin = lease.message.attributes.get(DEAD_FROM_ATTRIBUTE)  # a letter is no copy of what has its id here
            if lease.message.id in done or fresh.setdefault((lease.message.id, origin), lease) is not lease:
                over.append(lease)
        if over:
            await self._finish(queue, over, done)
        return list(fresh.values())

    async def _done(self, queue: str, leases: Sequence[Lease]) -> dict[str, list[Put]]:
        """Which messages are done, with the outputs that wait. Where nobody can tell, all are given back."""
        try:
            await self._letters.arrived(queue, leases)
            done = await self._ledger.unsent(queue, [lease.message.id for lease in leases])
            if not done:
                return done
            if again := [lease.message.id for lease in leases if lease.message.id in done and _is_new_letter(lease)]:
                await self._ledger.forget(queue, again, done=True)
        except StorageError:
            self._away = True
            with suppress(BrokerError, StorageError):  # somebody else may
                await self._inner.settle(Commit(queue, [Outcome(lease, "release") for lease in leases]))
            raise
        return {id: puts for id, puts in done.items() if id not in again}

    async def _finish(self, queue: str, leases: Sequence[Lease], unsent: dict[str, list[Put]]) -> None:
        """Put the outputs that wait, then acknowledge; what fails is done again when the leases have run out."""
        try:
            await self._outputs.send(queue, unsent)
            await self._inner.settle(Commit(queue, [Outcome(lease, "done") for lease in leases]))
        except (BrokerError, StorageError) as error:
            _log.warning("%d messages of %s that are done stay in their queue for now: %s", len(leases), queue, error)


def _is_new_letter(lease: Lease) -> bool:
    """Whether a message just came from where it died: one of its id may have been read before, and this is another."""
    return lease.attempt == 1 and DEAD_FROM_ATTRIBUTE in lease.message.attributes
