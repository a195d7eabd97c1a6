"""Leases: they run out, are renewed, given back and fenced."""

from __future__ import annotations

import asyncio

from millrace.testing.bench import WORK, BrokerBench, ids, outcome, soon
from millrace.testing.broker.check import check
from millrace.types import Commit


@check()
async def a_lease_that_runs_out_gives_the_message_again(bench: BrokerBench) -> None:
    """Attempts are counted by the broker, whatever became of the taker."""
    await bench.declare()
    await bench.put("a")
    for attempt in (1, 2, 3):
        (lease,) = await bench.take()
        assert lease.attempt == attempt, f"expected attempt {attempt}, got {lease.attempt}"
        await bench.pass_units(9)
        assert await bench.take() == [], "expected the message to be hidden while its lease runs"
        await bench.pass_units(2)


@check()
async def an_old_receipt_does_nothing(bench: BrokerBench) -> None:
    """Once a message was leased to somebody else, the first taker can neither settle nor extend it."""
    await bench.declare()
    await bench.put("a")
    old = await bench.take()
    await bench.pass_units(11)
    new = await bench.take()
    for verdict in ("done", "retry", "dead", "release"):
        assert await bench.settle(old, verdict) == ["a"], f"expected an old lease to be lost: {verdict}"
        assert await bench.take() == [], f"expected that a lost {verdict} leaves the message where it is"
        assert await bench.dead() == [], f"expected that a lost {verdict} makes no dead letter"
    assert await bench.broker.extend(old, 100.0) == [], "expected that an old lease cannot be extended"
    assert await bench.settle(new) == [], "expected the new lease to be ours"
    assert await bench.settle(new) == ["a"], "expected a lease to end once"
    assert await bench.settle(old) == ["a"], "expected the lease of a deleted message to be lost"


@check()
async def a_lost_lease_does_not_harm_those_that_run(bench: BrokerBench) -> None:
    """In one commit the outcome whose lease was lost has no effect, that of a renewed one all of its own."""
    await bench.declare()
    await bench.put("lost", "kept")
    old = await bench.leased()
    await bench.pass_units(8)
    await bench.broker.extend([old["kept"]], 20 * bench.unit_s)
    await bench.pass_units(3)
    (again,) = await bench.take()
    lost = await bench.broker.settle(Commit(WORK, [outcome(lease) for lease in old.values()]))
    assert ids(lost) == [again.message.id] == ["lost"], f"expected only what was taken over to be lost, got {lost}"
    assert await bench.settle([again]) == [], "expected the new lease to be ours"
    await bench.pass_units(11)
    assert await bench.take() == [], "expected both to be done"


@check("overtime")
async def a_lost_lease_does_not_harm_its_batch(bench: BrokerBench) -> None:
    """In one commit the outcome whose lease was lost has no effect, the others all of theirs."""
    await bench.declare()
    await bench.put("a", "b")
    old = await bench.take()
    await bench.pass_units(11)
    (again,) = await bench.take(1)
    lost = await bench.broker.settle(Commit(WORK, [outcome(lease) for lease in old]))
    assert ids(lost) == [again.message.id], "expected only the lease that was taken over to be lost"
    assert await bench.settle([again]) == [], "expected the new lease to be ours"


@check()
async def extend_renews_from_now(bench: BrokerBench) -> None:
    """An extended lease lasts lease_s from the moment of its renewal."""
    await bench.declare()
    await bench.put("a", "b")
    leases = await bench.leased()
    await bench.pass_units(8)
    extended = await bench.broker.extend([leases["a"]], 20 * bench.unit_s)
    assert ids(extended) == ["a"], "expected the lease to be extended"
    assert extended[0].expires_at > leases["a"].expires_at, "expected a later end"
    await bench.pass_units(4)
    assert await bench.taken() == ["b"], "expected only the lease that was not extended to run out"
    assert await bench.settle(extended) == [], "expected an extended lease to be ours"


@check()
async def a_released_message_is_there_at_once(bench: BrokerBench) -> None:
    """A message given back can be taken without time passing."""
    await bench.declare()
    await bench.put("a")
    assert await bench.settle(await bench.take(), "release") == [], "expected the lease to be ours"
    assert await bench.taken() == ["a"], "expected the message at once"


@check("recalls")
async def release_is_not_an_attempt(bench: BrokerBench) -> None:
    """A message given back is there at once, in its old place, its attempt uncounted."""
    await bench.declare(max_receives=2)
    await bench.put("a", "b")
    for _ in range(5):
        (lease,) = await bench.take(1)
        assert lease.attempt == 1, f"expected a first try, got {lease}"
        assert lease.message.id == "a" or not bench.broker.capabilities.ordered, f"expected its old place, got {lease}"
        assert await bench.settle([lease], "release") == [], "expected the lease to be ours"


@check()
async def retry_counts_and_remembers_the_first_failure(bench: BrokerBench) -> None:
    """A message to be tried again comes back with its attempts and the time of its first failure."""
    await bench.declare()
    await bench.put("a")
    await bench.settle(await bench.take(), "retry")
    (second,) = await bench.take()
    assert second.attempt == 2, f"expected a second try, got {second}"
    assert second.first_failed_at > 0, "expected the time of the first failure"
    await bench.pass_units(1)
    await bench.settle([second], "retry")
    (third,) = await bench.take()
    assert third.first_failed_at == second.first_failed_at, "expected the first failure to stay the first"


