"""The limit of messages in flight: a queue gives no more while 120,000 are with their receivers.

Source: SQS developer guide, "Amazon SQS message quotas" (FIFO queues have had the same limit since November 2024).
"""

from __future__ import annotations

from millrace.broker import Broker

LIMIT = 120_000
_MOST_AT_ONCE = 10


class InFlight:
    """How many messages each queue may still give.

    Counting is dear where there are many, so it is done again only once enough were given out since to reach the
    limit. What functions take by themselves is seen at the next count.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._room: dict[str, int] = {}

    async def room(self, queue: str) -> int:
        """How many more a receiver may get. Raises UnknownQueue."""
        room = self._room.get(queue, 0)
        if room < _MOST_AT_ONCE:
            room = self._room[queue] = LIMIT - (await self._broker.stats(queue)).in_flight
        return max(0, room)

    def given(self, queue: str, count: int) -> None:
        """Receivers got so many."""
        self._room[queue] = self._room.get(queue, 0) - count

    def forget(self, queue: str) -> None:
        """The queue is gone, or empty: count anew."""
        self._room.pop(queue, None)
