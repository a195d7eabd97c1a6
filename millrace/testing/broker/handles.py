"""Handles: the text of a receipt, which is all that somebody else needs of a lease."""

from __future__ import annotations

from collections.abc import Awaitable

from millrace.broker import handle_of, lease_of
from millrace.errors import BrokerError
from millrace.testing.bench import WORK, BrokerBench, by_handle, raised
from millrace.testing.broker.check import check
from millrace.types import Commit, Death, Failure, Lease, Outcome, Verdict

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


@check()
async def a_handle_is_enough(bench: BrokerBench) -> None:
    """A lease made from the text of its receipt settles and extends; whatever the body, nothing of it stays."""
    await bench.declare()
    for size in (1, 5000, 1_000_000):
        await bench.put("done", "retry", "dead", "release", body=b"x" * size)
        leases = {lease.message.id: by_handle(lease) for lease in await bench.take()}
        assert len(await bench.broker.extend([*leases.values()], 20 * bench.unit_s)) == 4, "expected all to be ours"
        await bench.pass_units(11)
        assert await bench.take() == [], "expected the extended leases to hold"
        for verdict in ("done", "retry", "dead", "release"):
            assert await _settle_plain(bench, leases[verdict], verdict) == [], f"expected {verdict} to be ours"
            assert len(await _settle_plain(bench, leases[verdict], verdict)) == 1, "expected a lease to end once"
        left = await bench.take()
        released = 1 if bench.broker.capabilities.recalls else 2
        seen = sorted((lease.message.id, lease.attempt) for lease in left)
        assert seen == [("release", released), ("retry", 2)], f"got {left}"
        assert {len(lease.message.body) for lease in left} == {size}, "expected the bodies as they were"
        await bench.broker.settle(Commit(WORK, [Outcome(by_handle(lease), "done") for lease in left]))
        if bench.broker.capabilities.dedupe:
            assert await bench.put("done") == [True], "expected the id to be known"
        await bench.broker.drop([WORK])
        await bench.declare()


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
