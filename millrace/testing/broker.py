"""What every Broker must do. `check_broker` runs all of it; CHECKS lets a test runner name each part.

A check that needs a capability is run where that is claimed; where it is not, the broker must refuse what it cannot do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import msgspec

from millrace.broker import (
    DEAD_FROM_ATTRIBUTE,
    Capabilities,
    Queue,
    Stats,
    dead_letters,
    handle_of,
    lease_of,
)
from millrace.errors import BrokerError, QueueFull, TooLarge, UnknownQueue
from millrace.testing.bench import WORK, BrokerBench, ids, outcome, raised, soon, with_effects
from millrace.types import Accepted, Commit, Death, Failure, Lease, Message, Outcome, Put, Verdict

FreshBroker = Callable[[], AbstractAsyncContextManager[BrokerBench]]
Run = Callable[[BrokerBench], Awaitable[None]]
_ODD_IDS = [
    " ",
    "'; DROP TABLE messages; --",
    '"',
    "%",
    "a/b",
    "ключ",
    "日本",
    "🐈",
    "A",
    "a",
    "x" * 500,
    "0",
    "[1]",
    "\\",
]
_ODD_RECEIPTS: list[tuple[int | str | tuple[int | str, ...], ...]] = [
    (),
    (1,),
    (1, 1),
    (1, 1, "a"),
    ("a", 7777),
    ("a", 2**63),
    (2**63, 2**64, "a"),
    (-1, -1, ""),
    ("1", "1", "1"),
    (1, 1, "a", 1),
    ((1, 1), (1, 1)),
    ("millrace-claim", "../../secret", (1, 1, "a")),
    ("millrace-claim", "YQ==.0f", (1, 1, "a")),
    ("millrace-claim", "YQ==.0f", 1),
]
_ODD_HANDLES = [
    "",
    "?",
    "handle",
    "é",
    "e30=",
    "bnVsbA==",
    "WzEuNV0=",
    "W251bGxd",
    "W10",
    "W1tb" * 1000,
    "W1tb" * 100000,
]


class Check(msgspec.Struct, frozen=True):
    """One promise: how to test it, and the capabilities that it takes."""

    run: Run
    needs: tuple[str, ...]

    @property
    def name(self) -> str:
        """The promise in a few words."""
        return self.run.__name__

    def applies(self, capabilities: Capabilities) -> bool:
        """Whether a broker claims what this tests."""
        return all(getattr(capabilities, need) for need in self.needs)


CHECKS: list[Check] = []


def check(*needs: str) -> Callable[[Run], Run]:
    """Add a check to the suite, run only where these capabilities are claimed."""

    def add(run: Run) -> Run:
        CHECKS.append(Check(run, needs))
        return run

    return add


async def check_broker(fresh: FreshBroker) -> list[str]:
    """Hold a broker to the port's contract; `fresh` opens an empty one each time. Returns the checks that were run.

    Raises AssertionError that says what was expected.
    """
    done = []
    for each in CHECKS:
        async with fresh() as bench:
            if each.applies(bench.broker.capabilities):
                await each.run(bench)
                done.append(each.name)
    return done


# ---- put and take


@check()
async def starts_empty(bench: BrokerBench) -> None:
    """A declared queue is empty, and asking it changes nothing."""
    await bench.declare()
    assert await bench.take() == [], "expected nothing to take"
    assert await bench.broker.stats(WORK) == Stats(WORK, 0, 0, 0, 0, 0.0), "expected an empty queue's stats"
    assert await bench.broker.peek(WORK) == [], "expected nothing to see"
    assert await bench.broker.purge(WORK) == 0, "expected nothing to purge"
    assert await bench.broker.put([]) == [], "expected nothing to be accepted"
    assert await bench.broker.settle(Commit(WORK, [])) == [], "expected nothing to be lost"
    assert await bench.broker.extend([], 1.0) == [], "expected nothing to be extended"


@check()
async def a_message_comes_back_whole(bench: BrokerBench) -> None:
    """Id, body, attributes and the time of sending survive the queue."""
    await bench.declare()
    for body in (b"", b"\0\xff\0", bytes(range(256)) * 8, b"y" * 4096, b"z" * 4097, b"w" * 1_000_000):
        sent = Message(f"m{len(body)}", body, {"content-type": "image/png", "ключ": 'a"\\\n'}, 1_700_000_000.123456)
        await bench.broker.put([Put(WORK, sent)])
        (lease,) = await bench.take()
        assert lease.message == sent, f"expected the message as it was sent, got {lease}"
        assert (lease.queue, lease.attempt, lease.first_failed_at) == (WORK, 1, 0.0), (
            f"expected a first try, got {lease}"
        )
        (peeked,) = await bench.broker.peek(WORK)
        assert (peeked.message, peeked.state, peeked.attempts) == (sent, "in_flight", 1), f"got {peeked}"
        assert await bench.settle([lease]) == [], "expected the lease to be ours"


@check()
async def a_message_without_a_time_is_stamped(bench: BrokerBench) -> None:
    """The broker says when a message was sent, where its sender did not."""
    await bench.declare()
    await bench.broker.put([Put(WORK, Message("a"))])
    (lease,) = await bench.take()
    assert lease.message.sent_at > 0, "expected the time of the put"


@check()
async def ids_are_any_text(bench: BrokerBench) -> None:
    """No id means anything to the storage."""
    await bench.declare()
    assert await bench.put(*_ODD_IDS) == [False] * len(_ODD_IDS), "expected every id to be new"
    leases = await bench.take()
    assert sorted(ids(leases)) == sorted(_ODD_IDS), "expected every id back"
    assert await bench.settle(leases) == [], "expected every lease to be ours"


@check()
async def take_is_oldest_first_and_bounded(bench: BrokerBench) -> None:
    """Messages come in the order of their puts, at most `limit` of them, each to one taker."""
    await bench.declare()
    names = [f"m{number}" for number in range(50)]
    await bench.put(*names[:20])
    await bench.put(*names[20:])
    assert await bench.taken(0) == [], "expected nothing for a limit of 0"
    assert await bench.taken(7) == names[:7], "expected the seven oldest"
    assert await bench.taken(100) == names[7:], "expected the rest in order"
    assert await bench.taken() == [], "expected leased messages to be hidden"


@check()
async def take_stops_before_max_bytes(bench: BrokerBench) -> None:
    """Bodies beyond max_bytes stay, but one message is always given."""
    await bench.declare()
    await bench.put("a", "b", "c", body=b"12345")
    await bench.put("large", body=b"x" * 10_000)
    await bench.put("d", body=b"12345")
    assert ids(await bench.take(max_bytes=1)) == ["a"], "expected one, however large"
    assert ids(await bench.take(max_bytes=11)) == ["b", "c"], "expected two of five bytes within eleven"
    assert ids(await bench.take(max_bytes=9_999)) == ["large"], "expected the large one alone"
    assert ids(await bench.take(max_bytes=5)) == ["d"], "expected what fits exactly"


@check()
async def takers_do_not_share(bench: BrokerBench) -> None:
    """Concurrent takers get different messages, and together all of them."""
    await bench.declare()
    await bench.put(*(f"m{number}" for number in range(100)))
    taken = await asyncio.gather(*(bench.taken(9) for _ in range(20)))
    found = [id for each in taken for id in each]
    assert len(found) == len(set(found)) == 100, f"expected 100 different messages, got {len(found)}"


@check()
async def queues_are_named(bench: BrokerBench) -> None:
    """Every declared queue and its dead letters are named."""
    await bench.declare()
    await bench.declare("other")
    assert {WORK, dead_letters(WORK), "other", dead_letters("other")} <= set(await bench.broker.queues())


@check()
async def declare_is_idempotent(bench: BrokerBench) -> None:
    """Declaring again keeps the messages and takes the new settings."""
    await bench.declare(max_receives=1)
    await bench.put("a")
    await bench.declare(max_receives=3)
    await bench.settle(await bench.take(), "retry")
    assert await bench.taken() == ["a"], "expected the new max_receives to hold"


@check()
async def unknown_queues_are_refused(bench: BrokerBench) -> None:
    """Every verb says which queue is not declared, and which one may have been meant."""
    await bench.declare("images")
    broker = bench.broker
    lease = Lease("image", Message("a"), (1, 1), 1, 0.0)
    verbs: list[Callable[[], Awaitable[object]]] = [
        lambda: bench.put("a", queue="image"),
        lambda: broker.take("image", 1),
        lambda: broker.wait("image", 1.0),
        lambda: broker.settle(Commit("image", [outcome(lease)])),
        lambda: broker.stats("image"),
        lambda: broker.peek("image"),
        lambda: broker.move("image", "images"),
        lambda: broker.move("images", "image"),
        lambda: broker.purge("image"),
    ]
    for verb in verbs:
        error = await raised(UnknownQueue, soon(verb()))
        assert "image" in error.problem, f"expected the name of the queue, got {error}"
        assert "images" in error.hint, f"expected the nearest name, got {error}"


@check()
async def put_is_all_or_none(bench: BrokerBench) -> None:
    """One message that cannot be stored keeps the whole put out."""
    await bench.declare()
    puts = [Put(WORK, Message("a")), Put("nowhere", Message("b"))]
    await _refused(bench, puts, UnknownQueue)
    if bench.broker.capabilities.max_body is not None:
        too_large = Put(WORK, Message("b", bytes(bench.broker.capabilities.max_body + 1)))
        await _refused(bench, [puts[0], too_large], TooLarge)
    assert await bench.put("a") == [False], "expected nothing of the refused puts to be known"


async def _refused(bench: BrokerBench, puts: list[Put], kind: type[BrokerError]) -> None:
    await raised(kind, bench.broker.put(puts))
    assert await bench.waiting() == [], "expected nothing to be stored of a put that was refused"


@check()
async def max_depth_refuses_the_whole_put(bench: BrokerBench) -> None:
    """At max_depth a put is refused whole; there is room again when a message was settled."""
    await bench.declare(max_depth=3)
    await bench.put("a", "b")
    error = await raised(QueueFull, bench.put("c", "d"))
    assert WORK in error.problem, f"expected the queue's name, got {error}"
    assert await bench.waiting() == ["a", "b"], "expected nothing of the refused put"
    await bench.put("c")
    await bench.settle(await bench.take(1))
    await bench.settle(await bench.take(1), "dead")
    assert await bench.put("d", "e") == [False, False], "expected room for two after two were settled"
    await bench.broker.purge(WORK)
    assert await bench.put("f", "g", "h") == [False] * 3, "expected room for three after a purge"


@check("dedupe")
async def duplicates_are_welcome_at_max_depth(bench: BrokerBench) -> None:
    """A client that repeats its put at a full queue learns that it was accepted."""
    await bench.declare(max_depth=2)
    await bench.put("a", "b")
    assert await bench.put("a", "b") == [True, True], "expected the duplicates to be accepted"


# ---- one answer per id


@check("dedupe")
async def an_id_is_stored_once(bench: BrokerBench) -> None:
    """A known id is accepted as a duplicate: within one put, waiting, in flight, and settled."""
    await bench.declare()
    assert await bench.put("a", "b", "a") == [False, False, True], "expected the second a to be a duplicate"
    assert await bench.put("b", "c") == [True, False], "expected b to be known"
    leases = await bench.take()
    assert ids(leases) == ["a", "b", "c"], "expected one message an id"
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


# ---- one answer per key


@check("dedupe")
async def a_key_is_stored_once(bench: BrokerBench) -> None:
    """The next put with a known key is answered with the first: within one put, waiting, in flight, and settled."""
    await bench.declare()
    first, second, other = await _put_keyed(bench, ("a", "k"), ("b", "k"), ("c", "l"))
    assert (first.id, first.duplicate, other.duplicate) == ("a", False, False), f"got {first} and {other}"
    assert second == Accepted("a", True, first.sequence), f"expected the first's answer, got {second}"
    leases = await bench.take()
    assert ids(leases) == ["a", "c"], "expected one message a key"
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
    assert await bench.taken() == ["a", "c"], "expected one message a window"


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
    assert [lease.sequence for lease in await bench.take()] == places, "expected the places of the leases"
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


# ---- leases


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
    leases = await bench.take()
    await bench.pass_units(8)
    extended = await bench.broker.extend(leases[:1], 20 * bench.unit_s)
    assert ids(extended) == ["a"], "expected the lease to be extended"
    assert extended[0].expires_at > leases[0].expires_at, "expected a later end"
    await bench.pass_units(4)
    assert await bench.taken() == ["b"], "expected only the lease that was not extended to run out"
    assert await bench.settle(extended) == [], "expected an extended lease to be ours"


@check()
async def release_is_not_an_attempt(bench: BrokerBench) -> None:
    """A message given back is there at once, in its old place, its attempt uncounted."""
    await bench.declare(max_receives=2)
    await bench.put("a", "b")
    for _ in range(5):
        leases = await bench.take(1)
        assert [(lease.message.id, lease.attempt) for lease in leases] == [("a", 1)], (
            f"expected a first try, got {leases}"
        )
        assert await bench.settle(leases, "release") == [], "expected the lease to be ours"


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
    first, second = await bench.take()
    if first.sequence:
        assert first.sequence < second.sequence, "expected places in the order of the puts"
    if not first.first_taken_at:
        return
    await bench.settle([second], "release")
    await bench.pass_units(6)
    again = {lease.message.id: lease for lease in await bench.take()}
    assert abs(again["a"].first_taken_at - first.first_taken_at) < 0.01, "expected the time of the first delivery"
    assert again["b"].first_taken_at > first.first_taken_at + bench.unit_s, "expected a fresh first delivery"
    assert again["a"].sequence == first.sequence, "expected the same place"


@check("delay")
async def a_retry_waits_its_delay(bench: BrokerBench) -> None:
    """Each retry has a delay of its own."""
    await bench.declare()
    await bench.put("a", "b")
    first, second = await bench.take()
    unit_s = bench.unit_s
    await bench.broker.settle(
        Commit(WORK, [outcome(first, "retry", delay_s=5 * unit_s), outcome(second, "retry", delay_s=2 * unit_s)])
    )
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
    assert (await bench.broker.peek(WORK))[0].state == "delayed", "expected the message to be seen as delayed"
    assert await bench.taken() == ["soon"], "expected the delayed message to be hidden"
    await bench.pass_units(6)
    assert await bench.taken() == ["late"], "expected the delay to be over"


@check()
async def a_lease_may_have_a_time_of_its_own(bench: BrokerBench) -> None:
    """A take may lease for another time than the queue's; for none at all, it only counts the delivery."""
    await bench.declare()
    await bench.put("a", "b")
    assert await bench.taken(1, lease_s=3 * bench.unit_s) == ["a"], "expected the oldest"
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


