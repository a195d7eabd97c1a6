"""The order of groups."""

from __future__ import annotations

import asyncio

from millrace.testing.bench import WORK, BrokerBench, ids, soon
from millrace.testing.broker.check import check


@check("fifo")
async def a_group_keeps_its_order(bench: BrokerBench) -> None:
    """Several of a group may come in one batch, in order; nothing of it while one of them is in flight."""
    await bench.declare(fifo=True)
    await bench.put("a1", "a2", "a3", group="a")
    await bench.put("b1", group="b")
    if bench.broker.capabilities.recalls:  # elsewhere waiting may take what comes first, alone
        await soon(bench.broker.wait(WORK, 1e6))
    first = await bench.take(2)
    assert ids(first) == ["a1", "a2"], "expected the group in order"
    assert [lease.message.group for lease in first] == ["a", "a"], "expected the group's name"
    second = await bench.take()
    assert ids(second) == ["b1"], "expected other groups alone while the first is in flight"
    await bench.settle(first[:1])
    assert await bench.taken() == [], "expected the group to be closed while its second is in flight"
    await bench.settle(first[1:])
    assert await bench.taken() == ["a3"], "expected the group to go on"


@check("fifo")
async def a_failed_head_holds_its_group(bench: BrokerBench) -> None:
    """What comes behind a delayed message of its group waits for it."""
    await bench.declare(fifo=True)
    await bench.put("a1", "a2", group="a")
    await bench.put("b1", group="b")
    head = await bench.take(1)
    await bench.settle(head, "retry", delay_s=5 * bench.unit_s)
    assert await bench.taken() == ["b1"], "expected the group to wait for its head"
    await bench.pass_units(6)
    leases = await bench.take()
    assert ids(leases) == ["a1", "a2"], "expected the head first"
    await bench.settle(leases, "release")
    assert await bench.taken(1) == ["a1"], "expected the released group in its old order"


@check("fifo")
async def a_lost_lease_keeps_the_order(bench: BrokerBench) -> None:
    """A group whose taker died begins again where it was."""
    await bench.declare(fifo=True)
    await bench.put("a1", "a2", "a3", group="a")
    await bench.take(2)
    await bench.pass_units(11)
    assert await bench.taken() == ["a1", "a2", "a3"], "expected the group from its first unsettled message on"


@check("fifo")
async def a_lapsed_lease_behind_a_taken_head_is_lost(bench: BrokerBench) -> None:
    """Who held several of a group cannot end the later ones once another has the first: they would overtake it."""
    await bench.declare(fifo=True)
    await bench.put("a1", "a2", "a3", group="a")
    old = await bench.take()
    await bench.pass_units(11)
    head = await bench.take(1)
    assert ids(head) == ["a1"], "expected the group from its first message on"
    assert await bench.broker.standing(old) == ["lost"] * 3, "expected the whole group to be lost to its old holder"
    assert await bench.broker.extend(old, 100.0) == [], "expected nothing of the group to be extended"
    assert await bench.settle(old) == ["a1", "a2", "a3"], "expected nothing of the group to be settled"
    assert await bench.settle(head) == [], "expected the head to be its new holder's"
    assert await bench.taken() == ["a2", "a3"], "expected the others behind it"


@check("fifo", "overtime")
async def a_lapsed_lease_of_another_group_counts_still(bench: BrokerBench) -> None:
    """A take from one group takes nothing from who holds another."""
    await bench.declare(fifo=True)
    await bench.put("a1", group="a")
    await bench.put("b1", "b2", group="b")
    old = await bench.take()
    await bench.pass_units(11)
    assert ids(await bench.take(1)) == ["a1"], "expected the oldest"
    assert await bench.settle([lease for lease in old if lease.message.group == "b"]) == [], "expected both to be ours"


@check("fifo")
async def the_groupless_are_one_group(bench: BrokerBench) -> None:
    """Without a group a FIFO queue is one line."""
    await bench.declare(fifo=True)
    await bench.put("1", "2", "3")
    first = await bench.take(1)
    assert ids(first) == ["1"], "expected the first"
    assert await bench.taken() == [], "expected the line to stand still"
    await bench.settle(first, "dead")
    assert await bench.taken() == ["2", "3"], "expected the line to move on"


@check("fifo")
async def a_closed_group_does_not_hide_the_others(bench: BrokerBench) -> None:
    """However long a group's line is, another group's message behind it is found, and waiting is no spinning."""
    await bench.declare(fifo=True)
    await bench.put(*(f"a{number}" for number in range(3000)), group="a")
    held = await bench.take(1)
    waiting = asyncio.ensure_future(bench.broker.wait(WORK, 1e6))
    await bench.put("b1", group="b")
    await soon(waiting)
    assert await bench.taken() == ["b1"], "expected the open group behind the closed one"
    waiting = asyncio.ensure_future(bench.broker.wait(WORK, 1e6))
    await bench.settle(held)
    await soon(waiting)
    assert await bench.taken(2) == ["a1", "a2"], "expected the group to go on"
