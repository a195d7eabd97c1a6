"""Which deliveries of a channel are told to be done: one acknowledgement for all up to a tag, wherever that is true."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

Order = tuple[Literal["ack up to", "ack", "requeue"], int]


class Acks:
    """Tags of one channel, which count up from 1. RabbitMQ closes a channel that names a tag twice."""

    def __init__(self) -> None:
        self._lowest = 1  # of those that the broker still waits for
        self._done: set[int] = set()
        self._told: set[int] = set()  # one by one, above the lowest

    @property
    def waiting(self) -> bool:
        """Whether something is done that the broker was not told of."""
        return bool(self._done)

    def done(self, tags: Iterable[int]) -> None:
        """These messages may be deleted."""
        self._done.update(tags)

    def orders(self, *, all: bool) -> list[Order]:
        """What to tell the broker now; `all` also what is done above a tag that is not."""
        last, tag = 0, self._lowest
        while True:
            if tag in self._done:
                self._done.discard(tag)
                last = tag
            elif tag in self._told:
                self._told.discard(tag)
            else:
                break
            tag += 1
        self._lowest = tag
        orders: list[Order] = [("ack up to", last)] if last else []
        if all and self._done:
            orders += [("ack", each) for each in sorted(self._done)]
            self._told |= self._done
            self._done.clear()
        return orders

    def requeued(self, tags: Iterable[int]) -> list[Order]:
        """These messages go back to their queue."""
        chosen = sorted(tags)
        self._told.update(chosen)
        return [("requeue", tag) for tag in chosen]
