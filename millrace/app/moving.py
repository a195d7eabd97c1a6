"""A queue from one broker to another: each message is put and confirmed there before it is let go of here.

A crash between the two leaves a message in both, under one id: the next run puts it again, where it is known or else
dropped when it is taken. Nothing is in neither. Messages keep id, body, attributes, group, when they were sent, what is
left of their time to live and, where the target can go on counting, their attempts.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import msgspec

from millrace.app.backend import bodies_around, durable_queues
from millrace.app.brokers import open_broker
from millrace.app.queue import EmbeddedQueue
from millrace.broker import DEATH_ATTRIBUTE, Broker, Peeked, Queue, dead_letters
from millrace.clock import Clock
from millrace.config.schema import Project
from millrace.errors import BrokerError
from millrace.ids import new_id
from millrace.types import Commit, Lease, Message, Outcome, Put, Tried

_AT_ONCE = 200
_AT_FIRST = 10  # while nobody knows how large they are
_AT_ONCE_BYTES = 16_000_000
_LEASE_S = 60.0
_WAIT_S = 1.0  # for a broker whose messages are still on their way to us
_IN_VAIN = 3  # takes that gave nothing of what is there, until it counts as held up by others of its group
_MOST_TRACEBACK = 4000  # characters


class Moved(msgspec.Struct):
    """What became of a queue: messages and dead letters that were moved, and those left since they cannot be had now.

    `known` of the messages were in the target already. `behind` wait for what is hidden or in flight of their message
    group. `unsure` were left since the target remembers their ids for a
    while: whether from another run of this, or from before they were moved away from it, it cannot say.
    """

    messages: int = 0
    known: int = 0
    dead: int = 0
    hidden: int = 0
    in_flight: int = 0
    behind: int = 0
    unsure: int = 0


@asynccontextmanager
async def opened(project: Project, url: str | None, queue: str, clock: Clock) -> AsyncIterator[Broker]:
    """A broker as it is, without an outbox: what is moved is not done. None is the queue in the project's folder.

    Raises BrokerError, ConfigError, StorageError.
    """
    inner = EmbeddedQueue(project, clock) if url is None else await open_broker(url, clock=clock)
    broker = bodies_around(inner, project, clock)
    try:
        await broker.declare(_with_their_dead(project, queue))
        yield broker
    finally:
        await broker.close()


class Mover:
    """Moves the messages of `name` in one broker into `to` in another; `tell` hears how far it is."""

    def __init__(
        self, source: Broker, name: str, target: Broker, to: str, clock: Clock, tell: Callable[[Moved], None]
    ) -> None:
        self.moved = Moved()
        self.largest = 0  # bytes of a body that was put
        self._source, self._name = source, name
        self._target, self._to = target, to
        self._clock = clock
        self._tell = tell
        self._unsure: list[Lease] = []
        self._in_vain = 0
        self._is_apart = to != name  # known not to be the queue that the messages come from
        self._gone: set[str] | None = None  # the ids that left first, and have not come again
        self._looks_at = (
            _AT_FIRST  # dead letters at once: no more than may be in memory, by the largest of those last seen
        )

    async def run(self, wait_s: float = 0.0) -> Moved:
        """Move until nothing is left that can be had, waiting up to `wait_s` for what is hidden or in flight.

        Raises BrokerError or StorageError; then everything is still in one of the two, and may be run again.
        """
        until = self._clock.monotonic() + wait_s
        try:
            while await self._some() or await self._more(until):
                self._tell(self.moved)
        finally:
            if self._unsure:
                await asyncio.shield(self._settle(self._unsure, "release"))
        await self._bury()
        self._tell(self.moved)
        return self.moved

    async def _some(self) -> bool:
        """Move a few messages; whether there were any."""
        leases = await self._source.take(self._name, _AT_ONCE, max_bytes=_AT_ONCE_BYTES, lease_s=_LEASE_S)
        if not leases:
            return False
        self._in_vain = 0
        try:
            await self._see_apart(leases)
            self._see_none_again(leases)
            known = await self._put([self._copy(lease) for lease in leases])
        except BaseException:
            await asyncio.shield(self._settle(leases, "release"))
            raise
        if not self._target.capabilities.dedupe:
            await self._keep([lease for lease, is_known in zip(leases, known, strict=True) if is_known])
            leases = [lease for lease, is_known in zip(leases, known, strict=True) if not is_known]
        await self._let_go(leases)
        self._left(leases)
        self.moved.messages += len(leases)
        self.moved.known += sum(known) if self._target.capabilities.dedupe else 0
        return True

    async def _keep(self, leases: Sequence[Lease]) -> None:
        """Hold what the target may not have until this run ends, so that it is not taken again and again."""
        self._unsure += leases
        self.moved.unsure = len(self._unsure)
        if self._unsure:
            self._unsure = await self._source.extend(self._unsure, _LEASE_S)

    async def _see_apart(self, leases: Sequence[Lease]) -> None:
        """Raise BrokerError where the target is the source by another address: it would know all, and lose it here."""
        if not self._is_apart and await self._holds(leases):
            raise self._one_queue()
        self._is_apart = True

    def _see_none_again(self, leases: Sequence[Lease]) -> None:
        """Raise BrokerError once all that left first is back: on RabbitMQ no lease tells that both are one queue.

        All of it, since a crash of others may have left two messages with one id.
        """
        if self._gone is None or self._to != self._name:
            return
        self._gone.difference_update(lease.message.id for lease in leases)
        if not self._gone:
            raise self._one_queue()

    def _left(self, leases: Sequence[Lease]) -> None:
        if self._gone is None and leases:
            self._gone = {lease.message.id for lease in leases}

    def _one_queue(self) -> BrokerError:
        return BrokerError(
            f"{self._name!r} is one and the same queue under both addresses; all that it had is there",
            "expected another broker in --to, or another --queue",
        )

    async def _holds(self, leases: Sequence[Lease]) -> bool:
        try:
            return "held" in await self._target.standing(leases)
        except BrokerError:  # another kind of broker, which cannot read these receipts
            return False

    async def _more(self, until: float) -> bool:
        """Whether messages may still come; waits for them."""
        stats = await self._source.stats(self._name)
        self.moved.hidden, self.moved.in_flight = stats.delayed, max(0, stats.in_flight - len(self._unsure))
        left_s = until - self._clock.monotonic()
        self._in_vain += 1
        is_held_up = self._in_vain >= _IN_VAIN and stats.delayed + stats.in_flight > 0
        self.moved.behind = stats.depth if is_held_up else 0
        if stats.depth and not is_held_up:
            await self._source.wait(self._name, _WAIT_S)
            return True
        if left_s <= 0 or not self.moved.hidden + self.moved.in_flight:
            return False
        await self._source.wait(self._name, min(left_s, _WAIT_S))
        return True

    async def _put(self, puts: Sequence[Put]) -> list[bool]:
        """Which of them the target knew already."""
        self.largest = max(self.largest, *(len(put.message.body) for put in puts))
        return [answer.duplicate for answer in await self._target.put(puts)]

    def _copy(self, lease: Lease) -> Put:
        """The message with what is left of its time; our own delivery of it was none."""
        left_s = None if lease.deadline == math.inf else max(0.001, lease.deadline - self._clock.monotonic())
        tried = Tried(lease.attempt - 1, lease.first_failed_at) if lease.attempt > 1 else None
        return Put(self._to, lease.message, delay_s=0.0, ttl_s=left_s, dedupe=self._key(), tried=tried)

    def _key(self) -> str:
        """A new one, where ids alone would be dropped unsaid that were there some minutes ago: FIFO queues of SQS."""
        return "" if self._target.capabilities.dedupe else new_id()

    async def _let_go(self, leases: Sequence[Lease]) -> None:
        """Delete what the target has; a broker that remembers what is done must not remember it as that."""
        if self._source.capabilities.dedupe:
            await self._source.purge(self._name, [lease.message.id for lease in leases], in_flight=True)
        elif leases:
            await self._settle(leases, "done")

    async def _settle(self, leases: Sequence[Lease], verdict: str) -> None:
        await self._source.settle(Commit(leases[0].queue, [Outcome(lease, verdict) for lease in leases]))  # type: ignore[arg-type]

    # ---- dead letters

    async def _bury(self) -> None:
        """Move the dead letters: nobody takes them but people, so they are looked at where that shows why they died."""
        name, to = dead_letters(self._name), dead_letters(self._to)
        look = self._looked_at if self._source.capabilities.browsable else self._taken
        await self._see_letters_apart(name)
        self._gone = None
        while letters := await look(name):
            leases = [lease for _, lease in letters if lease is not None]
            try:
                self._see_none_again(leases)
            except BrokerError:
                await asyncio.shield(self._settle(leases, "release"))
                raise
            known = await self._put([Put(to, message, dedupe=self._key()) for message, _ in letters])
            sure = [
                letter
                for letter, is_known in zip(letters, known, strict=True)
                if self._target.capabilities.dedupe or not is_known
            ]
            await self._let_go_of_letters(name, sure)
            self._left([lease for _, lease in sure if lease is not None])
            self.moved.dead += len(sure)
            self._tell(self.moved)
            if len(sure) < len(letters):
                self.moved.unsure += len(letters) - len(sure)
                break  # the next run finds them first

    async def _see_letters_apart(self, name: str) -> None:
        """Where there were no messages by whose leases to tell: a letter is taken for a moment."""
        if self._is_apart or not (leases := await self._source.take(name, 1, lease_s=_LEASE_S)):
            return
        try:
            await self._see_apart(leases)
        finally:
            await asyncio.shield(self._settle(leases, "release"))

    async def _let_go_of_letters(self, name: str, letters: Sequence[tuple[Message, Lease | None]]) -> None:
        leases = [lease for _, lease in letters if lease is not None]
        if leases:
            await self._settle(leases, "done")
        elif letters:
            await self._source.purge(name, [message.id for message, _ in letters])

    async def _looked_at(self, name: str) -> list[tuple[Message, Lease | None]]:
        return [(_with_its_death(peeked), None) for peeked in (await self._look(name)).values()]

    async def _taken(self, name: str) -> list[tuple[Message, Lease | None]]:
        why = await self._look(name)
        leases = await self._source.take(name, len(why) or _AT_ONCE, max_bytes=_AT_ONCE_BYTES, lease_s=_LEASE_S)
        return [
            (_with_its_death(why[lease.message.id]) if lease.message.id in why else lease.message, lease)
            for lease in leases
        ]

    async def _look(self, name: str) -> dict[str, Peeked]:
        seen = await self._source.peek(name, self._looks_at)
        largest = max((len(peeked.message.body) for peeked in seen), default=0)
        self._looks_at = min(2 * self._looks_at, _AT_ONCE, max(1, _AT_ONCE_BYTES // max(1, largest)))
        return {peeked.message.id: peeked for peeked in seen}


def _with_its_death(peeked: Peeked) -> Message:
    """The dead letter, and why it died in an attribute: no broker takes that from others."""
    if peeked.death is None:
        return peeked.message
    failure = msgspec.structs.replace(peeked.death.failure, traceback=peeked.death.failure.traceback[-_MOST_TRACEBACK:])
    death = msgspec.json.encode(msgspec.structs.replace(peeked.death, failure=failure)).decode()
    return msgspec.structs.replace(peeked.message, attributes={**peeked.message.attributes, DEATH_ATTRIBUTE: death})


def _with_their_dead(project: Project, queue: str) -> list[Queue]:
    """A queue, and those to which its dead letters go, one after the other."""
    every = durable_queues(project)
    chain = [every.get(queue, Queue(queue))]
    while (name := chain[-1].dead_to) is not None and name not in {each.name for each in chain}:
        chain.append(every.get(name, Queue(name)))
    return chain