@check()
async def an_expired_lease_that_nobody_took_still_counts(bench: BrokerBench) -> None:
    """Until somebody else leases the message, its last receipt settles and extends it."""
    await bench.declare()
    await bench.put("done", "extended")
    done, extended = await bench.take()
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


@check()
async def a_handle_is_enough(bench: BrokerBench) -> None:
    """A lease made from the text of its receipt settles and extends; whatever the body, nothing of it stays."""
    await bench.declare()
    for size in (1, 5000, 1_000_000):
        await bench.put("done", "retry", "dead", "release", body=b"x" * size)
        leases = {lease.message.id: _by_handle(lease) for lease in await bench.take()}
        assert len(await bench.broker.extend([*leases.values()], 20 * bench.unit_s)) == 4, "expected all to be ours"
        await bench.pass_units(11)
        assert await bench.take() == [], "expected the extended leases to hold"
        for verdict in ("done", "retry", "dead", "release"):
            assert await _settle_plain(bench, leases[verdict], verdict) == [], f"expected {verdict} to be ours"
            assert len(await _settle_plain(bench, leases[verdict], verdict)) == 1, "expected a lease to end once"
        left = await bench.take()
        assert sorted((lease.message.id, lease.attempt) for lease in left) == [("release", 1), ("retry", 2)], f"{left}"
        assert {len(lease.message.body) for lease in left} == {size}, "expected the bodies as they were"
        await bench.broker.settle(Commit(WORK, [Outcome(_by_handle(lease), "done") for lease in left]))
        if bench.broker.capabilities.dedupe:
            assert await bench.put("done") == [True], "expected the id to be known"
        await bench.broker.drop([WORK])
        await bench.declare()


