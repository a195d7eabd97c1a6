"""Dead letters that go to another queue."""

from __future__ import annotations

import asyncio

import msgspec

from millrace.broker import (
    DEAD_FROM_ATTRIBUTE,
    Queue,
)
from millrace.errors import BrokerError, UnknownQueue
from millrace.testing.bench import WORK, BrokerBench, raised, soon
from millrace.testing.broker.check import check


@check()
async def dead_letters_may_go_to_another_queue(bench: BrokerBench) -> None:
    """There they are ordinary messages that say where they died; moved back, they are as they were."""
    await bench.declare("letters")
    await bench.declare(dead_to="letters", max_receives=1)
    for size in (10, 100_000):
        await bench.put("by verdict", body=b"x" * size)
        await bench.settle(await bench.take(), "dead")
        await bench.put("by receives", body=b"x" * size)
        (sent,) = await bench.take()
        await bench.pass_units(11)
        assert await bench.take() == [], "expected no second delivery"
        if bench.broker.capabilities.browsable:
            seen = await bench.broker.peek("letters")
            assert [letter.death and letter.death.reason for letter in seen] == ["dead", "lost"], f"got {seen}"
            assert [letter.death and letter.death.queue for letter in seen] == [WORK, WORK], f"got {seen}"
        stats = await bench.broker.stats(WORK)
        assert (stats.depth, stats.in_flight, stats.dead) == (0, 0, 0), f"expected it to count no dead, got {stats}"
        letters = await bench.leased(queue="letters")
        assert {id: lease.attempt for id, lease in letters.items()} == {"by verdict": 1, "by receives": 1}
        expected = msgspec.structs.replace(sent.message, attributes={DEAD_FROM_ATTRIBUTE: WORK})
        letter = letters["by receives"]
        assert letter.message == expected, f"expected the message and where it died, got {letter}"
        await bench.settle([letters["by verdict"]])
        await bench.settle([letter], "release")
        assert await bench.broker.move("letters", WORK) == 1, "expected one to be moved back"
        if bench.broker.capabilities.browsable:
            (peeked,) = await bench.broker.peek(WORK)
            assert (peeked.message, peeked.death, peeked.attempts) == (sent.message, None, 0), f"got {peeked}"
        (back,) = await bench.take()
        assert (back.message, back.attempt) == (sent.message, 1), f"expected it as it was, got {back}"
        assert await bench.settle([back]) == [], "expected it to run again"
        await bench.broker.drop([WORK])
        await bench.declare(dead_to="letters", max_receives=1)


@check("ttl")
async def a_letter_lives_by_its_own_queue(bench: BrokerBench) -> None:
    """What expired in one queue has the time to live of the queue it died into, whose waiters are woken."""
    await bench.declare("letters", ttl_s=50 * bench.unit_s)
    await bench.declare(dead_to="letters", ttl_s=5 * bench.unit_s)
    await bench.put("a")
    await bench.pass_units(6)
    waiting = asyncio.ensure_future(bench.broker.wait("letters", 1e6))
    await asyncio.sleep(0)
    assert await bench.taken() == [], "expected the message to have expired"
    await soon(waiting)
    await bench.pass_units(20)
    (lease,) = await bench.take(queue="letters")
    assert lease.attempt == 1 or not bench.broker.capabilities.recalls, f"got {lease}"  # waiting may have taken it
    await bench.pass_units(31)
    assert await bench.taken(queue="letters") == [], "expected its second time to be over"
    (letter,) = await bench.dead("letters")
    assert letter.death is not None, "expected a death"
    assert (letter.death.reason, letter.death.queue) == ("expired", "letters"), f"got {letter.death}"


@check("dedupe")
async def a_letter_whose_id_is_taken_stays_behind(bench: BrokerBench) -> None:
    """Where the queue for dead letters has that id already, they go to `<name>.dead`: nothing is lost."""
    await bench.declare("letters")
    await bench.declare(dead_to="letters")
    await bench.put("a", body=b"mine")
    await bench.put("a", queue="letters", body=b"other")
    await bench.settle(await bench.take(), "dead")
    assert [letter.message.body for letter in await bench.dead()] == [b"mine"], "expected the dead letter here"
    assert [lease.message.body for lease in await bench.take(queue="letters")] == [b"other"], "expected the other there"


@check()
async def letters_without_their_queue_stay_behind(bench: BrokerBench) -> None:
    """Where the queue for dead letters is gone, they go to `<name>.dead`: nothing is lost."""
    await bench.declare("letters")
    await bench.declare(dead_to="letters")
    await bench.broker.drop(["letters"])
    await bench.put("b")
    await bench.settle(await bench.take(), "dead")
    assert [letter.message.id for letter in await bench.dead()] == ["b"], "expected the dead letter here"


@check()
async def dead_letters_go_only_where_a_queue_is(bench: BrokerBench) -> None:
    """A queue whose dead letters have nowhere to go is not declared; two may be declared in any order."""
    error = await raised(UnknownQueue, bench.declare(dead_to="letters"))
    assert "letters" in error.problem, f"expected the name of the queue, got {error}"
    assert WORK not in await bench.broker.queues(), "expected nothing to be declared"
    await raised(BrokerError, bench.declare(dead_to=WORK))
    await bench.broker.declare([Queue(WORK, dead_to="letters"), Queue("letters")])
    assert {WORK, "letters"} <= set(await bench.broker.queues())
