"""What a queue is called in Kafka: its topics and its consumer group."""

from __future__ import annotations

import re

from millrace.broker import DEAD_SUFFIX
from millrace.errors import BrokerError

REGISTRY = "millrace.queues"  # the topic of all queues' settings
_DELAYED = ".delayed"
_LEGAL = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,159}")


class Names:
    """Names under a prefix."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.registry = prefix + REGISTRY

    def check(self, queue: str) -> None:
        """Raises BrokerError for a name that no topic can have, or that is another's."""
        if not _LEGAL.fullmatch(queue) or queue.endswith(_DELAYED) or queue == REGISTRY:
            raise BrokerError(
                f"queue {queue!r} cannot be a topic of Kafka",
                f"expected up to 160 letters, digits, '.', '_' and '-', not {REGISTRY}, and not ending in {_DELAYED}",
            )

    def topics(self, queue: str) -> tuple[str, ...]:
        """A queue's topic, then that of its delayed messages, which dead letters need not have."""
        topic = self._prefix + queue
        return (topic,) if queue.endswith(DEAD_SUFFIX) else (topic, topic + _DELAYED)

    def group(self, queue: str) -> str:
        """A queue's consumer group: one for each, so that who comes for one queue does not stir up another's."""
        return f"{self._prefix}millrace.{queue}"
