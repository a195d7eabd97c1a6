"""All brokers against the model, in queues with and without order."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from millrace.broker import Broker
from millrace.brokers.claims import ClaimCheck
from millrace.brokers.memory import MemoryBroker
from millrace.brokers.sqlite import SqliteBroker
from millrace.database import Database
from millrace.stores.objects import open_bucket
from millrace.testing import ManualClock
from millrace.testing.bench import BrokerBench
from millrace.testing.machine import broker_machine
from tests.conformance.machine_runs import run_machine


@asynccontextmanager
async def memory() -> AsyncIterator[BrokerBench]:
    clock = ManualClock()
    yield BrokerBench(MemoryBroker(clock), _advancing(clock))


@asynccontextmanager
async def sqlite() -> AsyncIterator[BrokerBench]:
    clock = ManualClock()
    with tempfile.TemporaryDirectory() as folder:
        database = Database.open(Path(folder) / "test.db", clock=clock)
        yield BrokerBench(SqliteBroker(database), _advancing(clock))
        await database.close()


@asynccontextmanager
async def memory_claims() -> AsyncIterator[BrokerBench]:
    async with memory() as bench:
        bench.broker = _claiming(bench.broker)
        yield bench


@asynccontextmanager
async def sqlite_claims() -> AsyncIterator[BrokerBench]:
    async with sqlite() as bench:
        bench.broker = _claiming(bench.broker)
        yield bench


def _claiming(inner: Broker) -> ClaimCheck:
    """Every body is claimed."""
    return ClaimCheck(inner, open_bucket("bodies", "memory://", Path()), beyond_bytes=1)


def _advancing(clock: ManualClock):
    async def advance(seconds: float) -> None:
        clock.advance(seconds)

    return advance


@pytest.mark.parametrize("fifo", [False, True], ids=["standard", "fifo"])
@pytest.mark.parametrize(
    ("opened", "share"),  # of the profile's examples: those on a disk are slow
    [
        (memory, 1.0),  # coverage sees the machine itself at work here, and is spared the rest: it doubles their time
        pytest.param(sqlite, 0.2, marks=pytest.mark.no_cover),
        pytest.param(memory_claims, 0.5, marks=pytest.mark.no_cover),
        pytest.param(sqlite_claims, 0.1, marks=pytest.mark.no_cover),
    ],
    ids=["memory", "sqlite", "memory-claims", "sqlite-claims"],
)
def test_machine(opened, share: float, fifo: bool) -> None:
    run_machine(broker_machine(opened, fifo=fifo), share)


def test_the_machine_finds_a_broker_that_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    @asynccontextmanager
    async def uncounted() -> AsyncIterator[BrokerBench]:
        async with memory() as bench:
            lease = bench.broker._lease

            def forgetful(queue, item, now_s):
                given = lease(queue, item, now_s)
                item.attempts = min(item.attempts, 1)
                return given

            bench.broker._lease = forgetful
            yield bench

    with pytest.raises(AssertionError):
        run_state_machine_as_test(
            broker_machine(uncounted),
            settings=settings(max_examples=500, deadline=None, database=None, phases=[Phase.generate]),
        )
