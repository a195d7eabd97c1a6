"""Leased references become the messages that were sent; what cannot be read is settled here, so that it harms nobody.

Beyond the caller's bytes: given back, uncounted. Body gone: a dead letter that says so. Body unreadable for now: tried
again after a pause, its attempt counted, so that neither a failing disk nor one bad object can hold up the queue.

What the broker does not settle at once is settled by the next take, while its lease runs: no taker knows of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence

import msgspec

from millrace.broker import Broker, Queue
from millrace.brokers.claims.bodies import Bodies
from millrace.brokers.claims.claim import claim_of, claimed_receipt, whole
from millrace.clock import Clock
from millrace.errors import BrokerError, MillraceError, StorageError
from millrace.types import Commit, Death, Failure, Lease, Outcome, Record

_FIRST_PAUSE_S = 10.0
_log = logging.getLogger(__name__)
Read = bytes | MillraceError | None


class Reading:
    """Fetches the bodies of leased messages."""

    def __init__(self, inner: Broker, bodies: Bodies, clock: Clock) -> None:
        self._inner = inner
        self._bodies = bodies
        self._clock = clock
        self._lines: set[str] = set()  # FIFO queues
        self._owed: dict[str, list[Outcome]] = {}

    def declared(self, queues: Sequence[Queue]) -> None:
        """Learn which queues keep an order."""
        self._lines |= {queue.name for queue in queues if queue.fifo}
        self._lines -= {queue.name for queue in queues if not queue.fifo}

    async def settle_owed(self, queue: str) -> None:
        """Settle what could not be settled before; what cannot be now either keeps nobody from taking."""
        now_s = self._clock.monotonic()
        if owed := [outcome for outcome in self._owed.pop(queue, ()) if outcome.lease.expires_at > now_s]:
            await self._settle(queue, owed)

    async def whole(self, queue: str, leases: Sequence[Lease], max_bytes: int | None) -> list[Lease]:
        """The leases whose messages could be read, in order; the others are settled.

        Raises BrokerError and StorageError where none could be read, and the others could not be settled.
        """
        fitting = _fitting(leases, max_bytes)
        bodies = await self._bodies_of(queue, leases, fitting)
        settled = [Outcome(lease, "release") for lease in leases[fitting:]]
        readable: list[Lease] = []
        held: set[str] = set()  # groups that wait for their head
        for lease, body in zip(leases, bodies, strict=False):
            if lease.message.group in held:
                settled.append(Outcome(lease, "release"))
            elif isinstance(body, bytes):
                readable.append(_restored(lease, body))
            elif body is None:
                settled.append(self._gone(lease))
            else:
                settled.append(_later(lease, body))
                held |= self._group(lease)
        if settled and (error := await self._settle(queue, settled)) is not None and not readable:
            raise error
        return readable

    async def _bodies_of(self, queue: str, leases: Sequence[Lease], fitting: int) -> list[Read]:
        """The bodies of the first leases; where that ends in an error, all of them are to be given back."""
        try:
            return await asyncio.gather(*(self._body(lease) for lease in leases[:fitting]))
        except BaseException:
            self._owe(queue, [Outcome(lease, "release") for lease in leases])
            raise

    async def _settle(self, queue: str, outcomes: list[Outcome]) -> MillraceError | None:
        """Settle, now or with the next take; why not now."""
        try:
            await self._inner.settle(Commit(queue, outcomes))
        except (BrokerError, StorageError) as error:
            self._owe(queue, outcomes)
            _log.warning(
                "%d messages of %s could not be settled, the next take tries again: %s", len(outcomes), queue, error
            )
            return error
        except BaseException:
            self._owe(queue, outcomes)
            raise
        return None

    def _owe(self, queue: str, outcomes: list[Outcome]) -> None:
        self._owed.setdefault(queue, []).extend(outcomes)

    async def _body(self, lease: Lease) -> Read:
        claim = claim_of(lease.message)
        return lease.message.body if claim is None else await self._bodies.read(claim)

    def _group(self, lease: Lease) -> set[str]:
        return {lease.message.group} if lease.message.group or lease.queue in self._lines else set()

    def _gone(self, lease: Lease) -> Outcome:
        now = self._clock.now()
        claim = claim_of(lease.message)
        failure = Failure("BodyMissing", f"the body of this message, {claim and claim.key}, is gone from its bucket")
        first = lease.first_failed_at or now
        death = Death("dead", failure, lease.queue, lease.attempt, first, now)
        record = Record(
            lease.message.id,
            lease.queue,
            "dead",
            failure=failure,
            attempts=lease.attempt,
            accepted_at=lease.message.sent_at,
            finished_at=now,
        )
        return Outcome(lease, "dead", record, death=death)


def _later(lease: Lease, error: MillraceError) -> Outcome:
    _log.warning("message %s waits, its body cannot be read: %s", lease.message.id, error)
    return Outcome(lease, "retry", delay_s=_FIRST_PAUSE_S * 2.0 ** (lease.attempt - 1))


def _restored(lease: Lease, body: bytes) -> Lease:
    claim = claim_of(lease.message)
    if claim is None:
        return lease
    receipt = claimed_receipt(lease.receipt, claim)
    return msgspec.structs.replace(lease, message=whole(lease.message, body), receipt=receipt)


def _fitting(leases: Sequence[Lease], max_bytes: int | None) -> int:
    """How many of the leases stay within max_bytes by their real sizes, at least one."""
    total = 0
    for index, size in enumerate(_sizes(leases)):
        total += size
        if index and max_bytes is not None and total > max_bytes:
            return index
    return len(leases)


def _sizes(leases: Sequence[Lease]) -> Iterator[int]:
    for lease in leases:
        claim = claim_of(lease.message)
        yield len(lease.message.body) if claim is None else claim.size