def _by_handle(lease: Lease) -> Lease:
    return lease_of(lease.queue, handle_of(lease.receipt))


async def _settle_plain(bench: BrokerBench, lease: Lease, verdict: Verdict) -> list[Lease]:
    death = Death("dead", Failure("ValueError", "no"), WORK, 1, 1.0, 2.0) if verdict == "dead" else None
    return await bench.broker.settle(Commit(WORK, [Outcome(lease, verdict, death=death)]))


@check()
async def a_handle_from_elsewhere_does_nothing(bench: BrokerBench) -> None:
    """The handle of another queue, and what is none, is lost or refused, and harms nothing."""
    await bench.declare()
    await bench.declare("other")
    await bench.put("a", body=b"x" * 5000)
    (lease,) = await bench.take()
    elsewhere = lease_of("other", handle_of(lease.receipt))
    assert len(await bench.broker.settle(Commit("other", [Outcome(elsewhere, "done")]))) == 1, "expected it to be lost"
    assert await bench.broker.extend([elsewhere], 1e6) == [], "expected it to be lost"
    for receipt in _ODD_RECEIPTS:
        odd = lease_of(WORK, handle_of(receipt))
        for verdict in ("done", "retry"):
            await _lost_or_refused(bench.broker.settle(Commit(WORK, [Outcome(odd, verdict)])), 1)
        await _lost_or_refused(bench.broker.extend([odd], 1.0), 0)
    for handle in _ODD_HANDLES:
        await raised(ValueError, _parsed(handle))
    assert await bench.settle([lease]) == [], "expected the message to be untouched"


