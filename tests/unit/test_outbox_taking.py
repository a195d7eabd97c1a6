"""Takes while the ledger is away: a broker that counts what is given back must not bury what nobody has run."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from millrace.broker import Queue
from millrace.brokers.memory import MemoryBroker
from millrace.brokers.outbox import Outbox
from millrace.errors import StorageError
from millrace.stores.memory_ledger import MemoryLedger
from millrace.testing import ManualClock
from millrace.types import Commit, Message, Put


class Counting(MemoryBroker):
    """A broker to which a release is a retry, as it is on SQS."""

    async def settle(self, commit: Commit) -> list[object]:  # type: ignore[override]
        leases = {outcome.lease.receipt: outcome.lease for outcome in commit.outcomes if outcome.verdict == "release"}
        return [lease for lease in leases.values() if not await self.extend([lease], 0.0)]


class Away(MemoryLedger):
    """A ledger that may not answer."""

    away = True

    async def unsent(self, queue: str, ids: Sequence[str]) -> dict[str, list[Put]]:
        if self.away:
            raise StorageError("the database is away")
        return await super().unsent(queue, ids)


async def test_a_ledger_that_is_away_costs_a_message_one_delivery_and_not_its_life() -> None:
    clock = ManualClock()
    inner, ledger = Counting(clock), Away(clock)
    outbox = Outbox(inner, ledger, clock=clock)
    await outbox.declare([Queue("q", max_receives=3)])
    await inner.put([Put("q", Message("m"))])
    for _ in range(5):
        with pytest.raises(StorageError):
            await outbox.take("q", 10)
    ledger.away = False
    assert [(lease.message.id, lease.attempt) for lease in await outbox.take("q", 10)] == [("m", 2)]
    assert (await outbox.stats("q")).dead == 0
