"""Dead letters: who becomes one, where they lie, and how they are moved and purged."""

from __future__ import annotations

from millrace.broker import (
    dead_letters,
)
from millrace.testing.bench import WORK, BrokerBench, by_handle
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
    await bench.put("a", "b")
    for _ in range(2):
        assert await bench.taken(1) == ["a"], "expected the message until its receives are used up"
        await bench.pass_units(11)
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


@check("ttl")
async def an_expired_message_dies(bench: BrokerBench) -> None:
    """A message past its time to live becomes a dead letter; a put may have a time of its own."""
    await bench.declare(ttl_s=10 * bench.unit_s)
    await bench.put("usual", "usual too")
    await bench.put("short", ttl_s=5 * bench.unit_s)
    await bench.put("long", ttl_s=50 * bench.unit_s)
    await bench.pass_units(6)
    assert await bench.taken(1) == ["usual"], "expected a message within its time"
    await bench.pass_units(5)
    assert await bench.taken() == ["long"], "expected only what is within its time"
    letters = {letter.message.id: letter.death for letter in await bench.dead()}
    assert sorted(letters) == ["short", "usual too"], f"expected the expired as dead letters, got {letters}"
    for death in letters.values():
        assert death is not None, "expected a death"
        assert death.reason == "expired", f"got {death}"


@check("ttl")
async def a_lease_says_when_its_messages_time_ends(bench: BrokerBench) -> None:
    """The deadline of a lease is the end of its message's time to live, or never."""
    await bench.declare(lease_s=10 * bench.unit_s)
    await bench.put("short", ttl_s=4 * bench.unit_s)
    await bench.put("endless")
    short, endless = await bench.take()
    ahead_s = short.expires_at - short.deadline
    assert 5 * bench.unit_s < ahead_s < 7 * bench.unit_s, f"expected 6 units before the lease's end, got {ahead_s} s"
    assert endless.deadline == float("inf"), f"got {endless.deadline}"


@check("ttl")
async def take_looks_behind_the_expired(bench: BrokerBench) -> None:
    """Expired messages do not hide living ones from a taker."""
    await bench.declare()
    await bench.put(*(f"m{number}" for number in range(20)), ttl_s=bench.unit_s)
    await bench.put("living")
    await bench.pass_units(2)
    assert await bench.taken(3) == ["living"], "expected the message behind the expired"
    assert len(await bench.dead()) == 20, "expected all expired among the dead letters"


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


@check("browsable")
async def move_takes_what_was_chosen(bench: BrokerBench) -> None:
    """Messages are moved by id, or all of them, but not what is in flight."""
    await bench.declare()
    await bench.declare("other")
    await bench.put("a", "b", "c")
    (held,) = await bench.take(1)
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
    await bench.put("a", "b", "c", "d", body=b"x" * 5000)
    (held,) = await bench.take(1)
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
    await bench.put("a", "b", "c", body=b"x" * 5000)
    leases = await bench.take(2)
    assert await bench.broker.purge(WORK, ["b", "nobody"], in_flight=True) == 1, "expected b to be purged"
    assert await bench.broker.purge(WORK, in_flight=True) == 2, "expected the rest to be purged"
    assert await bench.waiting() == [], "expected an empty queue"
    assert await bench.settle(leases) == ["a", "b"], "expected the leases to be lost"
    await bench.pass_units(11)
    assert await bench.take() == [], "expected nothing to come back"


@check()
async def a_lease_is_held_or_is_not(bench: BrokerBench) -> None:
    """A lease that runs is told from one that somebody else has, and from one whose message is settled."""
    await bench.declare()
    await bench.put("a", "b")
    first = {lease.message.id: lease for lease in await bench.take()}
    assert await bench.broker.standing(list(first.values())) == ["held", "held"]
    await bench.settle([first["b"]])
    await bench.pass_units(11)
    (again,) = await bench.take()
    lost, ended, held = await bench.broker.standing([first["a"], first["b"], by_handle(again)])
    assert held == "held", f"got {held}"
    assert lost == "lost", f"got {lost}"
    assert ended in ("lost", "gone"), f"got {ended}"


@check("browsable", "overtime")
async def a_lease_knows_its_standing(bench: BrokerBench) -> None:
    """Whether a lease runs, has run out, was lost to somebody else or has no message any more."""
    await bench.declare()
    await bench.declare("other")
    await bench.put("held", "over", "lost", "back", "done", "moved")
    leases = await bench.take()
    held, _, lost, back, done, moved = leases
    assert await bench.broker.standing([by_handle(lease) for lease in leases]) == ["held"] * 6
    await bench.settle([done])
    await bench.settle([back], "release")
    await bench.broker.extend([held], 30 * bench.unit_s)
    await bench.broker.extend([lost], 0.0)
    again = next(lease for lease in await bench.take() if lease.message.id == "lost")
    await bench.pass_units(11)
    assert await bench.broker.move(WORK, "other", ["moved"]) == 1, "expected what is over to be movable"
    expected = ["held", "over", "lost", "lost", "gone", "gone"]
    assert await bench.broker.standing(leases) == expected, "expected each as it is"
    assert await bench.broker.standing([again, moved, held]) == ["over", "gone", "held"], "expected them in order"
    assert await bench.broker.standing([]) == [], "expected nothing of nothing"


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
async def many_are_moved_and_purged(bench: BrokerBench) -> None:
    """Numbers beyond any chunk, once each."""
    await bench.declare()
    await bench.declare("other")
    names = [f"m{number:04}" for number in range(2500)]
    await bench.put(*names)
    assert await bench.broker.move(WORK, "other") == 2500, "expected all to be moved"
    assert await bench.taken(3, queue="other") == names[:3], "expected their old order"
    assert await bench.broker.purge("other") == 2497, "expected all but those in flight to be purged"


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


@check("delay")
async def a_queue_may_delay(bench: BrokerBench) -> None:
    """A queue's delay is for puts that name none of their own."""
    await bench.declare(delay_s=5 * bench.unit_s)
    await bench.put("usual")
    await bench.put("at once", delay_s=0.0)
    await bench.put("later", delay_s=9 * bench.unit_s)
    assert await bench.taken() == ["at once"], "expected the put's own delay to count"
    await bench.pass_units(6)
    assert await bench.taken() == ["usual"], "expected the queue's delay to be over"
    await bench.pass_units(4)
    assert "later" in await bench.taken(), "expected the longer delay to be over"
