"""The queues by name: made where they are missing, found where somebody else made them, and what differs is told."""

from __future__ import annotations

import asyncio
import logging
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from millrace.broker import DEAD_SUFFIX, Queue, dead_letters
from millrace.brokers.names import check_dead_to, check_drop, unknown_queue
from millrace.brokers.sqs.batches import Answer
from millrace.brokers.sqs.client import Client
from millrace.brokers.sqs.fault import Fault
from millrace.brokers.sqs.names import FIFO, candidates, name_of, sqs_name
from millrace.brokers.sqs.queue import MAX_BYTES, MAX_LEASE_S, SqsQueue
from millrace.clock import Clock
from millrace.errors import BrokerError, UnknownQueue

RETENTION_S = 1_209_600  # the longest that SQS keeps a message
_OLD_MAX_BYTES = 262_144  # of endpoints that know no larger messages
_RECENTLY_S = 5.0
_MOST_TRIES = 14  # SQS refuses a name for a minute after its queue was deleted
_PAGE = 1000
_LITERAL = re.compile(r"[A-Za-z0-9-]*")
_log = logging.getLogger(__name__)


class Directory:
    """Knows the queues that were used in this process. Names of ours have the prefix only in SQS."""

    def __init__(self, client: Client, prefix: str, account: str, clock: Clock) -> None:
        self._client = client
        self._prefix = prefix
        self._account = account
        self._clock = clock
        self._known: dict[str, SqsQueue] = {}
        self._told: set[str] = set()

    async def declare(self, queues: Sequence[Queue]) -> None:
        """Make queues and their dead-letter queues. Raises UnknownQueue, BrokerError."""
        names = {queue.name for queue in queues} | set(self._known)
        if any(queue.dead_to is not None and queue.dead_to not in names for queue in queues):
            names |= set(await self.names())
        for queue in queues:
            check_dead_to(queue, names)
        await asyncio.gather(*(self._made(queue) for queue in queues))

    async def named(self, name: str) -> SqsQueue:
        """A queue that is there. Raises UnknownQueue."""
        found = self._known.get(name)
        if found is not None:
            return found
        for each in candidates(self._prefix + name):
            if (url := await self._url(each)) is not None:
                return await self._learned(Queue(name, max_receives=None, dedupe_s=0.0), each, url, declared=False)
        raise unknown_queue(name, await self.names())

    async def dead_of(self, queue: SqsQueue) -> SqsQueue:
        """The queue of its dead letters, made where it is missing."""
        name = dead_letters(queue.name)
        return self._known.get(name) or await self._one(_dead_settings(queue.settings))

    async def names(self) -> list[str]:
        """Our names of all queues that begin with the prefix; none where they may not be listed."""
        start = _LITERAL.match(self._prefix)
        members: dict[str, Any] = {"MaxResults": _PAGE} | ({"QueueNamePrefix": start[0]} if start and start[0] else {})
        found: list[str] = []
        while True:
            try:
                told = await self._client.call("ListQueues", members)
            except Fault as fault:
                if fault.denied:
                    return sorted(self._known)
                raise fault.told("list queues") from fault
            found += [self._ours(url) for url in told.get("QueueUrls") or ()]
            if not (token := told.get("NextToken")):
                return sorted({name for name in found if name})
            members["NextToken"] = token

    async def drop(self, names: Sequence[str]) -> list[str]:
        """Delete queues with their dead-letter queues; all that were deleted. Raises UnknownQueue, BrokerError."""
        there = await self.names() if names else []
        for name in names:
            check_drop(name, there)
        every = [each for name in names for each in (name, dead_letters(name)) if each in there]
        await asyncio.gather(*(self._delete(each) for each in every))
        return every

    def tell(self, queue: SqsQueue) -> None:
        """Log what is to be known of a queue by those who run it, each line once."""
        for notice in queue.notices:
            if notice not in self._told:
                self._told.add(notice)
                _log.warning("%s", notice)

    def gone(self, name: str) -> None:
        """SQS says that there is no such queue: the next use looks for it again."""
        self._known.pop(name, None)

    async def asked(self, queue: SqsQueue, action: str, members: Mapping[str, Any], **how: float) -> dict[str, Any]:
        """An action on one queue. Raises UnknownQueue, BrokerError."""
        try:
            return await self._client.call(action, {"QueueUrl": queue.url, **members}, **how)
        except Fault as fault:
            raise await self.refused(queue, fault, action) from fault

    async def check(self, queue: SqsQueue, answers: Sequence[Answer], action: str) -> None:
        """Raise UnknownQueue or BrokerError where SQS did nothing of a request, and not for its messages' sake."""
        if any(isinstance(answer, dict) for answer in answers):
            return
        for answer in answers:
            if isinstance(answer, BrokerError):
                raise answer
            if isinstance(answer, Fault) and not answer.is_entrys:
                raise await self.refused(queue, answer, action) from answer

    async def refused(self, queue: SqsQueue, fault: Fault, action: str) -> BrokerError:
        """The error for a queue's fault."""
        if not fault.unknown_queue:
            return fault.told(f"{action} on {queue.name}")
        self.gone(queue.name)
        return unknown_queue(queue.name, [name for name in await self.names() if name != queue.name])

    async def _made(self, queue: Queue) -> None:
        await self._one(queue)
        if not queue.name.endswith(DEAD_SUFFIX):
            await self._one(_dead_settings(queue))

    async def _one(self, queue: Queue) -> SqsQueue:
        name = sqs_name(self._prefix + queue.name, fifo=queue.fifo)
        url = await self._url(name)
        if url is None:
            url = await self._create(name, queue)
        return await self._learned(queue, name, url)

    async def _url(self, name: str) -> str | None:
        members = {"QueueName": name} | ({"QueueOwnerAWSAccountId": self._account} if self._account else {})
        try:
            return str((await self._client.call("GetQueueUrl", members))["QueueUrl"])
        except Fault as fault:
            if fault.unknown_queue:
                return None
            raise fault.told(f"find the queue {name}") from fault

    async def _create(self, name: str, queue: Queue) -> str:
        attributes = {
            "MessageRetentionPeriod": str(RETENTION_S),
            "MaximumMessageSize": str(MAX_BYTES),
            "VisibilityTimeout": str(min(MAX_LEASE_S, math.ceil(queue.lease_s))),
        }
        if queue.fifo:
            attributes["FifoQueue"] = "true"
        for _ in range(_MOST_TRIES):
            try:
                return str(
                    (await self._client.call("CreateQueue", {"QueueName": name, "Attributes": attributes}))["QueueUrl"]
                )
            except Fault as fault:
                if fault.code == "QueueDeletedRecently":
                    await self._clock.sleep(_RECENTLY_S)
                elif "MaximumMessageSize" in attributes and "MaximumMessageSize" in fault.text:
                    del attributes["MaximumMessageSize"]  # an endpoint that is older than messages of 1 MiB
                else:
                    raise fault.told(f"make the queue {name}") from fault
        raise BrokerError(f"queue {name}: it was deleted a minute ago, and SQS does not free its name", "try again")

    async def _learned(self, queue: Queue, name: str, url: str, *, declared: bool = True) -> SqsQueue:
        """A queue with what SQS says of it, also how long its leases last where nobody declared it here."""
        fifo = name.endswith(FIFO)
        found = SqsQueue(queue, url, fifo, _OLD_MAX_BYTES)
        told = (await self.asked(found, "GetQueueAttributes", {"AttributeNames": ["All"]})).get("Attributes") or {}
        size, lease_s = told.get("MaximumMessageSize", ""), told.get("VisibilityTimeout", "")
        if not declared and lease_s.isdecimal():
            queue = msgspec.structs.replace(queue, lease_s=float(lease_s))
        max_bytes = int(size) if size.isdecimal() else _OLD_MAX_BYTES
        found = SqsQueue(queue, url, fifo, max_bytes, tuple(_notices(queue, told)))
        self._known[queue.name] = found
        return found

    async def _delete(self, name: str) -> None:
        queue = await self.named(name)
        with suppress(UnknownQueue):  # somebody else was quicker
            await self.asked(queue, "DeleteQueue", {})
        self.gone(name)

    def _ours(self, url: str) -> str:
        """Our name of a queue by its URL, empty for those of another prefix."""
        found = name_of(url.rpartition("/")[2])
        if not found.startswith(self._prefix):
            return ""
        name = found[len(self._prefix) :]
        stem = name.removesuffix(FIFO)
        return stem if stem in self._known and self._known[stem].fifo else name


def _dead_settings(queue: Queue) -> Queue:
    """Dead letters wait without an end, in no order, for as long a lease as their queue's."""
    return Queue(dead_letters(queue.name), queue.lease_s, None, dedupe_s=0.0)


def _notices(queue: Queue, told: Mapping[str, str]) -> Iterator[str]:
    """What SQS's settings, and those of whoever made a queue, mean for us; they stay as they are."""
    if queue.ttl_s is not None and queue.ttl_s > RETENTION_S:
        yield f"queue {queue.name}: SQS forgets messages after 14 days, its ttl is longer"
    if policy := told.get("RedrivePolicy"):
        yield (
            f"queue {queue.name} has a redrive policy of SQS's, which is left alone: what it moves is not among "
            f"{dead_letters(queue.name)}: {policy}"
        )
    kept_s = told.get("MessageRetentionPeriod", "")
    if kept_s.isdecimal() and int(kept_s) < RETENTION_S:
        yield f"queue {queue.name}: SQS deletes its messages after {kept_s} s, as whoever made it has set"
