"""Texts that UTF-8 has no form for: half of a surrogate pair alone."""

from __future__ import annotations

import asyncio

from millrace.errors import Unencodable
from millrace.testing.bench import WORK, BrokerBench, ids, outcome, raised, soon
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
