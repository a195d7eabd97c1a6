"""What adapters are tested with, shipped so that a third party's adapter gets the same suites.

`check_broker`, `check_table`, `check_bucket`, `check_results` and `check_ledger` hold an adapter to its port's
contract; the module `machine` (which needs Hypothesis) holds a broker against a model.
"""

from __future__ import annotations

from millrace.testing.bench import BrokerBench
from millrace.testing.broker import check_broker
from millrace.testing.bucket import check_bucket
from millrace.testing.clock import ManualClock
from millrace.testing.faulty import FaultyBroker
from millrace.testing.ledger import check_ledger
from millrace.testing.results import check_results
from millrace.testing.table import check_table

__all__ = [
    "BrokerBench",
    "FaultyBroker",
    "ManualClock",
    "check_broker",
    "check_bucket",
    "check_ledger",
    "check_results",
    "check_table",
]
