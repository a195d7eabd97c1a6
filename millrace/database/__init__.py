"""The embedded database: one SQLite file that queue, records and tables share, so that one commit covers them all.

A write's journey: `Database.write` → the writer thread's queue → one transaction with whatever else waits → fsync →
the futures of all its jobs and the waiters of their topics, woken together (`signals.py`).
"""

from __future__ import annotations

from millrace.database.database import Database, Participant

__all__ = ["Database", "Participant"]
