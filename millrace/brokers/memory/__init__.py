"""The queue that lives as long as its process: for synchronous calls, for tests, and to read what a broker must do."""

from __future__ import annotations

from millrace.brokers.memory.broker import MemoryBroker, MemoryParticipant

__all__ = ["MemoryBroker", "MemoryParticipant"]