async def _lost_or_refused(doing: Awaitable[list[Lease]], count: int) -> None:
    try:
        assert len(await doing) == count, "expected what is no receipt to be lost"
    except BrokerError:
        return


async def _parsed(handle: str) -> Lease:
    return lease_of(WORK, handle)


# ---- dead letters


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
    for _ in range(5):
        await bench.pass_units(1000)
        assert await bench.taken(queue=dead_letters(WORK)) == ["a"], "expected the dead letter to be there"
    await bench.pass_units(1000)
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


@check()
async def move_takes_what_was_chosen(bench: BrokerBench) -> None:
    """Messages are moved by id, or all of them, but not what is in flight nor what the target has already."""
    await bench.declare()
    await bench.declare("other")
    await bench.put("a", "b", "c", "d")
    await bench.put("d", queue="other")
    (held,) = await bench.take(1)
    assert await bench.broker.move(WORK, "other", ["a", "b", "nobody"]) == 1, "expected b alone to be moved"
    assert await bench.broker.move(WORK, "other") == 1, "expected c alone to be moved"
    assert await bench.waiting() == ["a", "d"], "expected a in flight and d, which the target had, to stay"
    assert sorted(await bench.taken(queue="other")) == ["b", "c", "d"], "expected what was moved"
    assert await bench.settle([held]) == [], "expected that a lease is not touched"


