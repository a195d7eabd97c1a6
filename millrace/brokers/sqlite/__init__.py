"""The embedded queue: durable, transactional with the tables beside it, shared by every process on the machine."""

from __future__ import annotations

from millrace.brokers.sqlite.broker import SqliteBroker

__all__ = ["SqliteBroker"]
