"""The broker port around a broker that can neither dedupe nor be transactional, beside a ledger that is both.

    put      note, put, confirm
    take     take, then what is done already: its outputs that wait are put, and it is acknowledged
    settle   whose leases are still ours; rows, records and outputs in one transaction; put the outputs; acknowledge

What a crash leaves between two steps is done again by the next take of the same message: it is still in its queue.
So a message may run twice, and its effects are there once: the first delivery to commit wins.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable, Sequence
from contextlib import suppress

import msgspec

from millrace.broker import DEAD_FROM_ATTRIBUTE, DEAD_SUFFIX, Broker, Peeked, Queue, Standing, Stats
from millrace.brokers.depth import Depth
from millrace.brokers.names import unknown_queue
from millrace.brokers.outbox.intake import WINDOW_S, Intake
from millrace.brokers.outbox.letters import Letters
from millrace.brokers.outbox.receipts import among, inner, outer
from millrace.brokers.outbox.results import OutboxResults
from millrace.clock import Clock, SystemClock
from millrace.errors import BrokerError, StorageError, TooLarge
from millrace.store import Ledger, Results
from millrace.types import Accepted, Commit, Lease, Message, Outcome, Put

_MOST_LEFT = 1000  # messages in flight that are looked at when all others were purged or moved
_log = logging.getLogger(__name__)


class Outbox(Broker):
    """A broker whose messages each have one effect, since a ledger knows what is done. Closing closes the inner broker.

    `dedupe` is claimed as far as the ledger knows: a put whose process died before it was confirmed, or two processes
    that put one id in the same moment, bring the broker a copy, which is dropped when it is taken or committed.
    """

    def __init__(self, inner: Broker, ledger: Ledger, *, clock: Clock | None = None) -> None:
        self.capabilities = msgspec.structs.replace(inner.capabilities, transactional=True, dedupe=True, bounded=False)
        self._inner = inner
        self._ledger = ledger
        self._queues: dict[str, Queue] = {}
        self._windows_s: dict[str, float] = {}
        self._clock = clock or SystemClock()
        self._depth = Depth(inner, self._clock)
        self._letters = Letters(inner, ledger, self._queues)
        self._intake = Intake(inner, ledger, self._depth, self._windows_s)

    def results(self, records: Results) -> Results:
        """The ledger's records, which also know of messages that the inner broker buried by itself."""
        return OutboxResults(records, self._letters, self._clock)

    async def declare(self, queues: Sequence[Queue]) -> None:
        await self._inner.declare([msgspec.structs.replace(queue, max_depth=None) for queue in queues])
        for queue in queues:
            self._queues[queue.name] = queue
            self._windows_s[queue.name] = queue.dedupe_s
            self._depth.declared(queue)

    async def drop(self, queues: Sequence[str]) -> None:
        known = set(await self._inner.queues())
        for name in known.intersection(queues):
            await self._ledger.doubt(name, None)
        await self._inner.drop(queues)
        for name in queues:
            await self._ledger.forget(name, None)
            self._windows_s.pop(name, None)
            self._queues.pop(name, None)

    async def put(self, puts: Sequence[Put]) -> list[Accepted]:
        return list(await self._intake.put(puts))

    async def take(
        self, queue: str, limit: int, *, max_bytes: int | None = None, lease_s: float | None = None
    ) -> list[Lease]:
        while leases := await self._inner.take(queue, limit, max_bytes=max_bytes, lease_s=lease_s):
            if fresh := await self._not_done(queue, leases):
                return [outer(lease) for lease in fresh]
        return []

    async def wait(self, queue: str, timeout_s: float) -> None:
        await self._inner.wait(queue, timeout_s)

    async def settle(self, commit: Commit) -> list[Lease]:
        leases = [outcome.lease for outcome in commit.outcomes]
        outcomes = [msgspec.structs.replace(outcome, lease=inner(outcome.lease)) for outcome in commit.outcomes]
        if not outcomes:
            return await self._inner.settle(commit)
        held = await self._held(commit.queue, outcomes)
        late = await self._write(Commit(commit.queue, held))
        lost = await self._acknowledge(commit.queue, held, late)
        gone = {outcome.lease.receipt for outcome in outcomes} - {outcome.lease.receipt for outcome in held}
        return among(leases, gone | late | lost)

    async def extend(self, leases: Sequence[Lease], lease_s: float) -> list[Lease]:
        extended = await self._inner.extend([inner(lease) for lease in leases], lease_s)
        until = {lease.receipt: lease.expires_at for lease in extended}
        return [
            msgspec.structs.replace(lease, expires_at=until[inner(lease).receipt])
            for lease in among(leases, set(until))
        ]

    async def stats(self, queue: str) -> Stats:
        return await self._inner.stats(queue)

    async def close(self) -> None:
        await self._inner.close()

    async def queues(self) -> list[str]:
        return await self._inner.queues()

    async def peek(self, queue: str, limit: int = 10, *, ids: Sequence[str] | None = None) -> list[Peeked]:
        return await self._inner.peek(queue, limit, ids=ids)

    async def move(self, source: str, target: str, ids: Sequence[str] | None = None) -> int:
        owner = source.removesuffix(DEAD_SUFFIX)
        if owner == source:
            await self._ledger.doubt(source, ids)
        else:
            await self._letters.learn(owner, ids)
        if ids is not None:
            await self._ledger.forget(target, ids, done=True)  # before: it could be taken at once
        count = await self._inner.move(source, target, ids)
        left, sure = await self._left(source, ids)
        if count:
            window_s = self._windows_s.get(target, WINDOW_S)
            await self._ledger.moved(owner, target, ids, left, dedupe_s=window_s, sure=sure, dead=owner != source)
        if owner == source:
            await self._trust(source, left)
        return count

    async def purge(self, queue: str, ids: Sequence[str] | None = None, *, in_flight: bool = False) -> int:
        owner = queue.removesuffix(DEAD_SUFFIX)
        if owner != queue:
            await self._letters.learn(owner, ids)
        await self._ledger.doubt(queue, ids)
        count = await self._inner.purge(queue, ids, in_flight=in_flight)
        left, _ = await self._left(queue, ids)
        if owner != queue:
            await self._ledger.expire(owner, ids, self._windows_s.get(owner, WINDOW_S))
        else:
            await self._trust(queue, left)
        return count

    async def standing(self, leases: Sequence[Lease]) -> list[Standing]:
        return await self._inner.standing([inner(lease) for lease in leases])

    # ---- take

    async def _not_done(self, queue: str, leases: Sequence[Lease]) -> list[Lease]:
        """The leases whose messages are to be run; copies of them, and what is done already, are acknowledged."""
        try:
            done = await self._ledger.unsent(queue, [lease.message.id for lease in leases])
            if again := [lease.message.id for lease in leases if lease.message.id in done and _is_new_letter(lease)]:
                await self._ledger.forget(queue, again, done=True)
        except StorageError:
            with suppress(BrokerError, StorageError):  # nobody can tell what they are: somebody else may
                await self._inner.settle(Commit(queue, [Outcome(lease, "release") for lease in leases]))
            raise
        finished = {id: puts for id, puts in done.items() if id not in again}
        fresh: dict[tuple[str, str | None], Lease] = {}
        over = []
        for lease in leases:
            origin = lease.message.attributes.get(DEAD_FROM_ATTRIBUTE)  # a letter is no copy of what has its id here
            if lease.message.id in finished or fresh.setdefault((lease.message.id, origin), lease) is not lease:
                over.append(lease)
        if over:
            await self._finish(queue, over, finished)
        return list(fresh.values())

    async def _finish(self, queue: str, leases: Sequence[Lease], unsent: dict[str, list[Put]]) -> None:
        """Put the outputs that wait, then acknowledge; what fails is done again when the leases have run out."""
        try:
            await self._send(queue, unsent)
            await self._inner.settle(Commit(queue, [Outcome(lease, "done") for lease in leases]))
        except (BrokerError, StorageError) as error:
            _log.warning("%d messages of %s that are done stay in their queue for now: %s", len(leases), queue, error)

    async def _send(self, queue: str, unsent: dict[str, list[Put]]) -> None:
        """Put outputs of these messages into their queues, then forget that they wait."""
        if puts := [put for waiting in unsent.values() for put in waiting]:
            await self._intake.put(puts, bounded=False)
            await self._ledger.sent(queue, [id for id, waiting in unsent.items() if waiting])

    # ---- settle; the leases are the inner broker's

    async def _held(self, queue: str, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """The outcomes whose leases nobody else has. Raises what would keep their outputs from being put."""
        standing = await self._inner.standing([outcome.lease for outcome in outcomes])
        held = [each for each, worth in zip(outcomes, standing, strict=True) if worth in ("held", "over")]
        for outcome in held:
            if outcome.verdict == "dead" and outcome.death is None:
                raise BrokerError(
                    f"message {outcome.lease.message.id}: verdict dead without a death", "say why it died"
                )
        await self._check_outputs([put for outcome in held for put in outcome.puts])
        return held

    async def _check_outputs(self, puts: Sequence[Put]) -> None:
        limit = self.capabilities.max_body
        if any(put.queue not in self._queues for put in puts):
            names = await self._inner.queues()
            for put in puts:
                if put.queue not in names:
                    raise unknown_queue(put.queue, names)
        for put in puts:
            if limit is not None and len(put.message.body) > limit:
                raise TooLarge(
                    f"message {put.message.id}: {len(put.message.body)} bytes, at most {limit} can be queued",
                    "put the body into a bucket and its key into the message",
                )

    async def _write(self, commit: Commit) -> set[Hashable]:
        """Make the effects durable and put the outputs; the receipts that came too late."""
        ended = [*commit.having("done"), *commit.having("dead")]
        if not ended:
            return set()
        chosen: dict[str, Outcome] = {}
        for outcome in ended:  # copies of one message in one batch: one of them counts
            chosen.setdefault(outcome.lease.message.id, outcome)
        queue = self._queues.get(commit.queue, Queue(commit.queue, dedupe_s=WINDOW_S))
        written = Commit(commit.queue, list(chosen.values()))
        late = await self._ledger.write(written, dedupe_s=queue.dedupe_s, dead_s=self._letters.kept_s(commit.queue))
        waiting = {outcome.lease.message.id: list(outcome.puts) for outcome in written.without(late).outcomes}
        if late:
            waiting |= await self._ledger.unsent(commit.queue, [lease.message.id for lease in late])
        await self._send(commit.queue, waiting)
        counted = {outcome.lease.receipt for outcome in written.outcomes} - {lease.receipt for lease in late}
        return {outcome.lease.receipt for outcome in ended} - counted

    async def _acknowledge(self, queue: str, held: Sequence[Outcome], late: set[Hashable]) -> set[Hashable]:
        """Tell the inner broker what became of the messages; the receipts of those whose ending it did not take.

        What is written is done, though its lease should have been lost meanwhile.
        """
        if not held:
            return set()
        plain = [
            Outcome(each.lease, "done")
            if each.verdict == "done" or each.lease.receipt in late
            else Outcome(each.lease, each.verdict, delay_s=each.delay_s, death=each.death)
            for each in held
        ]
        lost = {lease.receipt for lease in await self._inner.settle(Commit(queue, plain))}
        return lost - {each.lease.receipt for each in plain if each.verdict == "done"}

    # ---- move and purge

    async def _trust(self, queue: str, ids: Sequence[str]) -> None:
        """These were in doubt, and are in their queue."""
        if ids:
            await self._ledger.confirm([Put(queue, Message(id)) for id in ids], [0] * len(ids))

    async def _left(self, queue: str, ids: Sequence[str] | None) -> tuple[list[str], bool]:
        """Ids of messages that are still in a queue, and whether these are surely all."""
        if not self.capabilities.browsable:
            return [], False
        limit = _MOST_LEFT if ids is None else len(ids)
        left = [each.message.id for each in await self._inner.peek(queue, limit, ids=ids)]
        return left, ids is not None or len(left) < limit


def _is_new_letter(lease: Lease) -> bool:
    """Whether a message just came from where it died: one of its id may have been read before, and this is another."""
    return lease.attempt == 1 and DEAD_FROM_ATTRIBUTE in lease.message.attributes