@check()
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
async def a_lease_knows_its_standing(bench: BrokerBench) -> None:
    """Whether a lease runs, has run out, was lost to somebody else or has no message any more."""
    await bench.declare()
    await bench.declare("other")
    await bench.put("held", "over", "lost", "back", "done", "moved")
    leases = await bench.take()
    held, _, lost, back, done, moved = leases
    assert await bench.broker.standing([_by_handle(lease) for lease in leases]) == ["held"] * 6
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
        seen = await bench.broker.peek("letters")
        assert [letter.death and letter.death.reason for letter in seen] == ["dead", "lost"], f"got {seen}"
        assert [letter.death and letter.death.queue for letter in seen] == [WORK, WORK], f"got {seen}"
        stats = await bench.broker.stats(WORK)
        assert (stats.depth, stats.in_flight, stats.dead) == (0, 0, 0), f"expected it to count no dead, got {stats}"
        letters = await bench.take(queue="letters")
        assert [(lease.message.id, lease.attempt) for lease in letters] == [("by verdict", 1), ("by receives", 1)]
        expected = msgspec.structs.replace(sent.message, attributes={DEAD_FROM_ATTRIBUTE: WORK})
        assert letters[1].message == expected, f"expected the message and where it died, got {letters[1]}"
        await bench.settle(letters[:1])
        await bench.settle(letters[1:], "release")
        assert await bench.broker.move("letters", WORK) == 1, "expected one to be moved back"
        (back,) = await bench.broker.peek(WORK)
        assert (back.message, back.death, back.attempts) == (sent.message, None, 0), f"got {back}"
        assert await bench.settle(await bench.take()) == [], "expected it to run again"
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
    assert lease.attempt == 1, f"got {lease}"
    await bench.pass_units(31)
    assert await bench.taken(queue="letters") == [], "expected its second time to be over"
    (letter,) = await bench.dead("letters")
    assert letter.death is not None, "expected a death"
    assert (letter.death.reason, letter.death.queue) == ("expired", "letters"), f"got {letter.death}"


