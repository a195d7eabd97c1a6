"""The queues by name."""

from __future__ import annotations

from millrace.brokers.memory.queue import MemoryQueue
from millrace.brokers.names import unknown_queue


class MemoryQueues(dict[str, MemoryQueue]):
    """Every queue, those of dead letters among them."""

    def named(self, name: str) -> MemoryQueue:
        """The queue of that name. Raises UnknownQueue."""
        found = self.get(name)
        if found is None:
            raise unknown_queue(name, self)
        return found
