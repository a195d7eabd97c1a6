"""One answer for each message id, whoever puts it and how often."""

from __future__ import annotations

import asyncio

from millrace.testing.bench import BrokerBench, ids
from millrace.testing.broker.check import check


@check("dedupe")
async def an_id_is_stored_once(bench: BrokerBench) -> None:
    """A known id is accepted as a duplicate: within one put, waiting, in flight, and settled."""
    await bench.declare()
    assert await bench.put("a", "b", "a") == [False, False, True], "expected the second a to be a duplicate"
    assert await bench.put("b", "c") == [True, False], "expected b to be known"
    leases = await bench.take()
    assert sorted(ids(leases)) == ["a", "b", "c"], "expected one message an id"
    assert await bench.put("a") == [True], "expected an id in flight to be known"
    await bench.settle(leases)
    assert await bench.put("a", "d") == [True, False], "expected a settled id to be known"
    assert await bench.taken() == ["d"], "expected that a duplicate does not run"


@check("dedupe")
async def the_first_body_stays(bench: BrokerBench) -> None:
    """A duplicate with another body changes nothing, whatever their sizes."""
    await bench.declare()
    for size in (10, 100_000):
        await bench.put(f"m{size}", body=b"1" * size)
        for other in (10, 100_000):
            await bench.put(f"m{size}", body=b"2" * other)
        (lease,) = await bench.take()
        assert lease.message.body == b"1" * size, "expected the body that was accepted first"


@check("dedupe")
async def queues_know_ids_of_their_own(bench: BrokerBench) -> None:
    """The same id in two queues is two messages."""
    await bench.declare()
    await bench.declare("other")
    await bench.put("a")
    assert await bench.put("a", queue="other") == [False], "expected the other queue not to know the id"
    await bench.settle(await bench.take())
    assert await bench.taken(queue="other") == ["a"], "expected the other queue's message to be there"


@check("dedupe")
async def an_id_is_forgotten_after_the_window(bench: BrokerBench) -> None:
    """After dedupe_s the id of a settled message is new again."""
    await bench.declare(dedupe_s=100 * bench.unit_s)
    await bench.put("a")
    await bench.settle(await bench.take())
    await bench.pass_units(99)
    assert await bench.put("a") == [True], "expected the id to be known within the window"
    await bench.pass_units(2)
    assert await bench.put("a") == [False], "expected the id to be forgotten after the window"
    assert await bench.settle(await bench.take()) == [], "expected the message to run again"
    assert await bench.put("a") == [True], "expected the id to be known by its new record"


@check("dedupe")
async def concurrent_puts_of_an_id_store_one(bench: BrokerBench) -> None:
    """Of many who put one id at once, one is told that it was first."""
    await bench.declare()
    answers = await asyncio.gather(*(bench.put("a", f"m{number}") for number in range(20)))
    assert [answer[0] for answer in answers].count(False) == 1, "expected one put to be the first"
    assert len(await bench.taken()) == 21, "expected one message an id"
