"""What a broker claims, and what it does not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from millrace.broker import (
    Queue,
)
from millrace.errors import BrokerError
from millrace.testing.bench import BrokerBench, ids, raised
from millrace.testing.broker.check import check


@check("durable")
async def what_was_accepted_survives(bench: BrokerBench) -> None:
    """Messages, attempts, dead letters and the memory of ids are there after a reopening."""
    assert bench.reopen is not None, "a durable broker's bench must be able to reopen"
    await bench.declare()
    await bench.put("done", "dead", "held", body=b"x" * 5000)
    leases = await bench.leased(3)
    held = leases["held"]
    await bench.put("waits", body=b"x" * 5000)
    await bench.settle([leases["done"]])
    await bench.settle([leases["dead"]], "dead")
    bench.broker = await bench.reopen()
    assert [letter.message.id for letter in await bench.dead()] == ["dead"], "expected the dead letter"
    if bench.broker.capabilities.dedupe:
        assert await bench.put("done") == [True], "expected the settled id to be known"
    await bench.pass_units(11)
    again = await bench.leased()
    assert sorted(again) == ["held", "waits"], "expected what was not settled"
    assert (again["held"].attempt, again["waits"].attempt) == (2, 1), "expected the attempts to be counted on"
    assert again["held"].message == held.message, "expected the message as it was"


@check("durable", "portable")
async def a_lease_survives(bench: BrokerBench) -> None:
    """A lease holds across a reopening, until its time is over."""
    assert bench.reopen is not None, "a durable broker's bench must be able to reopen"
    await bench.declare()
    await bench.put("held")
    (held,) = await bench.take(1)
    await bench.put("waits")
    bench.broker = await bench.reopen()
    assert await bench.taken() == ["waits"], "expected a lease to hold across a reopening"
    assert ids(await bench.broker.extend([held], 10 * bench.unit_s)) == ["held"], "expected it to be ours still"
    await bench.pass_units(11)
    assert sorted(await bench.taken()) == ["held", "waits"], "expected leases to run out after a reopening too"


@check()
async def what_is_not_claimed_is_refused(bench: BrokerBench) -> None:
    """A broker that cannot do a thing says so instead of doing something else."""
    capabilities = bench.broker.capabilities
    await bench.declare()
    unit_s = bench.unit_s
    attempts: dict[str, Callable[[], Awaitable[object]]] = {
        "fifo": lambda: bench.broker.declare([Queue("line", fifo=True)]),
        "delay": lambda: bench.put("a", delay_s=unit_s),
        "ttl": lambda: bench.put("a", ttl_s=unit_s),
    }
    for capability, attempt in attempts.items():
        if not getattr(capabilities, capability):
            await raised(BrokerError, attempt())
