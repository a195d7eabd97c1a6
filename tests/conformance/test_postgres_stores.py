"""The stores in PostgreSQL, against the suites that third parties get, on the real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from millrace.brokers.outbox import Outbox
from millrace.store import Results, Table
from millrace.testing import ManualClock
from millrace.testing import ledger as ledgers
from millrace.testing import results as records
from millrace.testing import table as tables
from millrace.testing.bench import BrokerBench
from millrace.testing.broker import CHECKS, Check
from tests.conformance.outbox_parts import Forgetful, advancing
from tests.conformance.postgres_parts import opened
from tests.conformance.real_time import run_in_real_time

UNIT_S = 0.1
NOT_HERE = {
    # What counts the database's time: in it the memory broker's manual clock has no part.
    "an_id_is_forgotten_after_the_window",
    "a_key_is_forgotten_after_the_window",
    "a_purged_dead_letter_is_known_for_the_window",
    # What a broker to which no id is known cannot do.
    "a_letter_whose_id_is_taken_stays_behind",
}


@pytest.mark.parametrize("name", ["pets", 'odd "name"; --', "Pets", "日本" * 60])
@pytest.mark.parametrize("check", tables.CHECKS, ids=lambda check: check.__name__)
async def test_table(check: Callable[[Table], Awaitable[None]], name: str) -> None:
    async with opened() as store:
        await check(await store.open_table(name, "id", stream=True))


@pytest.mark.parametrize("check", records.CHECKS, ids=lambda check: check.__name__)
async def test_results(check: Callable[[Results], Awaitable[None]]) -> None:
    async with opened() as store:
        await check(store.results)


@pytest.mark.parametrize("check", ledgers.CHECKS, ids=lambda check: check.__name__)
async def test_ledger(check: Callable[[ledgers.LedgerBench], Awaitable[None]]) -> None:
    await run_in_real_time(ledger, check, UNIT_S)


@asynccontextmanager
async def ledger(unit_s: float) -> AsyncIterator[ledgers.LedgerBench]:
    async with opened() as store:
        table = await store.open_table("rows", "id", stream=True)
        yield ledgers.LedgerBench(store.ledger, table, store.results, asyncio.sleep, unit_s)


@asynccontextmanager
async def outbox() -> AsyncIterator[BrokerBench]:
    clock = ManualClock()
    async with opened() as store:
        broker = Outbox(Forgetful(clock), store.ledger, clock=clock)
        table = await store.open_table("rows", "id")
        yield BrokerBench(broker, advancing(clock), table=table, results=store.results)


@pytest.mark.parametrize(
    "check",
    [
        pytest.param(check, id=check.name)
        for check in CHECKS
        if {"transactional", "dedupe"} & set(check.needs)
        and "durable" not in check.needs
        and check.name not in NOT_HERE
    ],
)
async def test_outbox(check: Check) -> None:
    async with outbox() as bench:
        await check.run(bench)
