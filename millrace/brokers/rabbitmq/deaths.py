"""Why a message is a dead letter: millrace said so, RabbitMQ did (`x-death`), or nobody may take it any more."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any, Literal

import msgspec

from millrace.broker import DEAD_FROM_ATTRIBUTE, Queue, dead_letters
from millrace.brokers.envelope import Envelope
from millrace.brokers.rabbitmq.delays import is_delay
from millrace.brokers.rabbitmq.properties import Received
from millrace.types import Death, Failure

Reason = Literal["failed", "dead", "expired", "lost"]
# RabbitMQ's reasons; `rejected` is what a program said that took the message.
_REASONS: dict[str, tuple[Reason, Failure]] = {
    "expired": ("expired", Failure("Expired", "not processed within its time to live")),
    "delivery_limit": ("lost", Failure("LeaseLost", "delivered as often as the broker allows, and never settled")),
    "rejected": ("dead", Failure("Rejected", "another program rejected it")),
    "maxlen": ("dead", Failure("QueueFull", "the broker made room for another message")),
}


def past_saving(found: Received, queue: Queue, attempts: int, given: int, now: float) -> Death | None:
    """The death of a message that may not be taken any more; None while it may."""
    envelope = found.envelope
    if envelope.expires_at <= now:
        reason, failure = _REASONS["expired"]
    elif queue.max_receives is None or attempts < queue.max_receives:
        return None
    elif found.deliveries + given:
        reason, failure = "lost", Failure("LeaseLost", f"{attempts} deliveries, the last one's lease ran out")
    else:
        reason, failure = "failed", Failure("Failed", f"{attempts} deliveries, none succeeded")
    return Death(reason, failure, queue.name, attempts, envelope.first_failed_at or now, now)


def death_of(found: Received, queue: str, prefix: str) -> Death | None:
    """Why a message is in this queue of dead letters: RabbitMQ's word where it is about the queue's own messages.

    A dead letter that was put into another queue, and died there again, has both.
    """
    told, by_broker = found.envelope.death, native(found, prefix)
    if told is None or (by_broker is not None and dead_letters(by_broker.queue) == queue != dead_letters(told.queue)):
        return by_broker
    return told


def native(found: Received, prefix: str) -> Death | None:
    """The death of a message that RabbitMQ has moved into the dead-letter queue; None where it did not."""
    for each in found.deaths:
        queue, reason = each.get("queue"), each.get("reason")
        if isinstance(queue, str) and isinstance(reason, str) and reason in _REASONS and not is_delay(prefix, queue):
            died_at = _seconds(each.get("time"))
            verdict, failure = _REASONS[reason]
            first = found.envelope.first_failed_at or died_at
            return Death(verdict, failure, queue.removeprefix(prefix), found.envelope.attempts, first, died_at)
    return None


def letter(envelope: Envelope, death: Death, origin: str | None, expires_at: float = math.inf) -> Envelope:
    """A dead letter as it is put: with `origin` into another queue, as a message there; else among its own dead."""
    if origin is None:
        return msgspec.structs.replace(envelope, death=death, attempts=death.attempts, expires_at=math.inf)
    attributes = {**envelope.message.attributes, DEAD_FROM_ATTRIBUTE: origin}
    message = msgspec.structs.replace(envelope.message, attributes=attributes)
    return Envelope(message, expires_at=expires_at, death=death)


def redriven(envelope: Envelope, expires_at: float) -> Envelope:
    """A message as it was before it was taken, failed or died."""
    message = envelope.message
    if DEAD_FROM_ATTRIBUTE in message.attributes:
        kept = {name: value for name, value in message.attributes.items() if name != DEAD_FROM_ATTRIBUTE}
        message = msgspec.structs.replace(message, attributes=kept)
    return Envelope(message, expires_at=expires_at)


def _seconds(value: Any) -> float:
    return value.timestamp() if isinstance(value, datetime) else 0.0
