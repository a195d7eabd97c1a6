"""Times that a queue or a put sets: to live, and to be hidden first."""

from __future__ import annotations

from millrace.testing.bench import BrokerBench
from millrace.testing.broker.check import check


@check("ttl")
async def an_expired_message_dies(bench: BrokerBench) -> None:
    """A message past its time to live becomes a dead letter; a put may have a time of its own."""
    await bench.declare(ttl_s=10 * bench.unit_s)
    await bench.put("usual", "usual too")
    await bench.put("short", ttl_s=5 * bench.unit_s)
    await bench.put("long", ttl_s=50 * bench.unit_s)
    await bench.pass_units(6)
    leases = await bench.leased()
    assert sorted(leases) == ["long", "usual", "usual too"], "expected what is within its time"
    await bench.settle([leases["long"], leases["usual too"]], "release")
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
    leases = await bench.leased()
    short, endless = leases["short"], leases["endless"]
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
