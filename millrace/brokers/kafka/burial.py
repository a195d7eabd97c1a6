"""Dead letters: a copy with its death in another topic, before the message itself is settled."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from millrace.broker import DEAD_FROM_ATTRIBUTE, dead_letters
from millrace.brokers.envelope import Envelope
from millrace.brokers.kafka.letters import Record
from millrace.brokers.kafka.names import Names
from millrace.brokers.kafka.publisher import Publisher
from millrace.brokers.kafka.registry import Known, Registry
from millrace.clock import Clock
from millrace.errors import UnknownQueue
from millrace.types import Death, Message

_SHORT = 500  # characters of a failure's text


class Burial:
    """Buries messages where their queue's dead letters go, and where that is gone, in its own."""

    def __init__(self, registry: Registry, publisher: Publisher, names: Names, clock: Clock) -> None:
        self._registry = registry
        self._publisher = publisher
        self._names = names
        self._clock = clock

    async def bury(self, known: Known, dead: Sequence[tuple[Envelope, Death]]) -> None:
        """Return when they are durable."""
        target = await self._target(known)
        topic = self._names.topics(target.name)[0]
        await self._publisher.put([Record(topic, self._letter(known, target, *each)) for each in dead])

    async def _target(self, known: Known) -> Known:
        if known.settings.dead_to is not None:
            try:
                return await self._registry.named(known.settings.dead_to)
            except UnknownQueue:
                pass
        return await self._registry.named(dead_letters(known.name))

    def _letter(self, known: Known, target: Known, envelope: Envelope, death: Death) -> Envelope:
        failure = death.failure
        short = msgspec.structs.replace(
            failure, message=failure.message[:_SHORT], traceback=failure.traceback[-_SHORT:]
        )
        death = msgspec.structs.replace(death, failure=short)
        if target.is_dead:
            return Envelope(envelope.message, death=death)
        ttl_s = target.settings.ttl_s
        expires_at = math.inf if ttl_s is None else self._clock.now() + ttl_s
        return Envelope(with_origin(envelope.message, known.name), death=death, expires_at=expires_at)


def with_origin(message: Message, queue: str) -> Message:
    """A dead letter on its way to a queue of another name."""
    return msgspec.structs.replace(message, attributes={**message.attributes, DEAD_FROM_ATTRIBUTE: queue})


def without_origin(message: Message) -> Message:
    """A dead letter as it was before that."""
    kept = {name: value for name, value in message.attributes.items() if name != DEAD_FROM_ATTRIBUTE}
    return msgspec.structs.replace(message, attributes=kept)
