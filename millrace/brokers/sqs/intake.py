"""Puts: checked all together, then sent in batches; SQS itself knows no put that is all or none."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from millrace.brokers.depth import Depth
from millrace.brokers.enclosing import enclosed
from millrace.brokers.sqs.batches import Answer, Batches
from millrace.brokers.sqs.directory import Directory
from millrace.brokers.sqs.fault import Fault
from millrace.brokers.sqs.fifo import fifo_members
from millrace.brokers.sqs.letters import DUE_AT, HOPS, entry_of, is_text
from millrace.brokers.sqs.queue import MAX_LEASE_S, SqsQueue
from millrace.clock import Clock
from millrace.errors import TooLarge
from millrace.known_brokers import LETTER_BYTES, SQS
from millrace.types import Accepted, Put

_MAX_DELAY_S = 900
_MAX_BINARY = SQS.claims.max_body or 0  # bytes that travel as base64


class _Sending(NamedTuple):
    entry: dict[str, Any]
    size: int  # bytes, as SQS counts them


class Intake:
    """Puts messages into queues."""

    def __init__(self, directory: Directory, batches: Batches, depth: Depth, clock: Clock) -> None:
        self._directory = directory
        self._batches = batches
        self._depth = depth
        self._clock = clock

    async def put(self, puts: Sequence[Put]) -> list[Accepted]:
        """Store messages durably. Raises UnknownQueue, QueueFull, TooLarge before any is stored; BrokerError.

        A BrokerError may leave a part stored, as a lost answer may: who puts again puts those twice, under their ids.
        """
        queues = {name: await self._directory.named(name) for name in {put.queue for put in puts}}
        ready = [self._sending(queues[put.queue], put) for put in puts]
        await self._depth.check(Counter(put.queue for put in puts))
        places = {name: [place for place, put in enumerate(puts) if put.queue == name] for name in queues}
        answers: dict[int, Answer] = {}
        for name, found in zip(
            places,
            await asyncio.gather(
                *(self._send(queues[name], [ready[each] for each in places[name]]) for name in places)
            ),
            strict=True,
        ):
            answers |= zip(places[name], found, strict=True)
        for place, answer in answers.items():
            if isinstance(answer, Fault):
                raise await self._directory.refused(queues[puts[place].queue], answer, "put messages") from answer
            if not isinstance(answer, dict):
                raise answer
        return [Accepted(put.message.id) for put in puts]

    async def _send(self, queue: SqsQueue, sendings: Sequence[_Sending]) -> list[Answer]:
        entries, sizes = [each.entry for each in sendings], [each.size for each in sendings]
        return await self._batches.send("SendMessageBatch", queue.url, entries, sizes, in_order=queue.fifo)

    def _sending(self, queue: SqsQueue, put: Put) -> _Sending:
        now, message, settings = self._clock.now(), put.message, queue.settings
        if not message.sent_at:
            message = msgspec.structs.replace(message, sent_at=now)
        ttl_s = settings.ttl_s if put.ttl_s is None else put.ttl_s
        delay_s = settings.delay_s if put.delay_s is None else put.delay_s
        envelope = enclosed(put, message, math.inf if ttl_s is None else now + ttl_s)
        delay, hop = _delayed(queue, delay_s, now)
        entry, size = entry_of(envelope, hop)
        if size > queue.max_bytes - LETTER_BYTES or (len(message.body) > _MAX_BINARY and not is_text(message.body)):
            raise TooLarge(
                f"message {message.id}: {size} bytes in SQS, with its attributes and a body that is base64 unless it is"
                f" text; queue {queue.name} takes {queue.max_bytes - LETTER_BYTES}",
                "set `bodies:` in the project file, so that large bodies wait in a bucket",
            )
        return _Sending(entry | delay | fifo_members(queue, message, put.dedupe or message.id), size)


def _delayed(queue: SqsQueue, delay_s: float, now: float) -> tuple[dict[str, int], dict[str, str]]:
    """A delay as SQS has it, and the headers of one that it has not: longer than 15 minutes, or in a FIFO queue.

    Such a message is received early and hidden until it is due, for twelve hours at most, and so on; the number of
    these deliveries is told beforehand, so that they do not count as attempts.
    """
    if delay_s <= 0:
        return ({} if queue.fifo else {"DelaySeconds": 0}), {}
    first_s = 0 if queue.fifo else min(_MAX_DELAY_S, math.ceil(delay_s))
    member = {} if queue.fifo else {"DelaySeconds": first_s}
    if delay_s <= first_s:
        return member, {}
    hops = math.ceil((delay_s - first_s) / MAX_LEASE_S)
    return member, {DUE_AT: repr(now + delay_s), HOPS: str(hops)}
