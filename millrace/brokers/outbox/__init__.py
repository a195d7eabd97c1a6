"""An outbox beside a broker: rows, records and outputs of a commit are one transaction, once for each message."""

from __future__ import annotations

from millrace.brokers.outbox.broker import Outbox

__all__ = ["Outbox"]