@check()
async def a_letter_whose_id_is_taken_stays_behind(bench: BrokerBench) -> None:
    """Where the queue for dead letters has that id already, or is gone, they go to `<name>.dead`: nothing is lost."""
    await bench.declare("letters")
    await bench.declare(dead_to="letters")
    await bench.put("a", body=b"mine")
    await bench.put("a", queue="letters", body=b"other")
    await bench.settle(await bench.take(), "dead")
    assert [letter.message.body for letter in await bench.dead()] == [b"mine"], "expected the dead letter here"
    assert [lease.message.body for lease in await bench.take(queue="letters")] == [b"other"], "expected the other there"
    await bench.broker.drop(["letters"])
    await bench.put("b")
    await bench.settle(await bench.take(), "dead")
    assert [letter.message.id for letter in await bench.dead()] == ["a", "b"], "expected both dead letters here"


@check()
async def dead_letters_go_only_where_a_queue_is(bench: BrokerBench) -> None:
    """A queue whose dead letters have nowhere to go is not declared; two may be declared in any order."""
    error = await raised(UnknownQueue, bench.declare(dead_to="letters"))
    assert "letters" in error.problem, f"expected the name of the queue, got {error}"
    assert WORK not in await bench.broker.queues(), "expected nothing to be declared"
    await raised(BrokerError, bench.declare(dead_to=WORK))
    await bench.broker.declare([Queue(WORK, dead_to="letters"), Queue("letters")])
    assert {WORK, "letters"} <= set(await bench.broker.queues())


# ---- drop


@check()
async def a_dropped_queue_is_gone(bench: BrokerBench) -> None:
    """With its messages in every state, its dead letters, and all that it knew; declared again it is empty."""
    await bench.declare()
    await bench.declare("other")
    await bench.put("other", queue="other")
    await bench.put("settled", "dead", "held", "waits", body=b"x" * 5000)
    await bench.broker.put([Put(WORK, Message("keyed"), dedupe="k")])
    settled, dead, held = await bench.take(3)
    await bench.settle([settled])
    await bench.settle([dead], "dead")
    await bench.broker.drop([WORK])
    assert not {WORK, dead_letters(WORK)} & set(await bench.broker.queues()), "expected both to be gone"
    for doing in (bench.put("a"), bench.take(), bench.broker.stats(WORK), bench.settle([held]), bench.dead()):
        await raised(UnknownQueue, doing)
    await bench.declare()
    assert await bench.broker.stats(WORK) == Stats(WORK, 0, 0, 0, 0, 0.0), "expected an empty queue"
    assert await bench.settle([held]) == ["held"], "expected the old lease to be lost"
    answers = await bench.broker.put([Put(WORK, Message("settled")), Put(WORK, Message("new"), dedupe="k")])
    assert [answer.duplicate for answer in answers] == [False, False], "expected ids and keys to be forgotten"
    assert await bench.taken(queue="other") == ["other"], "expected other queues to be untouched"


@check()
async def drop_is_all_or_none(bench: BrokerBench) -> None:
    """One name that is not declared, or another's dead letters, keeps all of them."""
    await bench.declare()
    await bench.put("a")
    await raised(UnknownQueue, bench.broker.drop([WORK, "nowhere"]))
    await raised(BrokerError, bench.broker.drop([dead_letters(WORK)]))
    await bench.broker.drop([])
    assert await bench.taken() == ["a"], "expected the queue to be there"


