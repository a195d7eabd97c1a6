"""What every Ledger must do. `check_ledger` runs all of it; CHECKS lets a test runner name each part."""

from __future__ import annotations

from millrace.testing.ledger import known, written
from millrace.testing.ledger.bench import FreshLedger, LedgerBench, delivery, put

__all__ = ["CHECKS", "FreshLedger", "LedgerBench", "check_ledger", "delivery", "put"]

CHECKS = (*known.CHECKS, *written.CHECKS)


async def check_ledger(fresh: FreshLedger) -> None:
    """Hold a ledger to the port's contract; `fresh` opens an empty one each time.

    Raises AssertionError that says what was expected.
    """
    for check in CHECKS:
        async with fresh() as bench:
            await check(bench)
