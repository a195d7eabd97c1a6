"""What a lease is worth, asked without touching it."""

from __future__ import annotations

from millrace.testing.bench import WORK, BrokerBench, by_handle
from millrace.testing.broker.check import check


@check()
async def a_lease_is_held_or_is_not(bench: BrokerBench) -> None:
    """A lease that runs is told from one that somebody else has, and from one whose message is settled."""
    await bench.declare()
    await bench.put("a", "b")
    first = await bench.leased()
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
    names = ["held", "over", "lost", "back", "done", "moved"]
    await bench.put(*names)
    found = await bench.leased()
    leases = [found[name] for name in names]
    held, _, lost, back, done, moved = leases
    assert await bench.broker.standing([by_handle(lease) for lease in leases]) == ["held"] * 6
    await bench.settle([done])
    await bench.settle([back], "release")
    await bench.broker.extend([held], 30 * bench.unit_s)
    await bench.broker.extend([lost], 0.0)
    again = (await bench.leased())["lost"]
    await bench.pass_units(11)
    assert await bench.broker.move(WORK, "other", ["moved"]) == 1, "expected what is over to be movable"
    expected = ["held", "over", "lost", "lost", "gone", "gone"]
    assert await bench.broker.standing(leases) == expected, "expected each as it is"
    assert await bench.broker.standing([again, moved, held]) == ["over", "gone", "held"], "expected them in order"
    assert await bench.broker.standing([]) == [], "expected nothing of nothing"
