"""What becomes of a message whose lease ends: done, dead, tried again or given back."""

from __future__ import annotations

from typing import Literal

import msgspec

from millrace.broker import DEAD_FROM_ATTRIBUTE, Queue, dead_letters
from millrace.brokers.memory.item import Item
from millrace.brokers.memory.queue import MemoryQueue
from millrace.brokers.memory.queues import MemoryQueues
from millrace.clock import Clock
from millrace.errors import BrokerError
from millrace.signals import Signals
from millrace.types import Death, Failure, Lease, Message, Outcome, Record


class Endings:
    """Ends messages."""

    def __init__(self, queues: MemoryQueues, clock: Clock, signals: Signals) -> None:
        self._queues = queues
        self._clock = clock
        self._signals = signals

    def end(self, queue: MemoryQueue, item: Item, outcome: Outcome) -> None:
        """Do with a message what its outcome says."""
        match outcome.verdict:
            case "done":
                self._done(queue, item)
            case "dead":
                self._dead(queue, item, outcome)
            case "retry":
                self._retry(queue, item, outcome)
            case "release":
                self._release(queue, item)

    def _done(self, queue: MemoryQueue, item: Item) -> None:
        queue.remove(item)
        queue.remember(item.message.id, self._clock.monotonic())

    def _dead(self, queue: MemoryQueue, item: Item, outcome: Outcome) -> None:
        self._done(queue, item)
        target = self._queues.get(queue.settings.dead_to or "")
        if target is not None and item.message.id not in target.items:
            ttl_s = target.settings.ttl_s
            item.refresh(None if ttl_s is None else self._clock.monotonic() + ttl_s)
            item.message = _with_origin(item.message, queue.settings.name)
        else:
            target = self._queues.named(dead_letters(queue.settings.name))
            item.wait(0.0)
            item.expires_at = None
        item.death = death_of(outcome)
        target.add(item)
        self._signals.wake([target.settings.name])

    def _retry(self, queue: MemoryQueue, item: Item, outcome: Outcome) -> None:
        item.first_failed_at = item.first_failed_at or self._clock.now()
        item.wait(self._clock.monotonic() + outcome.delay_s if outcome.delay_s > 0 else 0.0)
        queue.place(item)

    def _release(self, queue: MemoryQueue, item: Item) -> None:
        item.attempts -= 1
        if not item.attempts:
            item.first_taken_at = 0.0
        item.wait(0.0)
        queue.place(item)

    def past_saving(self, settings: Queue, item: Item, *, expired: bool) -> Outcome:
        """What becomes of a message that nobody may take any more."""
        wall_s = self._clock.now()
        reason: Literal["expired", "lost", "failed"]
        if expired:
            reason, failure = "expired", Failure("Expired", "not processed within its time to live")
        elif item.receipt is not None:
            reason, failure = "lost", Failure("LeaseLost", f"{item.attempts} deliveries, the last one's lease ran out")
        else:
            reason, failure = "failed", Failure("Failed", f"{item.attempts} deliveries, none succeeded")
        first = item.first_failed_at or wall_s
        death = Death(reason, failure, settings.name, item.attempts, first, wall_s)
        record = Record(
            item.message.id,
            settings.name,
            "dead",
            failure=failure,
            attempts=item.attempts,
            accepted_at=item.message.sent_at,
            finished_at=wall_s,
        )
        lease = Lease(settings.name, item.message, (item.message.id, item.receipt), item.attempts, 0.0, first)
        return Outcome(lease, "dead", record=record, death=death)


def death_of(outcome: Outcome) -> Death:
    """The death of a message whose verdict is dead. Raises BrokerError without one."""
    if outcome.death is None:
        raise BrokerError(f"message {outcome.lease.message.id}: verdict dead without a death", "say why it died")
    return outcome.death


def without_origin(message: Message) -> Message:
    """A dead letter as it was before it was sent to another queue."""
    kept = {name: value for name, value in message.attributes.items() if name != DEAD_FROM_ATTRIBUTE}
    return msgspec.structs.replace(message, attributes=kept)


def _with_origin(message: Message, queue: str) -> Message:
    return msgspec.structs.replace(message, attributes={**message.attributes, DEAD_FROM_ATTRIBUTE: queue})
