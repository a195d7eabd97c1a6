"""A commit is all or none."""

from __future__ import annotations

from millrace.errors import UnknownQueue
from millrace.testing.bench import WORK, BrokerBench, ids, outcome, raised, with_effects
from millrace.testing.broker.check import check
from millrace.types import Commit


@check()
async def verdicts_mix_in_one_commit(bench: BrokerBench) -> None:
    """Each outcome of a batch has its own ending."""
    await bench.declare()
    await bench.put("done", "retry", "dead", "release", body=b"x" * 5000)
    leases = {lease.message.id: lease for lease in await bench.take()}
    outcomes = [outcome(leases[verdict], verdict) for verdict in ("dead", "done", "release", "retry")]
    assert await bench.broker.settle(Commit(WORK, outcomes)) == [], "expected no lease to be lost"
    if bench.broker.capabilities.browsable:
        assert sorted(await bench.waiting()) == ["release", "retry"], "expected two to be there still"
    released = 1 if bench.broker.capabilities.recalls else 2
    assert {lease.message.id: lease.attempt for lease in await bench.take()} == {"release": released, "retry": 2}
    assert [letter.message.id for letter in await bench.dead()] == ["dead"], "expected one dead letter"


@check("transactional")
async def effects_come_with_the_ack(bench: BrokerBench) -> None:
    """Rows, outputs and records of a commit are there when it returns, those of a lost lease never."""
    assert bench.table is not None, "a transactional broker's bench needs a table"
    assert bench.results is not None, "a transactional broker's bench needs results"
    await bench.declare()
    await bench.declare("out")
    await bench.put("kept", "lost")
    old = await bench.leased()
    await bench.pass_units(8)
    await bench.broker.extend([old["kept"]], 10 * bench.unit_s)
    await bench.pass_units(3)
    new = await bench.take()
    assert ids(new) == ["lost"], "expected the other lease to be taken over"
    lost = await bench.broker.settle(Commit(WORK, [with_effects(lease, "out") for lease in old.values()]))
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
    assert sorted(await bench.taken(queue="out")) == ["a.out", "b.out"], "expected each output once"


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
