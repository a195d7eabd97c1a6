"""Texts that UTF-8 has no form for: half of a surrogate pair alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from millrace.broker import Broker, Queue, dead_letters
from millrace.errors import BrokerError, Unencodable
from millrace.testing.bench import WORK, BrokerBench, ids, outcome, raised, refused_or, soon
from millrace.testing.broker.check import check
from millrace.types import Commit, Message, Put

_HALF = "a\ud800b"
_WRONG = {
    "the name of its queue": Put(_HALF, Message("wrong", b"x")),
    "its id": Put(WORK, Message(_HALF, b"x")),
    "its group": Put(WORK, Message("wrong", b"x", group=_HALF)),
    "its dedupe key": Put(WORK, Message("wrong", b"x"), dedupe=_HALF),
    "the name of its attribute": Put(WORK, Message("wrong", b"x", attributes={_HALF: "value"})),
    "its attribute color": Put(WORK, Message("wrong", b"x", attributes={"color": _HALF})),
}
_OF_NO_QUEUE: dict[str, Callable[[Broker], Awaitable[object]]] = {
    "drop": lambda broker: broker.drop([_HALF]),
    "take": lambda broker: broker.take(_HALF, 1),
    "wait": lambda broker: broker.wait(_HALF, 0.0),
    "settle": lambda broker: broker.settle(Commit(_HALF, [])),
    "stats": lambda broker: broker.stats(_HALF),
    "peek": lambda broker: broker.peek(_HALF),
    "move from": lambda broker: broker.move(_HALF, WORK),
    "move to": lambda broker: broker.move(WORK, _HALF),
    "purge": lambda broker: broker.purge(_HALF),
}
_OF_NO_MESSAGE: dict[str, Callable[[Broker], Awaitable[object]]] = {
    "peek": lambda broker: broker.peek(WORK, ids=[_HALF]),
    "move": lambda broker: broker.move(dead_letters(WORK), WORK, [_HALF]),
    "purge": lambda broker: broker.purge(dead_letters(WORK), [_HALF]),
}


@check()
async def texts_without_utf8_are_refused(bench: BrokerBench) -> None:
    """Half of a surrogate pair keeps the whole put out, by an error that says where it is."""
    await bench.declare()
    for what, put in _WRONG.items():
        error = await raised(Unencodable, soon(bench.broker.put([Put(WORK, Message("beside", b"x")), put])))
        assert what in error.problem, f"expected {what!r} to be named, got {error}"
        assert "\\ud800" in error.problem, f"expected the half, escaped, got {error}"
        assert str(error).encode(), "expected words that any terminal and log can hold"
    assert await bench.take() == [], "expected nothing to be stored of a put that was refused"
    assert await bench.put("beside", "wrong") == [False, False], "expected nothing of the refused puts to be known"


@check()
async def texts_without_utf8_harm_nobody_else(bench: BrokerBench) -> None:
    """Others who put at the same time are not refused, and get their own answers."""
    await bench.declare()
    first, *wrong, last = await soon(
        asyncio.gather(
            bench.put("first"),
            *(bench.broker.put([put]) for put in _WRONG.values()),
            bench.put("last"),
            return_exceptions=True,
        )
    )
    assert (first, last) == ([False], [False]), f"expected the others to be accepted, got {first} and {last}"
    assert [type(each) for each in wrong] == [Unencodable] * len(_WRONG), f"expected refusals, got {wrong}"
    assert sorted(await bench.taken()) == ["first", "last"], "expected the others' messages alone"


@check()
async def names_without_utf8_are_not_declared(bench: BrokerBench) -> None:
    """Half of a surrogate pair in a name keeps the whole declaration out, by an error that says so."""
    await bench.declare()
    for wrong in (Queue(_HALF), Queue("dies", dead_to=_HALF)):
        error = await raised(Unencodable, soon(bench.broker.declare([Queue("beside"), wrong])))
        assert "\\ud800" in error.problem, f"expected the half, escaped, got {error}"
        assert str(error).encode(), "expected words that any terminal and log can hold"
    names = await bench.broker.queues()
    assert set(names) <= {WORK, dead_letters(WORK)}, f"expected nothing of what was refused, got {names}"


@check()
async def a_name_without_utf8_is_no_queues(bench: BrokerBench) -> None:
    """Whatever is asked of such a queue raises a BrokerError, and its leases are nobody's."""
    await bench.declare()
    await bench.put("a")
    (lease,) = await bench.take()
    for what, ask in _OF_NO_QUEUE.items():
        error = await raised(BrokerError, soon(ask(bench.broker)))
        assert str(error).encode(), f"expected words of {what} that any terminal and log can hold"
    wrong = [msgspec.structs.replace(lease, queue=_HALF)]
    assert not await refused_or(bench.broker.extend(wrong, bench.unit_s)), "expected no such lease to be renewed"
    assert await refused_or(bench.broker.standing(wrong)) != ["held"], "expected no such lease to be held"
    assert await bench.settle([lease]) == [], "expected the queue that is there to be as it was"


@check()
async def an_id_without_utf8_is_no_messages(bench: BrokerBench) -> None:
    """Nothing is chosen by it: that is the answer, or a BrokerError."""
    await bench.declare()
    await bench.put("a")
    for what, ask in _OF_NO_MESSAGE.items():
        assert not await refused_or(ask(bench.broker)), f"expected {what} to choose nothing"
    assert await bench.taken() == ["a"], "expected the message that is there to be as it was"


@check("transactional")
async def outputs_without_utf8_are_refused(bench: BrokerBench) -> None:
    """A commit with such an output has no effect, and its lease is as it was."""
    await bench.declare()
    await bench.declare("out")
    await bench.put("a")
    (lease,) = await bench.take()
    wrong = outcome(lease, puts=(Put("out", Message("fine", b"x")), Put("out", Message(_HALF, b"x"))))
    await raised(Unencodable, soon(bench.broker.settle(Commit(WORK, [wrong]))))
    assert await bench.take(queue="out") == [], "expected no output of a commit that was refused"
    assert await bench.settle([lease]) == [], f"expected the lease of {ids([lease])} to be ours still"
