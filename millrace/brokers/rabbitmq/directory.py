"""The queues that this process knows: those that it has declared, and those of others that it has used."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from millrace.broker import DEAD_SUFFIX, Queue, dead_letters
from millrace.broker_address import Address
from millrace.brokers.names import check_dead_to, check_name, unknown_queue
from millrace.brokers.rabbitmq.caller import Caller
from millrace.brokers.rabbitmq.faults import Closed
from millrace.brokers.rabbitmq.topology import Topology
from millrace.errors import BrokerError

_LONGEST_NAME = 200  # bytes, with the prefix: routing keys end at 255, and a delay is a part of them


class Directory:
    """Queues by name, with their settings; used in the broker's loop."""

    def __init__(self, topology: Topology, caller: Caller, address: Address) -> None:
        self.settings: dict[str, Queue] = {}
        self._topology = topology
        self._caller = caller
        self._address = address

    async def declare(self, queues: Sequence[Queue]) -> None:
        """Make what is missing of them, with their dead letters. Raises BrokerError."""
        names = {*self.settings, *(queue.name for queue in queues)}
        for queue in queues:
            self._check(queue)
            check_dead_to(queue, names)
        for queue in queues:
            await self.make(queue.name)
            dead = dead_letters(queue.name)
            self.settings.setdefault(dead, Queue(dead, queue.lease_s, None))
            self.settings[queue.name] = queue

    async def named(self, name: str) -> Queue:
        """A queue's settings; one that others made has the usual ones. Raises UnknownQueue."""
        found = self.settings.get(name)
        if found is None:
            check_name(name)
            if await self._caller.call(partial(self._topology.count, name), f"look for {name}") is None:
                raise unknown_queue(name, self.settings)
            self._check(found := Queue(name, max_receives=None if name.endswith(DEAD_SUFFIX) else 5))
            self.settings[name] = found
        return found

    async def make(self, name: str) -> None:
        """Make a queue that is not there. Raises BrokerError."""
        try:
            await self._caller.call(partial(self._topology.declare, name), f"declare {name}")
        except Closed as error:
            raise BrokerError(
                f"queue {self._address.prefix}{name} cannot be declared on {self._address}: {error.text}",
                "give the user the right to configure it, and use RabbitMQ 3.10 or later",
            ) from error

    def _check(self, queue: Queue) -> None:
        if queue.fifo:
            raise BrokerError(
                f"queue {queue.name}: a queue on RabbitMQ has no message groups", "leave out fifo, or use SQS"
            )
        if len((self._address.prefix + dead_letters(queue.name)).encode()) > _LONGEST_NAME:
            raise BrokerError(f"queue {queue.name}: its name is too long for RabbitMQ", "choose a shorter one")