@check()
async def many_are_dropped(bench: BrokerBench) -> None:
    """Whole queues beyond any chunk; who waits for one is let go."""
    for name in (WORK, "other"):
        await bench.declare(name)
        await bench.put(*(f"m{number}" for number in range(1500)), queue=name)
    await bench.declare("empty")
    waiting = asyncio.ensure_future(bench.broker.wait("empty", 1e6))
    await asyncio.sleep(0)
    await bench.broker.drop([WORK, "other", "empty"])
    await soon(asyncio.gather(waiting, return_exceptions=True))
    assert await bench.broker.queues() == [], "expected no queue"


# ---- looking


@check()
async def stats_count_by_state(bench: BrokerBench) -> None:
    """Waiting, in flight and dead messages are told apart, and the age of the oldest is known."""
    await bench.declare()
    await bench.put("a", "b", "c", "d")
    await bench.settle(await bench.take(1), "dead")
    await bench.take(1)
    stats = await bench.broker.stats(WORK)
    assert (stats.depth, stats.in_flight, stats.delayed, stats.dead) == (2, 1, 0, 1), f"got {stats}"
    assert stats.oldest_age_s > 0, "expected the age of the oldest message"
    dead = await bench.broker.stats(dead_letters(WORK))
    assert (dead.depth, dead.dead) == (1, 1), f"expected a dead-letter queue to count its own, got {dead}"


@check()
async def peek_changes_nothing(bench: BrokerBench) -> None:
    """Looking is no delivery, is bounded, and can be for some ids."""
    await bench.declare()
    await bench.put("a", "b", "c")
    await bench.settle(await bench.take(1), "retry")
    for _ in range(3):
        seen = await bench.broker.peek(WORK, 2)
        assert [(each.message.id, each.state, each.attempts) for each in seen] == [("a", "ready", 1), ("b", "ready", 0)]
    chosen = await bench.broker.peek(WORK, ids=["c", "a", "nobody"])
    assert [each.message.id for each in chosen] == ["a", "c"], "expected the chosen ones, oldest first"


# ---- wait


@check()
async def wait_returns_at_once_for_what_is_there(bench: BrokerBench) -> None:
    """Nobody waits beside a message."""
    await bench.declare()
    await bench.put("a")
    await soon(bench.broker.wait(WORK, 1e6))


@check()
async def wait_is_woken_by_a_put(bench: BrokerBench) -> None:
    """A put wakes whoever waits, and nobody of another queue is needed for it."""
    await bench.declare()
    waiting = [asyncio.ensure_future(bench.broker.wait(WORK, 1e6)) for _ in range(3)]
    await asyncio.sleep(0)
    await bench.put("a")
    await soon(asyncio.gather(*waiting))


@check()
async def wait_ends_with_its_timeout(bench: BrokerBench) -> None:
    """An empty queue is waited for until timeout_s."""
    await bench.declare()
    await bench.until_done(bench.broker.wait(WORK, 3 * bench.unit_s))


@check()
async def wait_knows_when_a_lease_runs_out(bench: BrokerBench) -> None:
    """What will be due is waited for no longer than that."""
    await bench.declare()
    await bench.put("a")
    await bench.take()
    await bench.until_done(bench.broker.wait(WORK, 1e9))
    await bench.pass_units(10)
    assert await bench.taken() == ["a"], "expected the message whose lease ran out"


@check()
async def wait_is_woken_by_a_release(bench: BrokerBench) -> None:
    """A message given back wakes whoever waits."""
    await bench.declare()
    await bench.put("a")
    leases = await bench.take()
    waiting = asyncio.ensure_future(bench.broker.wait(WORK, 1e6))
    await asyncio.sleep(0)
    await bench.settle(leases, "release")
    await soon(waiting)


# ---- order


@check("fifo")
async def a_group_keeps_its_order(bench: BrokerBench) -> None:
    """Several of a group may come in one batch, in order; nothing of it while one of them is in flight."""
    await bench.declare(fifo=True)
    await bench.put("a1", "a2", "a3", group="a")
    await bench.put("b1", group="b")
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


# ---- commit


