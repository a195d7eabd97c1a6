"""One answer for each dedupe key, and places that only grow."""

from __future__ import annotations

import asyncio

from millrace.errors import QueueFull
from millrace.testing.bench import WORK, BrokerBench, ids, raised
from millrace.testing.broker.check import check
from millrace.types import Accepted, Message, Put


@check("dedupe")
async def a_key_is_stored_once(bench: BrokerBench) -> None:
    """The next put with a known key is answered with the first: within one put, waiting, in flight, and settled."""
    await bench.declare()
    first, second, other = await _put_keyed(bench, ("a", "k"), ("b", "k"), ("c", "l"))
    assert (first.id, first.duplicate, other.duplicate) == ("a", False, False), f"got {first} and {other}"
    assert second == Accepted("a", True, first.sequence), f"expected the first's answer, got {second}"
    leases = await bench.take()
    assert sorted(ids(leases)) == ["a", "c"], "expected one message a key"
    assert await _put_keyed(bench, ("d", "k")) == [second], "expected a key in flight to be known"
    await bench.settle(leases)
    assert await _put_keyed(bench, ("e", "k")) == [second], "expected a settled message's key to be known"
    assert await bench.taken() == [], "expected that a duplicate does not run"
    (fresh,) = await _put_keyed(bench, ("f", ""))
    assert not fresh.duplicate, "expected no key to be no duplicate"


@check("dedupe")
async def queues_know_keys_of_their_own(bench: BrokerBench) -> None:
    """The same key in two queues is two messages."""
    await bench.declare()
    await bench.declare("other")
    await _put_keyed(bench, ("a", "k"))
    (answer,) = await _put_keyed(bench, ("b", "k"), queue="other")
    assert (answer.id, answer.duplicate) == ("b", False), "expected the other queue not to know the key"


@check("dedupe")
async def a_key_is_forgotten_after_the_window(bench: BrokerBench) -> None:
    """The window of a key begins with its put, whatever becomes of the message."""
    await bench.declare(dedupe_s=100 * bench.unit_s)
    await _put_keyed(bench, ("a", "k"))
    await bench.pass_units(99)
    (answer,) = await _put_keyed(bench, ("b", "k"))
    assert answer.duplicate, "expected the key to be known within the window"
    await bench.pass_units(2)
    (answer,) = await _put_keyed(bench, ("c", "k"))
    assert (answer.id, answer.duplicate) == ("c", False), "expected the key to be forgotten after the window"
    (answer,) = await _put_keyed(bench, ("d", "k"))
    assert (answer.id, answer.duplicate) == ("c", True), "expected a new window"
    assert sorted(await bench.taken()) == ["a", "c"], "expected one message a window"


@check("dedupe")
async def duplicate_keys_are_welcome_at_max_depth(bench: BrokerBench) -> None:
    """What is not stored needs no room."""
    await bench.declare(max_depth=2)
    await _put_keyed(bench, ("a", "k"), ("b", "k"), ("c", "l"))
    answers = await _put_keyed(bench, ("d", "k"), ("e", "l"))
    assert [answer.id for answer in answers] == ["a", "c"], "expected the duplicates to be accepted"
    await raised(QueueFull, _put_keyed(bench, ("f", "m")))


@check("dedupe", "durable")
async def a_key_survives(bench: BrokerBench) -> None:
    """A key is known after a reopening, with the first's place."""
    assert bench.reopen is not None, "a durable broker's bench must be able to reopen"
    await bench.declare()
    (first,) = await _put_keyed(bench, ("a", "k"))
    bench.broker = await bench.reopen()
    assert await _put_keyed(bench, ("b", "k")) == [Accepted("a", True, first.sequence)], "expected the key to be known"


@check("dedupe")
async def concurrent_puts_of_a_key_store_one(bench: BrokerBench) -> None:
    """Of many who put one key at once, one is told that it was first, and all are told which."""
    await bench.declare()
    answers = await asyncio.gather(*(_put_keyed(bench, (f"m{number}", "k")) for number in range(20)))
    (stored,) = await bench.taken()
    assert [answer.duplicate for (answer,) in answers].count(False) == 1, "expected one put to be the first"
    assert {answer.id for (answer,) in answers} == {stored}, "expected everybody to be told of the one that is there"


async def _put_keyed(bench: BrokerBench, *pairs: tuple[str, str], queue: str = WORK) -> list[Accepted]:
    puts = [Put(queue, Message(id, id.encode(), sent_at=1.0), dedupe=key) for id, key in pairs]
    return await bench.broker.put(puts)


@check()
async def places_are_told(bench: BrokerBench) -> None:
    """Where a broker knows them, the answer to a put tells the place that the lease has, also to a duplicate."""
    await bench.declare()
    puts = [Put(WORK, Message(f"m{number}", b"x" * size)) for number, size in enumerate((1, 1, 5000, 1))]
    accepted = await bench.broker.put(puts)
    if not accepted[0].sequence:
        return
    places = [answer.sequence for answer in accepted]
    assert places == sorted(set(places)), f"expected places to grow, got {places}"
    leases = await bench.leased()
    assert [leases[answer.id].sequence for answer in accepted] == places, "expected the places of the leases"
    if bench.broker.capabilities.dedupe:
        again = await bench.broker.put([puts[2], Put(WORK, Message("new")), puts[0]])
        assert [answer.sequence for answer in again][::2] == [places[2], places[0]], f"got {again}"
        assert again[1].sequence > places[-1], f"expected the new one behind the others, got {again[1]}"


@check("fifo")
async def places_only_grow_in_a_fifo_queue(bench: BrokerBench) -> None:
    """No place is given twice, though the message that had it is gone."""
    await bench.declare(fifo=True)
    places = []
    for number in range(4):
        (answer,) = await bench.broker.put([Put(WORK, Message(f"m{number}"))])
        places.append(answer.sequence)
        await bench.settle(await bench.take())
    assert not places[0] or places == sorted(set(places)), f"expected places to grow, got {places}"
