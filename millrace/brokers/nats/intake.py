"""Puts: published all at once, each with its acknowledgement from the stream."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b

import msgspec

from millrace.brokers.enclosing import enclosed
from millrace.brokers.envelope import Envelope, headers_of
from millrace.brokers.limits import queue_full
from millrace.brokers.nats.api import FULL, Api, ApiError, is_absent, read
from millrace.brokers.nats.asked import Answer, Request
from millrace.brokers.nats.notes import Notes
from millrace.brokers.nats.queue import NatsQueue
from millrace.brokers.nats.queues import NatsQueues
from millrace.brokers.nats.reading import DUE_AT, MESSAGE_ID
from millrace.brokers.nats.wire import head_of
from millrace.clock import Clock
from millrace.errors import BrokerError, QueueFull, TooLarge
from millrace.types import Accepted, Put

_LONGEST_ID = 200


class Intake:
    """Publishes messages."""

    def __init__(self, api: Api, queues: NatsQueues, notes: Notes, clock: Clock) -> None:
        self._api = api
        self._queues = queues
        self._notes = notes
        self._clock = clock

    async def put(self, puts: Sequence[Put]) -> list[Accepted]:
        """Store all or none. Raises UnknownQueue, QueueFull, TooLarge, BrokerError."""
        for name in {each.queue for each in puts}:
            await self._queues.named(name)
        try:
            return await self._put(puts)
        except ApiError as error:
            if not is_absent(error):
                raise
        for name in {each.queue for each in puts}:
            await self._queues.again(await self._queues.named(name))
        return await self._put(puts)

    async def _put(self, puts: Sequence[Put]) -> list[Accepted]:
        queues = {each.queue: await self._queues.named(each.queue) for each in puts}
        requests = [self._request(queues[each.queue], each) for each in puts]
        await self._check_room([queues[each.queue] for each in puts])
        accepted: list[Accepted] = []
        refused: ApiError | None = None
        for each, answer in zip(puts, await self._api.link.ask_all(requests), strict=True):
            try:
                accepted.append(_accepted(each, answer))
            except ApiError as error:
                refused = error
                accepted.append(Accepted(each.message.id, True))
        if refused is not None:
            await self._undo(queues, puts, accepted)
            raise _refusal(refused)
        return await self._once_more(queues, puts, requests, accepted)

    async def _once_more(
        self,
        queues: dict[str, NatsQueue],
        puts: Sequence[Put],
        requests: Sequence[Request],
        accepted: list[Accepted],
    ) -> list[Accepted]:
        """What was purged or moved away is no duplicate, though the stream still knows its id: put it under another."""
        known = [at for at, answer in enumerate(accepted) if answer.duplicate]
        for name in {puts[at].queue for at in known}:
            stream = queues[name].stream
            mark = await self._notes.marked(stream, "purged")
            old = [at for at in known if puts[at].queue == name and accepted[at].sequence <= (mark or 0)]
            there = await self._api.at(stream, [accepted[at].sequence for at in old])
            again = [at for at, stored in zip(old, there, strict=True) if stored is None]
            fresh = [
                msgspec.structs.replace(
                    requests[at],
                    head=requests[at].head.replace(
                        b"%s: " % MESSAGE_ID.encode(), b"%s: %d." % (MESSAGE_ID.encode(), mark or 0), 1
                    ),
                )
                for at in again
            ]
            for at, answer in zip(again, await self._api.link.ask_all(fresh), strict=True):
                accepted[at] = _accepted(puts[at], answer)
        return accepted

    async def _check_room(self, queues: Sequence[NatsQueue]) -> None:
        """Refuse a put as a whole where its queue has no room for all of it; the stream refuses what still races us."""
        for name, count in Counter(queue.name for queue in queues).items():
            queue = await self._queues.named(name)
            limit = queue.settings.max_depth
            if limit is None:
                continue
            info = await self._api.stream(queue.stream)
            held = 0 if info is None else info["state"]["messages"]
            if held + count > limit:
                raise queue_full(name, held=held, limit=limit, refused=count)

    async def _undo(self, queues: dict[str, NatsQueue], puts: Sequence[Put], accepted: Sequence[Accepted]) -> None:
        """Take back what was stored of a put of which something was refused."""
        for name, queue in queues.items():
            stored = [
                answer.sequence
                for each, answer in zip(puts, accepted, strict=True)
                if each.queue == name and not answer.duplicate
            ]
            if stored:
                await self._api.delete(queue.stream, stored)
                await self._notes.mark(queue.stream, "purged", max(stored))

    def _request(self, queue: NatsQueue, put: Put) -> Request:
        settings, message, now = queue.settings, put.message, self._clock.now()
        if not message.sent_at:
            message = msgspec.structs.replace(message, sent_at=now)
        ttl_s = settings.ttl_s if put.ttl_s is None else put.ttl_s
        delay_s = settings.delay_s if put.delay_s is None else put.delay_s
        envelope = enclosed(put, message) if ttl_s is None else enclosed(put, message, now + ttl_s)
        extra = {MESSAGE_ID: self._message_id(queue, put)}
        if delay_s > 0:
            extra[DUE_AT] = repr(now + delay_s)
        return request_of(queue, envelope, extra, self._api.link.max_payload)

    def _message_id(self, queue: NatsQueue, put: Put) -> str:
        """What the stream knows a put by for a while; where ids are not remembered, one for this put alone."""
        if not self._queues.dedupes(queue):
            return secrets.token_hex(12)
        return _plain(f"key {put.dedupe}" if put.dedupe else put.message.id)


def request_of(queue: NatsQueue, envelope: Envelope, extra: dict[str, str], max_payload: int) -> Request:
    """What stores a message in a queue. Raises TooLarge."""
    message = envelope.message
    head = head_of(extra | headers_of(envelope))
    if len(head) + len(message.body) > max_payload:
        raise TooLarge(
            f"message {message.id}: {len(message.body)} bytes, {len(head)} of headers; at most {max_payload}",
            "put the body into a bucket and its key into the message, or raise max_payload in the server",
        )
    return Request(queue.subject, message.body, head)


def _plain(id: str) -> str:
    """An id that a header can carry."""
    if len(id) <= _LONGEST_ID and id.isascii() and id.isprintable() and id.strip() == id and id:
        return id
    return blake2b(id.encode(errors="surrogatepass"), digest_size=20).hexdigest()


def _accepted(put: Put, answer: Answer) -> Accepted:
    """What a stream's acknowledgement says. What we repeated ourselves is no duplicate. Raises ApiError."""
    acknowledged = read(answer, f"message {put.message.id}")
    duplicate = acknowledged.get("duplicate", False) and not answer.repeated
    return Accepted(put.message.id, duplicate, acknowledged["seq"])


def _refusal(error: ApiError) -> BrokerError:
    if error.number == FULL:
        return QueueFull(error.problem, "try again when its function has caught up, or raise max_depth")
    return error
