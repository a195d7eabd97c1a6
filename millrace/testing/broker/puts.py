"""Putting and taking."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from millrace.broker import (
    Stats,
    dead_letters,
)
from millrace.errors import BrokerError, QueueFull, TooLarge, UnknownQueue
from millrace.testing.bench import WORK, BrokerBench, ids, outcome, raised, soon
from millrace.testing.broker.check import check
from millrace.types import Commit, Lease, Message, Put

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
async def take_is_bounded(bench: BrokerBench) -> None:
    """At most `limit` messages come, each to one taker, and all in the end."""
    await bench.declare()
    names = {f"m{number}" for number in range(50)}
    await bench.put(*sorted(names))
    assert await bench.taken(0) == [], "expected nothing for a limit of 0"
    first, rest = await bench.taken(7), await bench.taken(100)
    assert (len(first), {*first, *rest}) == (7, names), f"expected seven, then the rest, got {first} and {rest}"
    assert await bench.taken() == [], "expected leased messages to be hidden"


@check("ordered")
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
    """Bodies beyond max_bytes stay, but one message is always given, and each in the end."""
    await bench.declare()
    await bench.put("a", "b", "c", body=b"12345")
    await bench.put("large", body=b"x" * 10_000)
    await bench.put("d", body=b"12345")
    first = await bench.take(max_bytes=1)
    assert len(first) == 1, f"expected one, however large, got {ids(first)}"
    left = {"a", "b", "c", "d", "large"} - set(ids(first))
    while left:
        leases = await bench.take(max_bytes=11)
        sizes = [len(lease.message.body) for lease in leases]
        assert len(sizes) == 1 or 0 < sum(sizes) <= 11, f"expected one, or up to eleven bytes, got {sizes}"
        assert left & set(ids(leases)), f"expected some of {left}, got {ids(leases)}"
        left -= set(ids(leases))


@check("ordered")
async def take_is_full_before_max_bytes(bench: BrokerBench) -> None:
    """As many come as fit, in the order of their puts."""
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
    assert await bench.take() == [], "expected nothing to be stored of a put that was refused"


@check()
async def max_depth_refuses_the_whole_put(bench: BrokerBench) -> None:
    """At max_depth a put is refused whole; there is room again when a message was settled."""
    await bench.declare(max_depth=3)
    await bench.put("a", "b")
    error = await raised(QueueFull, bench.put("c", "d"))
    assert WORK in error.problem, f"expected the queue's name, got {error}"
    if bench.broker.capabilities.browsable:
        assert await bench.waiting() == ["a", "b"], "expected nothing of the refused put"
    await bench.put("c")
    await bench.settle(await bench.take(1))
    await bench.settle(await bench.take(1), "dead")
    assert await soon(room_for(bench, "d", "e")) == [False, False], "expected room for two after two were settled"
    await bench.broker.purge(WORK)
    assert await soon(room_for(bench, "f", "g", "h")) == [False] * 3, "expected room for three after a purge"


async def room_for(bench: BrokerBench, *ids: str) -> list[bool]:
    """Put messages for which there is room: a bound that is kept about may lag behind."""
    while True:
        try:
            return await bench.put(*ids)
        except QueueFull:
            if bench.broker.capabilities.bounded:
                raise
            await bench.pass_units(1)


@check("dedupe")
async def duplicates_are_welcome_at_max_depth(bench: BrokerBench) -> None:
    """A client that repeats its put at a full queue learns that it was accepted."""
    await bench.declare(max_depth=2)
    await bench.put("a", "b")
    assert await bench.put("a", "b") == [True, True], "expected the duplicates to be accepted"
