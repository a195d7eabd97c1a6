"""What the broker is told of a queue's deliveries: which are done and which go back, and how many more it may send."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from millrace.brokers.rabbitmq.acks import Acks
from millrace.brokers.rabbitmq.consumer import Consumer
from millrace.brokers.rabbitmq.window import Window

_ACK_WITHIN_S = 0.02  # so long a message that is done may wait for one before it that is not


class Returns:
    """Of one consumer, a generation after the other; used in the broker's loop."""

    def __init__(self, consumer: Consumer) -> None:
        self.window = Window()
        self.unheard = 0  # deliveries of this generation which the queue may not have heard are done
        self._consumer = consumer
        self._acks = Acks()
        self._generation = 0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, generation: int) -> None:
        """Tags mean something else from now on, and nothing was sent yet."""
        self._generation = generation
        self._acks = Acks()
        self.window = Window()
        self.unheard = 0

    def done(self, tags: Sequence[int]) -> None:
        """These may be deleted."""
        self._acks.done(tags)
        self.unheard += len(tags)
        self.window.went(tags)
        self._tell(all=False)
        if self._acks.waiting and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_ACK_WITHIN_S, self.tell_all)

    def requeue(self, tags: Sequence[int]) -> None:
        """These go back to their queue."""
        self.window.went(tags)
        self._consumer.tell(self._generation, self._acks.requeued(tags))

    def tell_all(self) -> None:
        """What is done is told now, though a message before it is not."""
        self._timer = None
        self._tell(all=True)

    def _tell(self, *, all: bool) -> None:
        if orders := self._acks.orders(all=all):
            self._consumer.tell(self._generation, orders)
