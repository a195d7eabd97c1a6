"""What people do with queues: look at dead letters, move and purge; SQS has one way to see a message, to receive it.

So only dead letters are looked at and chosen by id, whose deliveries nobody counts; of another queue's messages those
are shown that this process holds.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from millrace.broker import Peeked
from millrace.brokers.sqs.batches import MOST
from millrace.brokers.sqs.directory import Directory
from millrace.brokers.sqs.endings import Endings, report
from millrace.brokers.sqs.fault import Fault
from millrace.brokers.sqs.leases import Leases
from millrace.brokers.sqs.letters import Received
from millrace.brokers.sqs.queue import SqsQueue
from millrace.brokers.sqs.taking import Taking
from millrace.errors import BrokerError

_LOOK_S = 60  # how long letters are hidden from others while they are looked through
VISIBLE, HIDDEN, DELAYED = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


class People:
    """Peeks, moves and purges."""

    def __init__(self, directory: Directory, taking: Taking, endings: Endings, leases: Leases) -> None:
        self._directory = directory
        self._taking = taking
        self._endings = endings
        self._leases = leases

    async def counts(self, queue: SqsQueue) -> tuple[int, int, int]:
        """How many wait, are in flight and are delayed, as far as SQS knows at this moment."""
        names = [VISIBLE, HIDDEN, DELAYED]
        told = await self._directory.asked(queue, "GetQueueAttributes", {"AttributeNames": names})
        found = told.get("Attributes") or {}
        visible, hidden, delayed = (int(found.get(name, "0")) for name in names)
        ready = self._taking.ready(queue.name)
        return visible + ready, max(0, hidden - ready), delayed

    async def peek(self, queue: SqsQueue, limit: int, ids: Sequence[str] | None) -> list[Peeked]:
        """Dead letters, as many as SQS shows; elsewhere what this process holds."""
        chosen = None if ids is None else set(ids)
        if not queue.is_dead:
            held = [each for each in self._leases.of(queue.name) if each.envelope is not None]
            seen = [Peeked(each.envelope.message, "in_flight", each.attempt) for each in held if each.envelope]
            return [each for each in seen if chosen is None or each.message.id in chosen][:limit]
        found: list[Received] = []
        handles: list[str] = []
        try:
            async for letters in self._all(queue):
                handles += [each.handle for each in letters]
                found += [each for each in letters if chosen is None or each.envelope.message.id in chosen]
                if len(found) >= limit or len({each.envelope.message.id for each in found}) == len(chosen or ()) > 0:
                    break
        finally:
            report(queue, "shown again", await self._endings.hide(queue, [(handle, 0.0) for handle in handles]))
        return [
            Peeked(each.envelope.message, "ready", _died_after(each), each.envelope.death) for each in found[:limit]
        ]

    async def move(self, source: SqsQueue, target: SqsQueue, ids: Sequence[str] | None) -> int:
        """Move messages that wait; say how many."""
        _choosable(source, ids)
        moved = 0
        async for chosen in self._chosen(source, ids):
            answers = await self._endings.move(source, target, [(each.handle, each.envelope) for each in chosen])
            moved += sum(isinstance(answer, dict) for answer in answers)
            if any(not isinstance(answer, dict) for answer in answers):
                report(source, "moved", answers)
                break
        return moved

    async def purge(self, queue: SqsQueue, ids: Sequence[str] | None, *, in_flight: bool) -> int:
        """Delete messages; say how many. PurgeQueue takes what is in flight too, but once a minute."""
        _choosable(queue, ids)
        count = 0
        if in_flight and ids is None:
            counted = sum(await self.counts(queue))
            if await self._purged(queue):
                await self._taking.forget(queue.name)
                self._leases.forget(queue.name)
                return counted
        if in_flight:
            count += await self._purge_held(queue, ids)
        async for chosen in self._chosen(queue, ids):
            answers = await self._endings.delete(queue, [each.handle for each in chosen])
            count += sum(isinstance(answer, dict) for answer in answers)
            report(queue, "purged", answers)
        return count

    async def _purged(self, queue: SqsQueue) -> bool:
        try:
            await self._directory.asked(queue, "PurgeQueue", {})
        except BrokerError as error:
            if isinstance(error.__cause__, Fault) and error.__cause__.code == "PurgeQueueInProgress":
                return False
            raise
        return True

    async def _purge_held(self, queue: SqsQueue, ids: Sequence[str] | None) -> int:
        """Delete what this process holds; what others hold only PurgeQueue reaches."""
        held = [
            each
            for each in self._leases.of(queue.name)
            if ids is None or (each.envelope is not None and each.envelope.message.id in ids)
        ]
        answers = await self._endings.delete(queue, [each.handle for each in held])
        for each in held:
            each.expires_at = 0.0
        return sum(isinstance(answer, dict) for answer in answers)

    async def _chosen(self, queue: SqsQueue, ids: Sequence[str] | None) -> AsyncIterator[list[Received]]:
        """What waits, or what was chosen of it; the rest is shown again at the end."""
        wanted = None if ids is None else set(ids)
        rest: list[str] = []
        try:
            async for found in self._all(queue):
                rest += [each.handle for each in found if wanted is not None and each.envelope.message.id not in wanted]
                if chosen := [each for each in found if wanted is None or each.envelope.message.id in wanted]:
                    yield chosen
        finally:
            if rest:
                report(queue, "shown again", await self._endings.hide(queue, [(handle, 0.0) for handle in rest]))

    async def _all(self, queue: SqsQueue) -> AsyncIterator[list[Received]]:
        """Everything that waits, ten at a time. A short poll may miss some: it is the count that ends this."""
        await self._taking.give_back(queue)
        wait_s = 0
        while True:
            found, _ = await self._taking.receive(queue, MOST, _LOOK_S, wait_s=wait_s)
            if found:
                yield found
                wait_s = 0
            elif wait_s or not (await self.counts(queue))[0]:
                return
            else:
                wait_s = 1


def _choosable(queue: SqsQueue, ids: Sequence[str] | None) -> None:
    if ids is not None and not queue.is_dead:
        raise BrokerError(
            f"SQS cannot choose messages of {queue.name} by id: it would have to deliver them all",
            "choose among the dead letters, or take all",
        )


def _died_after(found: Received) -> int:
    """The attempts of a letter, from its death: later deliveries were looks."""
    return found.envelope.death.attempts if found.envelope.death is not None else found.envelope.attempts
