"""What this process holds of one queue: the messages that came, which of them are leased, and until when.

Nothing here asks Kafka. Places are (which of the queue's topics, partition, offset).
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator

import msgspec

from millrace.brokers.envelope import Envelope
from millrace.brokers.kafka.progress import Progress

Part = tuple[int, int]
Spot = tuple[int, int, int]
Order = tuple[int, int]

READY, LEASED, DELAYED = "ready", "in_flight", "delayed"
_MOST = 16_384  # messages of a partition behind its committed offset
_MOST_BYTES = 64 << 20


class Item(msgspec.Struct, gc=False):
    """One message; `visible_at` is monotonic seconds, `serial` that of its last lease."""

    spot: Spot
    order: Order
    envelope: Envelope
    attempts: int
    state: str = READY
    visible_at: float = 0.0
    serial: int = 0
    first_taken_at: float = 0.0

    @property
    def part(self) -> Part:
        """Which of the queue's topics, and the partition."""
        return self.spot[:2]


class Shelf:
    """All items by their place, those that can be taken in the order of their time."""

    def __init__(self) -> None:
        self.parts: dict[Part, Progress] = {}
        self.items: dict[Spot, Item] = {}
        self.bytes = 0
        self._ready: list[tuple[Order, Spot]] = []
        self._hidden: list[tuple[float, Spot]] = []
        self._count = 0

    def add(self, spot: Spot, envelope: Envelope, stamp_ms: int, hidden_until: float) -> bool:
        """Take in what the broker gave, unless it is settled already; say whether it was new."""
        progress = self.parts.get(spot[:2])
        if progress is None or spot in self.items or not progress.deliver(spot[2]):
            return False
        self._count += 1
        item = Item(spot, (stamp_ms, self._count), envelope, envelope.attempts + progress.attempts(spot[2]))
        self.items[spot] = item
        self.bytes += len(envelope.message.body)
        if hidden_until > 0:
            self.hide(item, DELAYED, hidden_until)
        else:
            heapq.heappush(self._ready, (item.order, spot))
        return True

    def pop(self, now: float) -> Item | None:
        """The oldest that can be taken; the caller leases it, or settles it."""
        self._reveal(now)
        while self._ready:
            order, spot = heapq.heappop(self._ready)
            item = self.items.get(spot)
            if item is not None and item.order == order and item.state == READY:
                return item
        return None

    def hide(self, item: Item, state: str, until: float) -> None:
        """Lease or delay an item."""
        item.state, item.visible_at = state, until
        heapq.heappush(self._hidden, (until, item.spot))

    def show(self, item: Item) -> None:
        """Let it be taken, in its old place."""
        item.state, item.visible_at = READY, 0.0
        heapq.heappush(self._ready, (item.order, item.spot))

    def remove(self, item: Item) -> None:
        """It is settled."""
        if self.items.pop(item.spot, None) is not None:
            self.bytes -= len(item.envelope.message.body)
            self.parts[item.part].settle(item.spot[2])

    def drop(self, part: Part) -> None:
        """The partition is somebody else's now."""
        self.parts.pop(part, None)
        for item in [each for each in self.items.values() if each.part == part]:
            del self.items[item.spot]
            self.bytes -= len(item.envelope.message.body)

    def count_ready(self, now: float) -> int:
        """How many can be taken; a few too many perhaps."""
        self._reveal(now)
        while self._ready and not self._is_ready(*self._ready[0]):
            heapq.heappop(self._ready)
        return len(self._ready)

    def next_s(self, now: float) -> float:
        """In how many seconds something that is hidden may be taken."""
        return max(0.0, self._hidden[0][0] - now) if self._hidden else math.inf

    def is_full(self, part: Part) -> bool:
        """Whether the broker shall give no more of a partition for now."""
        progress = self.parts[part]
        return progress.next - progress.base >= _MOST or self.bytes >= _MOST_BYTES or not progress.fits

    def waiting(self, part: Part) -> Iterator[Item]:
        """The items of a partition."""
        return (item for item in self.items.values() if item.part == part)

    def _reveal(self, now: float) -> None:
        while self._hidden and self._hidden[0][0] <= now:
            until, spot = heapq.heappop(self._hidden)
            item = self.items.get(spot)
            if item is not None and item.state != READY and item.visible_at == until:
                self.show(item)

    def _is_ready(self, order: Order, spot: Spot) -> bool:
        item = self.items.get(spot)
        return item is not None and item.order == order and item.state == READY