@check()
async def verdicts_mix_in_one_commit(bench: BrokerBench) -> None:
    """Each outcome of a batch has its own ending."""
    await bench.declare()
    await bench.put("done", "retry", "dead", "release", body=b"x" * 5000)
    leases = {lease.message.id: lease for lease in await bench.take()}
    outcomes = [outcome(leases[verdict], verdict) for verdict in ("dead", "done", "release", "retry")]
    assert await bench.broker.settle(Commit(WORK, outcomes)) == [], "expected no lease to be lost"
    assert sorted(await bench.waiting()) == ["release", "retry"], "expected two to be there still"
    assert {lease.message.id: lease.attempt for lease in await bench.take()} == {"release": 1, "retry": 2}
    assert [letter.message.id for letter in await bench.dead()] == ["dead"], "expected one dead letter"


@check("transactional")
async def effects_come_with_the_ack(bench: BrokerBench) -> None:
    """Rows, outputs and records of a commit are there when it returns, those of a lost lease never."""
    assert bench.table is not None, "a transactional broker's bench needs a table"
    assert bench.results is not None, "a transactional broker's bench needs results"
    await bench.declare()
    await bench.declare("out")
    await bench.put("kept", "lost")
    old = await bench.take()
    await bench.pass_units(11)
    await bench.broker.extend(old[:1], 10 * bench.unit_s)
    new = await bench.take()
    assert ids(new) == ["lost"], "expected the other lease to be taken over"
    lost = await bench.broker.settle(Commit(WORK, [with_effects(lease, "out") for lease in old]))
    assert ids(lost) == ["lost"], "expected the lease that was taken over to be lost"
    assert await bench.table.get("kept") == b'{"id":"kept"}', "expected the row of the outcome that was ours"
    assert await bench.table.get("lost") is None, "expected no row of a lost outcome"
    assert await bench.waiting("out") == ["kept.out"], "expected the output of the outcome that was ours alone"
    record = await bench.results.get("kept")
    assert record is not None, "expected a record"
    assert record.state == "done", f"got {record}"
    assert await bench.put("lost") == [True], "expected the message of the lost lease to be in its queue"


@check("transactional", "dedupe")
async def outputs_are_stored_once(bench: BrokerBench) -> None:
    """An output whose id its queue knows is dropped; max_depth refuses no output."""
    await bench.declare()
    await bench.declare("out", max_depth=1)
    await bench.put("a", "b")
    await bench.put("a.out", queue="out")
    leases = await bench.take()
    assert await bench.broker.settle(Commit(WORK, [with_effects(lease, "out") for lease in leases])) == []
    assert await bench.waiting("out") == ["a.out", "b.out"], "expected each output once"


@check("transactional")
async def a_settle_that_fails_changes_nothing(bench: BrokerBench) -> None:
    """An output that cannot be put undoes the whole commit; the leases stay ours."""
    assert bench.table is not None, "a transactional broker's bench needs a table"
    await bench.declare()
    await bench.put("a", "b")
    leases = await bench.take()
    commit = Commit(WORK, [with_effects(lease, "nowhere") for lease in leases])
    await raised(UnknownQueue, bench.broker.settle(commit))
    assert await bench.table.get("a") is None, "expected no row of a settle that failed"
    assert await bench.waiting() == ["a", "b"], "expected the messages to be there"
    assert await bench.settle(leases) == [], "expected the leases to be ours still"


# ---- capabilities


@check("durable")
async def what_was_accepted_survives(bench: BrokerBench) -> None:
    """Messages, attempts, leases, dead letters and the memory of ids are there after a reopening."""
    assert bench.reopen is not None, "a durable broker's bench must be able to reopen"
    await bench.declare()
    await bench.put("done", "dead", "held", "waits", body=b"x" * 5000)
    done, dead, held = await bench.take(3)
    await bench.settle([done])
    await bench.settle([dead], "dead")
    bench.broker = await bench.reopen()
    assert sorted(await bench.waiting()) == ["held", "waits"], "expected what was not settled"
    assert await bench.taken() == ["waits"], "expected a lease to hold across a reopening"
    assert [letter.message.id for letter in await bench.dead()] == ["dead"], "expected the dead letter"
    if bench.broker.capabilities.dedupe:
        assert await bench.put("done") == [True], "expected the settled id to be known"
    await bench.pass_units(11)
    again = {lease.message.id: lease for lease in await bench.take()}
    assert (again["held"].attempt, again["waits"].attempt) == (2, 2), "expected the attempts to be counted on"
    assert again["held"].message == held.message, "expected the message as it was"


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
