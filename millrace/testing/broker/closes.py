"""What stays behind when a broker is closed."""

from __future__ import annotations

from millrace.testing.bench import BrokerBench, ids
from millrace.testing.broker.check import check
from millrace.types import Lease

_MANY = 100  # more than a broker may keep back of acknowledgements that come one by one


@check("durable")
async def what_is_settled_stays_settled_behind_a_close(bench: BrokerBench) -> None:
    """However many were settled right before, one by one and the last first."""
    assert bench.reopen is not None, "a durable broker's bench must be able to reopen"
    await bench.declare(lease_s=60 * bench.unit_s)
    await bench.put(*(f"m{number}" for number in range(_MANY)))
    leases: list[Lease] = []
    while len(leases) < _MANY:  # some broker may give them piece by piece
        leases += await bench.take(_MANY - len(leases))
    *done, first, second = leases[::-1]
    for lease in done:
        assert await bench.settle([lease]) == [], "expected the lease to be ours"
    bench.broker = await bench.reopen()
    await bench.pass_units(61)
    assert sorted(await bench.taken(_MANY)) == sorted(ids([first, second])), "expected what was not settled, alone"