@check()
async def a_lease_knows_its_first_delivery_and_its_place(bench: BrokerBench) -> None:
    """Where a broker keeps them: the time of the first delivery stays, places grow; a release is no delivery."""
    await bench.declare(lease_s=5 * bench.unit_s)
    await bench.put("a", "b")
    leases = await bench.leased()
    first, second = leases["a"], leases["b"]
    if first.sequence:
        assert first.sequence < second.sequence, "expected places in the order of the puts"
    if not first.first_taken_at:
        return
    await bench.settle([second], "release")
    await bench.pass_units(6)
    again = await bench.leased()
    assert abs(again["a"].first_taken_at - first.first_taken_at) < 0.01, "expected the time of the first delivery"
    if bench.broker.capabilities.recalls:
        assert again["b"].first_taken_at > first.first_taken_at + bench.unit_s, "expected a fresh first delivery"
    assert again["a"].sequence == first.sequence, "expected the same place"


@check("delay")
async def a_retry_waits_its_delay(bench: BrokerBench) -> None:
    """Each retry has a delay of its own."""
    await bench.declare()
    await bench.put("a", "b")
    leases, unit_s = await bench.leased(), bench.unit_s
    long, short = (outcome(leases[id], "retry", delay_s=units * unit_s) for id, units in (("a", 5), ("b", 2)))
    await bench.broker.settle(Commit(WORK, [long, short]))
    if bench.broker.capabilities.exact:
        assert (await bench.broker.stats(WORK)).delayed == 2, "expected both to be delayed"
    await bench.pass_units(3)
    assert await bench.taken() == ["b"], "expected the shorter delay to be over"
    await bench.pass_units(3)
    assert await bench.taken() == ["a"], "expected the longer delay to be over"


@check("delay")
async def a_delayed_message_is_hidden(bench: BrokerBench) -> None:
    """A delay begins at the put; what comes later may go first."""
    await bench.declare()
    await bench.put("late", delay_s=5 * bench.unit_s)
    await bench.put("soon")
    assert await bench.taken() == ["soon"], "expected the delayed message to be hidden"
    await bench.pass_units(6)
    assert await bench.taken() == ["late"], "expected the delay to be over"


@check("delay", "browsable")
async def a_delayed_message_is_seen(bench: BrokerBench) -> None:
    """Who looks sees what is delayed, and that it is."""
    await bench.declare()
    await bench.put("late", delay_s=5 * bench.unit_s)
    await bench.put("soon")
    seen = [(each.message.id, each.state) for each in await bench.broker.peek(WORK)]
    assert seen == [("late", "delayed"), ("soon", "ready")], f"got {seen}"


@check()
async def a_lease_may_have_a_time_of_its_own(bench: BrokerBench) -> None:
    """A take may lease for another time than the queue's; for none at all, it only counts the delivery."""
    await bench.declare()
    await bench.put("a")
    assert await bench.taken(1, lease_s=3 * bench.unit_s) == ["a"], "expected what is there"
    await bench.put("b")
    assert await bench.taken(1, lease_s=20 * bench.unit_s) == ["b"], "expected the next"
    await bench.pass_units(4)
    (again,) = await bench.take()
    assert (again.message.id, again.attempt) == ("a", 2), "expected the short lease alone to have run out"
    await bench.pass_units(11)
    for attempt in (3, 4):
        leases = await bench.take(lease_s=0.0)
        assert [(lease.message.id, lease.attempt) for lease in leases] == [("a", attempt)], f"got {leases}"
    await soon(bench.broker.wait(WORK, 1e6))
    assert (await bench.broker.stats(WORK)).depth == 1, "expected the message to be visible"
    await bench.pass_units(6)
    assert sorted(await bench.taken()) == ["a", "b"], "expected the long lease to have run out"


@check("overtime")
async def an_expired_lease_that_nobody_took_still_counts(bench: BrokerBench) -> None:
    """Until somebody else leases the message, its last receipt settles and extends it."""
    await bench.declare()
    await bench.put("done", "extended")
    leases = await bench.leased()
    done, extended = leases["done"], leases["extended"]
    await bench.pass_units(11)
    assert await bench.settle([done]) == [], "expected the lease to count still"
    assert ids(await bench.broker.extend([extended], 10 * bench.unit_s)) == ["extended"], "expected it to be ours"
    assert await bench.taken() == [], "expected the renewed lease to hide its message"
    assert await bench.settle([extended], "retry") == [], "expected the lease to be ours"


@check()
async def extending_by_nothing_gives_back(bench: BrokerBench) -> None:
    """A lease extended to 0 is over: its message is visible, those who wait are woken, the attempt stays counted."""
    await bench.declare()
    await bench.put("a")
    leases = await bench.take()
    waiting = asyncio.ensure_future(bench.broker.wait(WORK, 1e6))
    await asyncio.sleep(0)
    assert ids(await bench.broker.extend(leases, 0.0)) == ["a"], "expected the lease to be ours"
    await soon(waiting)
    (again,) = await bench.take()
    assert again.attempt == 2, f"expected a second delivery, got {again}"
