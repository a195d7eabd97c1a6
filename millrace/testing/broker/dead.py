"""Dead letters: who becomes one, what it keeps, and how long its id is known."""

from __future__ import annotations

from millrace.broker import dead_letters
from millrace.testing.bench import WORK, BrokerBench
from millrace.testing.broker.check import check
from millrace.types import Death, Failure, Message, Put, Tried


@check()
async def a_dead_letter_keeps_everything(bench: BrokerBench) -> None:
    """A dead letter has its message's id and body, and the reason of its death."""
    await bench.declare()
    for id, size in (("small", 10), ("large", 100_000)):
        await bench.put(id, body=b"b" * size)
        (lease,) = await bench.take()
        death = Death("failed", Failure("ValueError", "no", "Traceback"), WORK, 1, 5.0, 6.0, "classify", "v1")
        await bench.settle([lease], "dead", death=death)
        (letter,) = await bench.broker.peek(dead_letters(WORK), ids=[id])
        assert letter.message == lease.message, "expected the message as it was"
        assert letter.death == death, f"expected its death, got {letter.death}"
        assert letter.state == "ready", "expected a dead letter to wait"
    stats = await bench.broker.stats(WORK)
    assert (stats.depth, stats.in_flight, stats.dead) == (0, 0, 2), f"expected two dead, got {stats}"


@check()
async def a_message_that_outlives_its_receives_is_lost(bench: BrokerBench) -> None:
    """When the last delivery's lease ran out, the message becomes a dead letter instead of being given again."""
    await bench.declare(max_receives=2)
    await bench.put("a")
    for _ in range(2):
        assert await bench.taken(1) == ["a"], "expected the message until its receives are used up"
        await bench.pass_units(11)
    await bench.put("b")
    assert await bench.taken() == ["b"], "expected the next one instead"
    (letter,) = await bench.dead()
    assert letter.death is not None, "expected a death"
    assert (letter.message.id, letter.death.reason, letter.death.attempts) == ("a", "lost", 2), f"got {letter}"
    assert letter.death.queue == WORK, "expected the queue that it died in"


@check()
async def a_retry_beyond_its_receives_fails(bench: BrokerBench) -> None:
    """A message that was to be tried more often than its queue allows becomes a dead letter instead."""
    await bench.declare(max_receives=1)
    await bench.put("a")
    await bench.settle(await bench.take(), "retry")
    assert await bench.take() == [], "expected no second delivery"
    (letter,) = await bench.dead()
    assert letter.death is not None, "expected a death"
    assert (letter.death.reason, letter.death.attempts) == ("failed", 1), f"got {letter.death}"
    assert letter.death.first_failed_at > 0, "expected the time of its first failure"


@check("resumes")
async def tries_in_another_broker_count(bench: BrokerBench) -> None:
    """A put may say how often its message was tried, and since when; what the queue counts comes on top."""
    await bench.declare(max_receives=3)
    await bench.broker.put([Put(WORK, Message("a", b"x" * 10_000), tried=Tried(1, 7.0)), Put(WORK, Message("b"))])
    leases = {lease.message.id: lease for lease in await bench.take(2)}
    assert (leases["a"].attempt, leases["a"].first_failed_at) == (2, 7.0), f"expected to go on, got {leases['a']}"
    assert (leases["b"].attempt, leases["b"].first_failed_at) == (1, 0.0), f"expected a first try, got {leases['b']}"
    await bench.settle([leases["b"]], "done")
    await bench.settle([leases["a"]], "retry")
    (again,) = await bench.take()
    assert (again.attempt, again.first_failed_at) == (3, 7.0), f"expected the last try, got {again}"
    await bench.settle([again], "retry")
    assert await bench.take() == [], "expected no fourth try"
    (letter,) = await bench.dead()
    assert letter.death is not None, "expected a death"
    assert (letter.death.attempts, letter.death.first_failed_at) == (3, 7.0), f"got {letter.death}"


@check()
async def dead_letters_stay(bench: BrokerBench) -> None:
    """No dead letter disappears by itself, however old and however often it is looked at."""
    await bench.declare(ttl_s=5 * bench.unit_s, max_receives=1)
    await bench.put("a")
    await bench.settle(await bench.take(), "dead")
    long = 1000 if bench.unit_s >= 1 else 12  # where time really passes, a little more than a lease
    for _ in range(3):
        await bench.pass_units(long)
        assert await bench.taken(queue=dead_letters(WORK)) == ["a"], "expected the dead letter to be there"
    await bench.pass_units(long)
    (letter,) = await bench.dead()
    assert letter.death is not None, "expected its death to be there"


@check("dedupe")
async def a_dead_letter_is_known_until_it_is_moved(bench: BrokerBench) -> None:
    """While its dead letter is there an id is known, whatever the window; redriven, it runs again."""
    await bench.declare(dedupe_s=5 * bench.unit_s)
    await bench.put("a")
    await bench.settle(await bench.take(), "dead")
    await bench.pass_units(100)
    assert await bench.put("a") == [True], "expected the id of a dead letter to be known"
    assert await bench.broker.move(dead_letters(WORK), WORK) == 1, "expected one message to be moved"
    leases = await bench.take()
    assert [(lease.message.id, lease.attempt) for lease in leases] == [("a", 1)], "expected a first try again"
    assert leases[0].first_failed_at == 0.0, "expected its failures to be forgotten"
    assert await bench.settle(leases) == [], "expected the lease to be ours"
    assert await bench.put("a") == [True], "expected the id to be known by its new record"


@check("dedupe")
async def a_purged_dead_letter_is_known_for_the_window(bench: BrokerBench) -> None:
    """Purging a dead letter leaves its id's record for as long as any other's."""
    await bench.declare(dedupe_s=50 * bench.unit_s)
    await bench.put("a")
    await bench.settle(await bench.take(), "dead")
    assert await bench.broker.purge(dead_letters(WORK)) == 1, "expected the dead letter to be purged"
    assert await bench.put("a") == [True], "expected the id to be known within the window"
    await bench.pass_units(51)
    assert await bench.put("a") == [False], "expected the id to be forgotten after the window"


@check()
async def a_queue_without_a_limit_of_receives(bench: BrokerBench) -> None:
    """Where max_receives is None, a message is given for ever."""
    await bench.declare(max_receives=None)
    await bench.put("a")
    for attempt in range(1, 30):
        (lease,) = await bench.take()
        assert lease.attempt == attempt, f"expected attempt {attempt}, got {lease}"
        await bench.settle([lease], "retry")
    assert await bench.dead() == [], "expected no dead letter"
