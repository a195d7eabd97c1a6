"""Puts: one answer for each id and each dedupe key."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence

import msgspec

from millrace.broker import dead_letters
from millrace.brokers.limits import queue_full
from millrace.brokers.memory.item import Item
from millrace.brokers.memory.queues import MemoryQueues
from millrace.clock import Clock
from millrace.signals import Signals
from millrace.types import Accepted, Put


class Intake:
    """Puts messages into queues."""

    def __init__(self, queues: MemoryQueues, clock: Clock, signals: Signals) -> None:
        self._queues = queues
        self._clock = clock
        self._signals = signals
        self._seqs = itertools.count(1)

    def check_depth(self, puts: Sequence[Put]) -> None:
        """Raise QueueFull when what is new among these is more than a queue may hold."""
        if all(self._queues.named(each.queue).settings.max_depth is None for each in puts):
            return
        keys: dict[tuple[str, str], str] = {}  # the first id of each key
        for each in puts:
            if each.dedupe:
                keys.setdefault((each.queue, each.dedupe), each.message.id)
        fresh = {
            (each.queue, each.message.id)
            for each in puts
            if not self._knows(each)
            and self._first(each) is None
            and keys.get((each.queue, each.dedupe), each.message.id) == each.message.id
        }
        for name, count in Counter(name for name, _ in fresh).items():
            queue = self._queues.named(name)
            limit = queue.settings.max_depth
            if limit is not None and len(queue.items) + count > limit:
                raise queue_full(name, held=len(queue.items), limit=limit, refused=count)

    def put(self, puts: Sequence[Put]) -> list[Accepted]:
        """Store what is not known yet, and wake who waits for it. Raises UnknownQueue."""
        accepted = []
        for each in puts:
            accepted.append(self._first(each) or self._put_one(each))
        self._signals.wake({each.queue for each in puts})
        return accepted

    def _knows(self, put: Put) -> bool:
        """A dead letter's id is known for as long as the dead letter is there."""
        id, now_s = put.message.id, self._clock.monotonic()
        return self._queues.named(put.queue).knows(id, now_s) or id in self._queues.named(dead_letters(put.queue)).items

    def _first(self, put: Put) -> Accepted | None:
        """The answer for a put whose dedupe key is known."""
        return self._queues.named(put.queue).first(put.dedupe, self._clock.monotonic()) if put.dedupe else None

    def _put_one(self, put: Put) -> Accepted:
        here, id = self._queues.named(put.queue), put.message.id
        known = self._knows(put)
        if not known:
            here.add(self._item(put))
        answer = Accepted(id, known, here.items[id].seq if id in here.items else 0)
        if put.dedupe:
            here.remember_first(put.dedupe, answer, self._clock.monotonic())
        return answer

    def _item(self, put: Put) -> Item:
        now_s = self._clock.monotonic()
        settings = self._queues.named(put.queue).settings
        ttl_s = settings.ttl_s if put.ttl_s is None else put.ttl_s
        delay_s = settings.delay_s if put.delay_s is None else put.delay_s
        message = put.message
        if not message.sent_at:
            message = msgspec.structs.replace(message, sent_at=self._clock.now())
        item = Item(
            next(self._seqs),
            message,
            now_s + delay_s if delay_s > 0 else 0.0,
            None if ttl_s is None else now_s + ttl_s,
        )
        if put.tried is not None:
            item.attempts, item.first_failed_at = put.tried.attempts, put.tried.first_failed_at
        return item
