"""Looking at a queue changes nothing."""

from __future__ import annotations

from millrace.broker import (
    dead_letters,
)
from millrace.testing.bench import WORK, BrokerBench
from millrace.testing.broker.check import check


@check()
async def stats_count_by_state(bench: BrokerBench) -> None:
    """Waiting, in flight and dead messages are told apart, and the age of the oldest is known."""
    await bench.declare()
    await bench.put("a", "b", "c", "d")
    await bench.settle(await bench.take(1), "dead")
    await bench.take(1)
    stats = await bench.broker.stats(WORK)
    assert (stats.depth, stats.in_flight, stats.delayed, stats.dead) == (2, 1, 0, 1), f"got {stats}"
    if bench.broker.capabilities.exact:
        assert stats.oldest_age_s > 0, "expected the age of the oldest message"
    dead = await bench.broker.stats(dead_letters(WORK))
    assert (dead.depth, dead.dead) == (1, 1), f"expected a dead-letter queue to count its own, got {dead}"


@check("browsable")
async def peek_changes_nothing(bench: BrokerBench) -> None:
    """Looking is no delivery, is bounded, and can be for some ids."""
    await bench.declare()
    await bench.put("a")
    failed = await bench.take(1)
    await bench.put("b", "c")
    await bench.settle(failed, "retry")
    for _ in range(3):
        seen = await bench.broker.peek(WORK, 2)
        assert [(each.message.id, each.state, each.attempts) for each in seen] == [("a", "ready", 1), ("b", "ready", 0)]
    chosen = await bench.broker.peek(WORK, ids=["c", "a", "nobody"])
    assert [each.message.id for each in chosen] == ["a", "c"], "expected the chosen ones, oldest first"
