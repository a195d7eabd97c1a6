"""The broker port around another broker: verbs pass through, but what is put is encoded, what is taken decoded.

A message that cannot be decoded never reaches a function: it becomes a dead letter that says why, its body as it came.
A result that cannot be encoded ends the message that it came from in the same way, since no try would mend it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from millrace.broker import DEAD_SUFFIX, Broker, Peeked, Queue, Standing, Stats
from millrace.brokers.codecs.codec import Codec
from millrace.clock import Clock, SystemClock
from millrace.errors import Unencodable
from millrace.types import Accepted, Commit, Death, Failure, Lease, Message, Outcome, Put, Record


class CodecBroker(Broker):
    """A broker some of whose queues have a codec, by the queue's name. Closing closes the inner broker."""

    def __init__(self, inner: Broker, codecs: Mapping[str, Codec], *, clock: Clock | None = None) -> None:
        self.capabilities = inner.capabilities
        self._inner = inner
        self._codecs = codecs
        self._clock = clock or SystemClock()

    async def declare(self, queues: Sequence[Queue]) -> None:
        await self._inner.declare(queues)

    async def drop(self, queues: Sequence[str]) -> None:
        await self._inner.drop(queues)

    async def put(self, puts: Sequence[Put]) -> list[Accepted]:
        return await self._inner.put([self._encoded(each) for each in puts])

    async def take(
        self, queue: str, limit: int, *, max_bytes: int | None = None, lease_s: float | None = None
    ) -> list[Lease]:
        codec = self._codecs.get(queue)
        while True:
            leases = await self._inner.take(queue, limit, max_bytes=max_bytes, lease_s=lease_s)
            if codec is None or not leases:
                return leases
            if readable := await self._readable(codec, leases):
                return readable

    async def wait(self, queue: str, timeout_s: float) -> None:
        await self._inner.wait(queue, timeout_s)

    async def settle(self, commit: Commit) -> list[Lease]:
        return await self._inner.settle(Commit(commit.queue, [self._sendable(each) for each in commit.outcomes]))

    async def extend(self, leases: Sequence[Lease], lease_s: float) -> list[Lease]:
        messages = {lease.receipt: lease.message for lease in leases}
        extended = await self._inner.extend(leases, lease_s)
        return [msgspec.structs.replace(lease, message=messages[lease.receipt]) for lease in extended]

    async def stats(self, queue: str) -> Stats:
        return await self._inner.stats(queue)

    async def close(self) -> None:
        await self._inner.close()

    async def queues(self) -> list[str]:
        return await self._inner.queues()

    async def peek(self, queue: str, limit: int = 10, *, ids: Sequence[str] | None = None) -> list[Peeked]:
        seen = await self._inner.peek(queue, limit, ids=ids)
        codec = self._codecs.get(queue.removesuffix(DEAD_SUFFIX))
        return seen if codec is None else [_shown(codec, each) for each in seen]

    async def move(self, source: str, target: str, ids: Sequence[str] | None = None) -> int:
        return await self._inner.move(source, target, ids)

    async def purge(self, queue: str, ids: Sequence[str] | None = None, *, in_flight: bool = False) -> int:
        return await self._inner.purge(queue, ids, in_flight=in_flight)

    async def standing(self, leases: Sequence[Lease]) -> list[Standing]:
        return await self._inner.standing(leases)

    def _encoded(self, put: Put) -> Put:
        codec = self._codecs.get(put.queue)
        if codec is None:
            return put
        try:
            return msgspec.structs.replace(put, message=codec.encode(put.message))
        except ValueError as error:
            raise Unencodable(
                f"queue {put.queue} holds {codec.name}: {error}", "send what the queue's codec can carry"
            ) from error

    async def _readable(self, codec: Codec, leases: Sequence[Lease]) -> list[Lease]:
        """The leases whose bodies could be read; the others are dead letters now."""
        readable, refused = [], []
        for lease in leases:
            try:
                readable.append(msgspec.structs.replace(lease, message=codec.decode(lease.message)))
            except ValueError as error:
                refused.append(
                    self._dead(lease, Failure("Undecodable", f"queue {lease.queue} holds {codec.name}: {error}"))
                )
        if refused:
            await self._inner.settle(Commit(leases[0].queue, refused))
        return readable

    def _sendable(self, outcome: Outcome) -> Outcome:
        if not any(put.queue in self._codecs for put in outcome.puts):
            return outcome
        try:
            return msgspec.structs.replace(outcome, puts=tuple(self._encoded(put) for put in outcome.puts))
        except Unencodable as error:
            return self._dead(outcome.lease, Failure("Unencodable", error.problem), outcome.record)

    def _dead(self, lease: Lease, failure: Failure, record: Record | None = None) -> Outcome:
        now = self._clock.now()
        first = lease.first_failed_at or now
        about = record or Record(lease.message.id, lease.queue, "dead", attempts=lease.attempt)
        death = Death("dead", failure, lease.queue, lease.attempt, first, now, about.function, about.version)
        ended = msgspec.structs.replace(
            about, state="dead", value=None, failure=failure, attempts=lease.attempt, finished_at=now
        )
        return Outcome(lease, "dead", record=ended, death=death)


def _shown(codec: Codec, peeked: Peeked) -> Peeked:
    """A message as functions see it, or as it came where it cannot be read."""
    try:
        message: Message = codec.decode(peeked.message)
    except ValueError:
        return peeked
    return msgspec.structs.replace(peeked, message=message)
