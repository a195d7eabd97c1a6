"""What was delivered from one queue and is not settled: ready to be taken, leased, or being settled."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from typing import Literal

import msgspec

from millrace.broker import Queue, Standing
from millrace.brokers.rabbitmq.properties import Received, received
from millrace.brokers.rabbitmq.wire import Delivery
from millrace.clock import Clock
from millrace.types import Lease

RECALL_S = 2.0  # what lapsed or was released waits so long for a taker of this process
_MANY = 32  # of which sorting all is cheaper than taking one after the other from a heap
State = Literal["ready", "leased", "settling"]


class Item(msgspec.Struct, eq=False, gc=False):
    """One delivery. `given` counts how often it was leased here, on top of what the broker and its headers count."""

    delivery: Delivery
    back_at: float  # monotonic seconds: goes back to the broker then if nobody has taken it
    state: State = "ready"
    receipt: tuple[int, int, int, int] | None = None  # of its last lease, None where that is over without a trace
    due_at: float = math.inf
    given: int = 0
    first_taken_at: float = 0.0
    read: Received | None = None

    @property
    def tag(self) -> int:
        """Its number on the channel, which is its place in the order of deliveries."""
        return self.delivery.tag


class Shelf:
    """The deliveries of one queue in one generation of its consumer; no I/O."""

    def __init__(self, settings: Queue, clock: Clock, epoch: int) -> None:
        self.settings = settings
        self.generation = 0
        self.items: dict[int, Item] = {}
        self.next_at = math.inf  # when a lease runs out, or something is to go back
        self._ready: list[int] = []  # a heap of tags
        self._clock = clock
        self._epoch = epoch
        self._token = 0

    @property
    def ready(self) -> int:
        """How many can be taken."""
        return len(self._ready)

    @property
    def held(self) -> int:
        """How many are leased or being settled."""
        return len(self.items) - len(self._ready)

    def in_order(self) -> list[Item]:
        """All that is here, oldest first."""
        return [self.items[tag] for tag in sorted(self.items)]

    def clear(self, generation: int) -> None:
        """A new generation begins; leases of the old one are lost."""
        self.generation = generation
        self.items.clear()
        self._ready.clear()
        self.next_at = math.inf

    def add(self, deliveries: Sequence[Delivery], hold_s: float) -> None:
        """What arrived; it goes back to the broker when nobody has taken it for hold_s."""
        back_at = self._clock.monotonic() + hold_s
        items, ready = self.items, self._ready
        for delivery in deliveries:
            items[delivery.tag] = Item(delivery, back_at)
            heappush(ready, delivery.tag)
        self.next_at = min(self.next_at, back_at)

    def pop(self, count: int) -> list[Item]:
        """The first that can be taken, up to so many, which are then nobody's: lease, settle, or put them back."""
        ready = self._ready
        if count < _MANY:
            tags = [heappop(ready) for _ in range(min(count, len(ready)))]
        else:
            ready.sort()  # mostly in order already; what is sorted is a heap
            tags = ready[:count]
            del ready[:count]
        items = [self.items[tag] for tag in tags]
        for item in items:
            item.state = "settling"
        return items

    def unpop(self, item: Item) -> None:
        """Nothing was done with it."""
        item.state = "ready"
        heappush(self._ready, item.tag)

    def put_back(self, item: Item, hold_s: float = RECALL_S) -> None:
        """It can be taken again, in its old place."""
        item.state = "ready"
        item.due_at = math.inf
        item.back_at = self._clock.monotonic() + hold_s
        self.next_at = min(self.next_at, item.back_at)
        heappush(self._ready, item.tag)

    def read(self, item: Item) -> Received:
        """The message, read once."""
        if item.read is None:
            delivery = item.delivery
            item.read = received(
                delivery.properties, delivery.body, redelivered=delivery.redelivered, now=self._clock.now()
            )
        return item.read

    def attempts(self, item: Item) -> int:
        """How often it was given to anybody."""
        found = self.read(item)
        return found.envelope.attempts + found.deliveries + item.given

    def lease(self, item: Item, lease_s: float, now_s: float, wall_s: float) -> Lease:
        """Give it to a taker for lease_s; for no time at all it can be taken at once."""
        found = item.read or self.read(item)
        envelope = found.envelope
        self._token += 1
        item.receipt = receipt = (self._epoch, self.generation, item.delivery.tag, self._token)
        attempt = envelope.attempts + found.deliveries + item.given + 1
        item.given += 1
        if not item.first_taken_at:
            item.first_taken_at = envelope.first_taken_at or (0.0 if found.deliveries else wall_s)
        until_s = now_s + lease_s
        if lease_s > 0:
            item.state = "leased"
            item.due_at = until_s
            if until_s < self.next_at:
                self.next_at = until_s
        else:
            self.put_back(item)
        ends = envelope.expires_at
        return Lease(
            self.settings.name,
            envelope.message,
            receipt,
            attempt,
            until_s,
            envelope.first_failed_at,
            ends if ends == math.inf else now_s + ends - wall_s,
            item.first_taken_at,
        )

    def find(self, lease: Lease) -> Item | None:
        """The item of a lease that nobody else got since; None when it is lost or gone."""
        receipt = lease.receipt
        if type(receipt) is not tuple or len(receipt) != 4:
            return None
        item = self.items.get(receipt[2])
        if item is None or item.receipt != receipt or item.state == "settling" or lease.queue != self.settings.name:
            return None
        return item

    def standing(self, lease: Lease, now_s: float) -> Standing:
        """What a lease is worth; one of an earlier generation, or of another process, is gone from here."""
        receipt = lease.receipt
        if type(receipt) is not tuple or len(receipt) != 4 or lease.queue != self.settings.name:
            return "gone"
        item = self.items.get(receipt[2])
        if item is None or receipt[0] != self._epoch or receipt[1] != self.generation:
            return "gone"
        if item.receipt != receipt:
            return "lost"
        return "over" if item.state == "ready" or item.due_at <= now_s else "held"

    def oldest_sent_at(self) -> float | None:
        """When the oldest of what is here was sent."""
        return min((self.read(item).envelope.message.sent_at for item in self.items.values()), default=None)

    def settling(self, item: Item) -> None:
        """Nobody may take it while its outcome is carried out."""
        if item.state == "ready":
            self._ready.remove(item.tag)
            self._ready.sort()
        item.state = "settling"

    def resume(self, item: Item) -> None:
        """Its outcome could not be carried out: the lease goes on, if its time is not over."""
        if item.due_at == math.inf:
            self.put_back(item)
        else:
            item.state = "leased"
            self.next_at = min(self.next_at, item.due_at)

    def release(self, item: Item) -> None:
        """Its last lease did not count."""
        item.given -= 1
        item.receipt = None
        if not self.attempts(item):
            item.first_taken_at = 0.0
        self.put_back(item)

    def extend(self, item: Item, lease_s: float) -> float:
        """Lease it until lease_s from now, and say when that is; for no time at all it can be taken at once."""
        until_s = self._clock.monotonic() + lease_s
        self.settling(item)
        if lease_s > 0:
            item.state = "leased"
            item.due_at = until_s
            self.next_at = min(self.next_at, until_s)
        else:
            self.put_back(item)
        return until_s

    def remove(self, tags: Iterable[int]) -> None:
        """They are no more here."""
        for tag in tags:
            item = self.items.pop(tag)
            if item.state == "ready":
                self._ready.remove(tag)
                self._ready.sort()

    def sweep(self) -> tuple[bool, bool]:
        """Let leases run out that are over; whether any was, and whether something has waited here for too long."""
        now_s = self._clock.monotonic()
        if now_s < self.next_at:
            return False, False
        over = [item for item in self.items.values() if item.state == "leased" and item.due_at <= now_s]
        for item in over:
            self.put_back(item)
        stale = any(item.state == "ready" and item.back_at <= now_s for item in self.items.values())
        self.next_at = min((_next_at(item) for item in self.items.values()), default=math.inf)
        return bool(over), stale

    def pop_all(self) -> list[Item]:
        """All that nobody has taken, in order; then nobody's."""
        items = [self.items[tag] for tag in sorted(self._ready)]
        self._ready.clear()
        for item in items:
            item.state = "settling"
        return items


def _next_at(item: Item) -> float:
    if item.state == "ready":
        return item.back_at
    return item.due_at if item.state == "leased" else math.inf
