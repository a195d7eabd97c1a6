"""What every Broker must do. `check_broker` runs all of it; CHECKS lets a test runner name each part.

A check that needs a capability is run where that is claimed; where it is not, the broker must refuse what it cannot do.
"""

from __future__ import annotations

from millrace.testing.broker import (
    claims,
    closes,
    commits,
    dead,
    dead_to,
    drop,
    handles,
    ids,
    keys,
    leases,
    looks,
    moving,
    order,
    puts,
    standing,
    texts,
    times,
    waits,
)
from millrace.testing.broker.check import CHECKS, Check, FreshBroker

__all__ = ["CHECKS", "PARTS", "Check", "FreshBroker", "check_broker"]

# Importing one adds its checks to CHECKS.
PARTS = (
    puts,
    ids,
    keys,
    texts,
    times,
    leases,
    handles,
    standing,
    dead,
    dead_to,
    moving,
    drop,
    looks,
    waits,
    order,
    commits,
    closes,
    claims,
)


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
