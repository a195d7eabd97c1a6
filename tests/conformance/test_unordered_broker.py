"""The suite takes no order for granted where a broker promises none, as shown by queues that turn theirs round."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from millrace.broker import Broker
from millrace.brokers.memory import MemoryBroker
from millrace.brokers.memory import broker as memory_module
from millrace.brokers.memory.item import Item
from millrace.brokers.memory.queue import MemoryQueue
from millrace.stores.memory import MemoryResults, MemoryTables
from millrace.testing import ManualClock
from millrace.testing.bench import BrokerBench
from millrace.testing.broker import CHECKS, Check


class Unordered(MemoryBroker):
    """The queue in memory, which outlives nothing but says so for the checks that reopen."""

    capabilities = msgspec.structs.replace(MemoryBroker.capabilities, ordered=False, durable=True)


class Backwards(MemoryQueue):
    """The youngest comes first."""

    def due(self, now_s: float) -> Iterator[Item]:
        if self.settings.fifo:
            yield from super().due(now_s)
            return
        found = self.turned([*dict.fromkeys(super().due(now_s))])  # nothing is leased meanwhile: some come twice
        try:
            while found:
                yield found.pop(0)
        finally:
            for item in found:
                self.place(item)

    def turned(self, items: list[Item]) -> list[Item]:
        return items[::-1]


class Inwards(Backwards):
    """From the middle on, then what comes before it."""

    def turned(self, items: list[Item]) -> list[Item]:
        middle = len(items) // 2
        return items[middle:] + items[:middle]


UNORDERED = [check for check in CHECKS if check.applies(Unordered.capabilities)]


@pytest.mark.parametrize("queue", [Backwards, Inwards])
@pytest.mark.parametrize("check", [pytest.param(check, id=check.name) for check in UNORDERED])
async def test_no_order_is_demanded(check: Check, queue: type[MemoryQueue], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_module, "MemoryQueue", queue)
    clock, tables = ManualClock(), MemoryTables()
    results = MemoryResults(clock)
    broker = Unordered(clock, [tables, results])

    async def advance(seconds: float) -> None:
        clock.advance(seconds)

    async def reopen() -> Broker:
        return broker

    table = await tables.open("rows", "id")
    await check.run(BrokerBench(broker, advance, reopen=reopen, table=table, results=results))


def test_order_is_demanded_where_it_is_claimed() -> None:
    claimed = {check.name for check in CHECKS} - {check.name for check in UNORDERED}
    assert claimed == {"take_is_oldest_first_and_bounded", "take_is_full_before_max_bytes"}
