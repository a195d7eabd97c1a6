"""Waiting for something to take."""

from __future__ import annotations

import asyncio

from millrace.testing.bench import WORK, BrokerBench, soon
from millrace.testing.broker.check import check


@check()
async def wait_returns_at_once_for_what_is_there(bench: BrokerBench) -> None:
    """Nobody waits beside a message."""
    await bench.declare()
    await bench.put("a")
    await soon(bench.broker.wait(WORK, 1e6))


@check()
async def wait_is_woken_by_a_put(bench: BrokerBench) -> None:
    """A put wakes whoever waits, and nobody of another queue is needed for it."""
    await bench.declare()
    waiting = [asyncio.ensure_future(bench.broker.wait(WORK, 1e6)) for _ in range(3)]
    await asyncio.sleep(0)
    await bench.put("a")
    await soon(asyncio.gather(*waiting))


@check()
async def wait_ends_with_its_timeout(bench: BrokerBench) -> None:
    """An empty queue is waited for until timeout_s."""
    await bench.declare()
    await bench.until_done(bench.broker.wait(WORK, 3 * bench.unit_s))


@check()
async def wait_knows_when_a_lease_runs_out(bench: BrokerBench) -> None:
    """What will be due is waited for no longer than that."""
    await bench.declare()
    await bench.put("a")
    await bench.take()
    await bench.until_done(bench.broker.wait(WORK, 1e9))
    await bench.pass_units(10)
    assert await bench.taken() == ["a"], "expected the message whose lease ran out"


@check()
async def wait_is_woken_by_a_release(bench: BrokerBench) -> None:
    """A message given back wakes whoever waits."""
    await bench.declare()
    await bench.put("a")
    leases = await bench.take()
    waiting = asyncio.ensure_future(bench.broker.wait(WORK, 1e6))
    await asyncio.sleep(0)
    await bench.settle(leases, "release")
    await soon(waiting)
