"""The ends of messages in SQS: deleted, hidden for a while, or buried: the letter first, then the deletion."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

import msgspec

from millrace.broker import DEAD_FROM_ATTRIBUTE
from millrace.brokers.envelope import Envelope
from millrace.brokers.sqs.batches import Answer, Batches
from millrace.brokers.sqs.directory import Directory
from millrace.brokers.sqs.fault import Fault
from millrace.brokers.sqs.fifo import fifo_members
from millrace.brokers.sqs.letters import entry_of, letter_of
from millrace.brokers.sqs.queue import SqsQueue
from millrace.clock import Clock
from millrace.errors import UnknownQueue
from millrace.ids import new_id
from millrace.types import Death, Message

_log = logging.getLogger(__name__)


class Endings:
    """Ends messages by their receipt handles; each answer is an entry's own."""

    def __init__(self, directory: Directory, batches: Batches, clock: Clock) -> None:
        self._directory = directory
        self._batches = batches
        self._clock = clock

    async def delete(self, queue: SqsQueue, handles: Sequence[str]) -> list[Answer]:
        """DeleteMessageBatch."""
        return await self._batches.send("DeleteMessageBatch", queue.url, [{"ReceiptHandle": each} for each in handles])

    async def hide(self, queue: SqsQueue, pairs: Sequence[tuple[str, float]]) -> list[Answer]:
        """ChangeMessageVisibilityBatch: each message for its own seconds, of which SQS knows whole ones."""
        entries = [{"ReceiptHandle": handle, "VisibilityTimeout": math.ceil(seconds)} for handle, seconds in pairs]
        return await self._batches.send("ChangeMessageVisibilityBatch", queue.url, entries)

    async def bury(self, queue: SqsQueue, deaths: Sequence[tuple[str, Envelope, Death]]) -> list[Answer]:
        """Put letters where the queue's dead letters go, then delete the messages of those that arrived."""
        letters = [(envelope, death) for _, envelope, death in deaths]
        sent = await self._sent_away(queue, letters) or await self._sent(await self._directory.dead_of(queue), letters)
        arrived = [place for place, answer in enumerate(sent) if isinstance(answer, dict)]
        for place, answer in zip(arrived, await self.delete(queue, [deaths[each][0] for each in arrived]), strict=True):
            sent[place] = answer
        return sent

    async def _sent_away(self, queue: SqsQueue, letters: Sequence[tuple[Envelope, Death]]) -> list[Answer]:
        """Put letters into the queue that was named for them, as messages there; none where it is gone."""
        if queue.settings.dead_to is None:
            return []
        try:
            target = await self._directory.named(queue.settings.dead_to)
            ttl_s = target.settings.ttl_s
            expires_at = math.inf if ttl_s is None else self._clock.now() + ttl_s
            moved = [
                (Envelope(_with_origin(each.message, queue.name), expires_at=expires_at), d) for each, d in letters
            ]
            sent = await self._sent(target, moved)
        except UnknownQueue:
            return []
        if any(isinstance(answer, Fault) and answer.unknown_queue for answer in sent):
            self._directory.gone(target.name)
            return []
        return sent

    async def _sent(self, target: SqsQueue, letters: Sequence[tuple[Envelope, Death]]) -> list[Answer]:
        entries, sizes = [], []
        for envelope, death in letters:
            plain = msgspec.structs.replace(envelope, expires_at=math.inf) if target.is_dead else envelope
            entry = letter_of(plain, death, target.max_bytes)
            entries.append(entry | fifo_members(target, envelope.message, new_id()))
            sizes.append(target.max_bytes if len(envelope.message.body) > target.max_bytes // 10 else 0)
        return await self._batches.send("SendMessageBatch", target.url, entries, sizes, in_order=target.fifo)

    async def move(self, source: SqsQueue, target: SqsQueue, moved: Sequence[tuple[str, Envelope]]) -> list[Answer]:
        """Put messages into another queue as if they were new, then delete them here."""
        ttl_s = None if target.is_dead else target.settings.ttl_s
        expires_at = math.inf if ttl_s is None else self._clock.now() + ttl_s
        pairs = [entry_of(Envelope(_without_origin(each.message), expires_at=expires_at)) for _, each in moved]
        entries = [
            entry | fifo_members(target, each.message, new_id())
            for (entry, _), (_, each) in zip(pairs, moved, strict=True)
        ]
        sizes = [size for _, size in pairs]
        sent = await self._batches.send("SendMessageBatch", target.url, entries, sizes, in_order=target.fifo)
        arrived = [place for place, answer in enumerate(sent) if isinstance(answer, dict)]
        for place, answer in zip(arrived, await self.delete(source, [moved[each][0] for each in arrived]), strict=True):
            sent[place] = answer
        return sent


def report(queue: SqsQueue, doing: str, answers: Sequence[Answer]) -> None:
    """Say what SQS did not do, where nobody waits for it: the messages come again when their leases end."""
    refused = [answer for answer in answers if not isinstance(answer, dict)]
    if refused:
        _log.warning("%d messages of %s could not be %s for now: %s", len(refused), queue.name, doing, refused[0])


def _with_origin(message: Message, queue: str) -> Message:
    return msgspec.structs.replace(message, attributes={**message.attributes, DEAD_FROM_ATTRIBUTE: queue})


def _without_origin(message: Message) -> Message:
    kept = {name: value for name, value in message.attributes.items() if name != DEAD_FROM_ATTRIBUTE}
    return msgspec.structs.replace(message, attributes=kept)
