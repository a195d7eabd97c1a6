"""Messages that people move to another queue, or purge."""

from __future__ import annotations

from millrace.testing.bench import WORK, BrokerBench
from millrace.testing.broker.check import check


@check("browsable")
async def move_takes_what_was_chosen(bench: BrokerBench) -> None:
    """Messages are moved by id, or all of them, but not what is in flight."""
    await bench.declare()
    await bench.declare("other")
    await bench.put("a")
    (held,) = await bench.take(1)
    await bench.put("b", "c")
    assert await bench.broker.move(WORK, "other", ["a", "b", "nobody"]) == 1, "expected b alone to be moved"
    assert await bench.broker.move(WORK, "other") == 1, "expected c alone to be moved"
    assert await bench.waiting() == ["a"], "expected a, which is in flight, to stay"
    assert sorted(await bench.taken(queue="other")) == ["b", "c"], "expected what was moved"
    assert await bench.settle([held]) == [], "expected that a lease is not touched"


@check("browsable", "dedupe")
async def what_the_target_has_already_stays(bench: BrokerBench) -> None:
    """No queue holds an id twice."""
    await bench.declare()
    await bench.declare("other")
    await bench.put("a", "b")
    await bench.put("b", queue="other")
    assert await bench.broker.move(WORK, "other") == 1, "expected a alone to be moved"
    assert await bench.waiting() == ["b"], "expected b, which the target had, to stay"
    assert sorted(await bench.taken(queue="other")) == ["a", "b"], "expected what was moved"


@check()
async def purge_deletes_what_waits(bench: BrokerBench) -> None:
    """All messages are purged but those in flight."""
    await bench.declare()
    await bench.put("a", "b", "c", body=b"x" * 5000)
    (held,) = await bench.take(1)
    assert await bench.broker.purge(WORK) == 2, "expected what waits to be purged"
    assert await bench.take() == [], "expected nothing else to be there"
    assert await bench.settle([held]) == [], "expected that a lease is not touched"


@check("browsable")
async def purge_deletes_what_was_chosen(bench: BrokerBench) -> None:
    """Messages are purged by id, or all of them, but not what is in flight."""
    await bench.declare()
    await bench.put("a", body=b"x" * 5000)
    (held,) = await bench.take(1)
    await bench.put("b", "c", "d", body=b"x" * 5000)
    assert await bench.broker.purge(WORK, ["a", "b", "nobody"]) == 1, "expected b alone to be purged"
    assert await bench.broker.purge(WORK) == 2, "expected the rest to be purged"
    assert await bench.waiting() == ["a"], "expected what is in flight to stay"
    assert await bench.settle([held]) == [], "expected that a lease is not touched"
    assert await bench.put("b") == [False], "expected a purged id that was never settled to be new"


@check()
async def purge_may_take_everything(bench: BrokerBench) -> None:
    """Where it is said, what is in flight is deleted as well, and its lease is lost."""
    await bench.declare()
    await bench.put("a", "b", "c")
    leases = await bench.take(2)
    assert await bench.broker.purge(WORK, in_flight=True) == 3, "expected everything to be purged"
    assert len(await bench.settle(leases)) == 2, "expected the leases to be lost"
    await bench.pass_units(11)
    assert await bench.take() == [], "expected nothing to come back"


@check("browsable")
async def purge_may_take_what_is_in_flight(bench: BrokerBench) -> None:
    """Where it is said, what is in flight is deleted as well, and its lease is lost."""
    await bench.declare()
    await bench.put("a", "b", body=b"x" * 5000)
    leases = await bench.take(2)
    await bench.put("c", body=b"x" * 5000)
    assert await bench.broker.purge(WORK, ["b", "nobody"], in_flight=True) == 1, "expected b to be purged"
    assert await bench.broker.purge(WORK, in_flight=True) == 2, "expected the rest to be purged"
    assert await bench.waiting() == [], "expected an empty queue"
    assert sorted(await bench.settle(leases)) == ["a", "b"], "expected the leases to be lost"
    await bench.pass_units(11)
    assert await bench.take() == [], "expected nothing to come back"


@check()
async def many_are_moved_and_purged(bench: BrokerBench) -> None:
    """Numbers beyond any chunk, once each."""
    await bench.declare()
    await bench.declare("other")
    names = [f"m{number:04}" for number in range(2500)]
    await bench.put(*names)
    assert await bench.broker.move(WORK, "other") == 2500, "expected all to be moved"
    taken = await bench.taken(3, queue="other")
    assert len(taken) == 3, f"expected three, got {taken}"
    assert taken == names[:3] or not bench.broker.capabilities.ordered, f"expected their old order, got {taken}"
    assert await bench.broker.purge("other") == 2497, "expected all but those in flight to be purged"
