"""The broker port around another broker: each verb passes through, but for bodies beyond a size.

    put     object, then message: a crash between them leaves an object without a message
    take    message, then object: user code sees the message as it was sent
    settle  outputs' objects, then the commit, then the objects of what is done: a crash leaves them too

`sweep` deletes what crashes left. A dead letter keeps its object, a move takes the reference along.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from hashlib import blake2b
from itertools import compress

import msgspec

from millrace.broker import Broker, Peeked, Queue, Standing, Stats, dead_letters
from millrace.brokers.claims.bodies import Bodies, Written
from millrace.brokers.claims.claim import (
    CLAIM,
    MAX_ID_BYTES,
    claim_of,
    claimed_key,
    inner_lease,
    inner_receipt,
    referring,
    whole,
    without_claim,
)
from millrace.brokers.claims.reading import Reading
from millrace.brokers.claims.sweep import Sweep
from millrace.brokers.limits import check_sizes, check_texts
from millrace.clock import Clock, SystemClock
from millrace.errors import BrokerError, StorageError
from millrace.ids import new_id
from millrace.store import Bucket
from millrace.types import Accepted, Commit, Lease, Outcome, Put


class ClaimCheck(Broker):
    """A broker whose bodies beyond `beyond_bytes` wait in a bucket of their own, unseen by those who put and take.

    `max_body` bounds bodies now instead of the inner broker's limit. Closing closes the inner broker.
    """

    def __init__(
        self,
        inner: Broker,
        bucket: Bucket,
        *,
        beyond_bytes: int,
        max_body: int | None = None,
        clock: Clock | None = None,
    ) -> None:
        limit = inner.capabilities.max_body
        self.capabilities = msgspec.structs.replace(inner.capabilities, max_body=max_body)
        self._inner = inner
        self._beyond_bytes = min(size for size in (beyond_bytes, limit, max_body) if size is not None)
        self._bodies = Bodies(bucket)
        clock = clock or SystemClock()
        self._reading = Reading(inner, self._bodies, clock)
        self._sweep = Sweep(inner, self._bodies, clock)
        self._mark = new_id()

    async def declare(self, queues: Sequence[Queue]) -> None:
        await self._inner.declare(queues)
        self._reading.declared(queues)

    async def drop(self, queues: Sequence[str]) -> None:
        names = [name for queue in queues for name in (queue, dead_letters(queue))]
        known = set(await self._inner.queues())
        before = [await self._sweep.referred(name, None) for name in names if name in known]
        await self._inner.drop(queues)
        await self._bodies.delete(await self._sweep.unreferred(set().union(*before)))

    async def put(self, puts: Sequence[Put]) -> list[Accepted]:
        if not any(self._concerns(each) for each in puts):
            return await self._inner.put(puts)
        check_texts(puts)
        large = [self._is_large(each) for each in puts]
        check_sizes(puts, self.capabilities.max_body)
        written = await self._bodies.write(compress(puts, large))
        keys = iter([each.key for each in written])
        travelling = [
            _referring(each, next(keys)) if is_large else _plain(each)
            for each, is_large in zip(puts, large, strict=True)
        ]
        accepted = await self._put(travelling, written)
        known = [answer.duplicate for answer in compress(accepted, large)]
        await self._bodies.delete(each.key for each in compress(written, known) if each.sure)
        return accepted

    async def take(
        self, queue: str, limit: int, *, max_bytes: int | None = None, lease_s: float | None = None
    ) -> list[Lease]:
        await self._reading.settle_owed(queue)
        while True:
            leases = await self._inner.take(queue, limit, max_bytes=max_bytes, lease_s=lease_s)
            if not any(CLAIM in lease.message.attributes for lease in leases):
                return leases
            if readable := await self._reading.whole(queue, leases, max_bytes):
                return readable

    async def wait(self, queue: str, timeout_s: float) -> None:
        await self._inner.wait(queue, timeout_s)

    async def settle(self, commit: Commit) -> list[Lease]:
        if not any(map(self._is_ours, commit.outcomes)):
            return await self._inner.settle(commit)
        check_texts(commit.puts)  # before bodies are written
        outcomes = await asyncio.gather(*(self._inner_outcome(outcome) for outcome in commit.outcomes))
        inner = Commit(commit.queue, outcomes)  # durable, always: a message that came back would miss its object
        lost = {lease.receipt for lease in await self._inner.settle(inner)}
        done = [outcome.lease for outcome in commit.having("done")]
        keys = {claimed_key(lease) for lease in done if inner_receipt(lease) not in lost}
        await self._bodies.delete(key for key in keys if key is not None)
        return [outcome.lease for outcome in commit.outcomes if inner_receipt(outcome.lease) in lost]

    async def extend(self, leases: Sequence[Lease], lease_s: float) -> list[Lease]:
        extended = await self._inner.extend([inner_lease(lease) for lease in leases], lease_s)
        ours = {inner_receipt(lease): lease for lease in leases if claimed_key(lease) is not None}
        return [
            msgspec.structs.replace(ours[lease.receipt], expires_at=lease.expires_at)
            if lease.receipt in ours
            else lease
            for lease in extended
        ]

    async def stats(self, queue: str) -> Stats:
        return await self._inner.stats(queue)

    async def queues(self) -> list[str]:
        return await self._inner.queues()

    async def close(self) -> None:
        await self._bodies.close()
        await self._inner.close()

    async def peek(self, queue: str, limit: int = 10, *, ids: Sequence[str] | None = None) -> list[Peeked]:
        seen = await self._inner.peek(queue, limit, ids=ids)
        return list(await asyncio.gather(*(self._peeked(each) for each in seen)))

    async def move(self, source: str, target: str, ids: Sequence[str] | None = None) -> int:
        return await self._inner.move(source, target, ids)

    async def purge(self, queue: str, ids: Sequence[str] | None = None, *, in_flight: bool = False) -> int:
        before = await self._sweep.referred(queue, ids)
        count = await self._inner.purge(queue, ids, in_flight=in_flight)
        await self._bodies.delete(await self._sweep.unreferred(before, first=queue))
        return count

    async def standing(self, leases: Sequence[Lease]) -> list[Standing]:
        return await self._inner.standing([inner_lease(lease) for lease in leases])

    async def sweep(self) -> int:
        """Delete objects that crashes left without a message; say how many.

        What has been there for a day is deleted when two sweeps running find no message: one could miss a message that
        is just being moved. Raises StorageError.
        """
        return await self._sweep.run()

    # ---- put

    def _concerns(self, put: Put) -> bool:
        return len(put.message.body) > self._beyond_bytes or CLAIM in put.message.attributes

    def _is_large(self, put: Put) -> bool:
        return len(put.message.body) > self._beyond_bytes and len(put.message.id.encode()) <= MAX_ID_BYTES

    async def _put(self, puts: Sequence[Put], written: Sequence[Written]) -> list[Accepted]:
        try:
            return await self._inner.put(puts)
        except BrokerError:
            await self._bodies.keep(written, sure=True)
            raise
        except StorageError:
            await self._bodies.keep(written, sure=False)
            raise

    # ---- settle

    def _is_ours(self, outcome: Outcome) -> bool:
        return claimed_key(outcome.lease) is not None or (outcome.puts != () and any(map(self._concerns, outcome.puts)))

    async def _inner_outcome(self, outcome: Outcome) -> Outcome:
        puts = outcome.puts
        if self.capabilities.transactional:  # elsewhere they were put before
            puts = tuple([await self._claimed(each, index, outcome.lease) for index, each in enumerate(puts)])
        return msgspec.structs.replace(outcome, lease=inner_lease(outcome.lease), puts=puts)

    async def _claimed(self, put: Put, index: int, cause: Lease) -> Put:
        """The output with its body in an object, the same one however often this commit is tried again."""
        if not self._is_large(put):
            return _plain(put)
        path = f"{self._mark}\0{inner_receipt(cause)!r}\0{index}"
        mark = blake2b(path.encode(), digest_size=16).hexdigest()
        return _referring(put, await self._bodies.store(put.message, mark))

    async def _peeked(self, peeked: Peeked) -> Peeked:
        claim = claim_of(peeked.message)
        body = None if claim is None else await self._bodies.read(claim)
        if not isinstance(body, bytes):  # a body that is gone: the attribute shows where it should be
            return peeked
        return msgspec.structs.replace(peeked, message=whole(peeked.message, body))


def _referring(put: Put, key: str) -> Put:
    return msgspec.structs.replace(put, message=referring(put.message, key))


def _plain(put: Put) -> Put:
    """The put less the attribute that only we may set: it would make us read, and delete, another's body."""
    return msgspec.structs.replace(put, message=without_claim(put.message)) if CLAIM in put.message.attributes else put
