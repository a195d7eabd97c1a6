"""Which of the messages that lie ready a taker gets, and which become dead letters instead."""

from __future__ import annotations

from millrace.brokers.rabbitmq.settling import doom
from millrace.brokers.rabbitmq.shelf import Item
from millrace.brokers.rabbitmq.tap import Tap
from millrace.clock import Clock
from millrace.types import Death

Doomed = list[tuple[Item, Death]]


async def pick(tap: Tap, limit: int, max_bytes: float, clock: Clock) -> tuple[list[Item], Doomed]:
    """Up to `limit` messages within max_bytes, at least one, and those met on the way that nobody may take any more.

    They are nobody's then: lease and bury them. Raises BrokerError; then they lie ready again.
    """
    shelf = tap.shelf
    chosen: list[Item] = []
    doomed: Doomed = []
    size = 0
    while len(chosen) < limit:
        if shelf.ready < limit - len(chosen):
            generation = shelf.generation
            try:
                await tap.supply(limit - len(chosen))
            except BaseException:
                if shelf.generation == generation:
                    for each in (*chosen, *(one for one, _ in doomed)):
                        shelf.unpop(each)
                raise
            if shelf.generation != generation:  # the leases of a connection that was lost
                chosen, doomed, size = [], [], 0
        now, met = clock.now(), len(doomed)
        popped = shelf.pop(limit - len(chosen))
        for place, item in enumerate(popped):
            if death := doom(shelf, item, now):
                doomed.append((item, death))
                continue
            size += len(item.delivery.body)
            if chosen and size > max_bytes:
                for left in popped[place:]:
                    shelf.unpop(left)
                return chosen, doomed
            chosen.append(item)
        if len(doomed) == met:
            break
    return chosen, doomed
