"""Dead letters: a copy with its death, in a stream of their own, before the message is acknowledged."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from millrace.broker import DEAD_FROM_ATTRIBUTE, dead_letters
from millrace.brokers.envelope import Envelope, headers_of
from millrace.brokers.nats.api import Api, ApiError, Stored, read
from millrace.brokers.nats.asked import Request
from millrace.brokers.nats.intake import request_of
from millrace.brokers.nats.names import Place
from millrace.brokers.nats.queue import NatsQueue
from millrace.brokers.nats.queues import NatsQueues
from millrace.brokers.nats.reading import MESSAGE_ID, envelope_in
from millrace.brokers.nats.wire import head_of
from millrace.clock import Clock
from millrace.errors import UnknownQueue
from millrace.types import Death, Message

_SHORT = 500  # characters of a failure's text, where the whole does not fit beside its message


class Letters:
    """Buries messages."""

    def __init__(self, api: Api, queues: NatsQueues, clock: Clock) -> None:
        self._api = api
        self._queues = queues
        self._clock = clock

    async def bury(self, queue: NatsQueue, deaths: Sequence[tuple[Place, Death]]) -> None:
        """Store the dead letters of messages that are still there; returns when they are durable.

        They go where the queue's dead letters go, and where that is gone or full, to its own.
        """
        if not deaths:
            return
        stored = await self._api.at(queue.stream, [place.sequence for place, _ in deaths])
        dead = [(each, place, death) for each, (place, death) in zip(stored, deaths, strict=True) if each is not None]
        left = await self._send_away(queue, dead) if queue.settings.dead_to else dead

        async def send(own: NatsQueue) -> None:
            for answer in await self._api.link.ask_all([self._letter(queue, own, *each) for each in left]):
                read(answer, f"a dead letter of {queue.name}")

        await self._queues.using(dead_letters(queue.name), send)

    async def _send_away(
        self, queue: NatsQueue, dead: list[tuple[Stored, Place, Death]]
    ) -> list[tuple[Stored, Place, Death]]:
        """Put dead letters into the queue that the project names for them; those that it did not take are returned."""
        try:
            target = await self._queues.named(queue.settings.dead_to or "")
        except UnknownQueue:
            return dead
        left = []
        asked = [self._letter(queue, target, *each) for each in dead]
        for each, answer in zip(dead, await self._api.link.ask_all(asked), strict=True):
            try:
                read(answer, "a dead letter")
            except ApiError:
                left.append(each)
        return left

    def _letter(self, queue: NatsQueue, target: NatsQueue, stored: Stored, place: Place, death: Death) -> Request:
        message = envelope_in(place, dict(stored.headers), stored.body, None)[0].message
        envelope = Envelope(message, death=death)
        if not target.is_dead:
            ttl_s = target.settings.ttl_s
            envelope = Envelope(with_origin(message, queue.name), death=death)
            if ttl_s is not None:
                envelope = msgspec.structs.replace(envelope, expires_at=self._clock.now() + ttl_s)
        most = self._api.link.max_payload
        extra = {MESSAGE_ID: f"{queue.stream} {place.id}"}
        if len(stored.body) + len(head_of(extra | headers_of(envelope))) > most:
            envelope = msgspec.structs.replace(envelope, death=_shortened(death))
        return request_of(target, envelope, extra, most)


def with_origin(message: Message, queue: str) -> Message:
    """A dead letter on its way to a queue of another name."""
    return msgspec.structs.replace(message, attributes={**message.attributes, DEAD_FROM_ATTRIBUTE: queue})


def without_origin(message: Message) -> Message:
    """A dead letter as it was before that."""
    kept = {name: value for name, value in message.attributes.items() if name != DEAD_FROM_ATTRIBUTE}
    return msgspec.structs.replace(message, attributes=kept)


def _shortened(death: Death) -> Death:
    """A death whose failure is told in few words."""
    failure = death.failure
    short = msgspec.structs.replace(failure, message=failure.message[:_SHORT], traceback=failure.traceback[-_SHORT:])
    return msgspec.structs.replace(death, failure=short)
