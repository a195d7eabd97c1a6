"""What follows on a message that nobody waits for: its destinations, as messages in the transaction that ends it.

    asynchronous call   on_success, on_failure: Lambda's envelope; dead_letter: the event itself
    change of a table   on_failure: where the changes are in their stream

A destination is a queue, a topic (whose subscribers get it), a function (called with it) or an event bus.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from millrace.aws import attributes, envelopes
from millrace.aws.arns import function_arn
from millrace.aws.environment import LATEST
from millrace.aws.invocations import EventError, event_of, invocations
from millrace.aws.subscribers import Subscribers, delivery_id
from millrace.config.aws import AsyncConfig, Destination
from millrace.source import BusPost, Published, RowChange, TopicAttribute
from millrace.types import Death, Lease, Outcome, Put
from millrace.wire import Run, Spec


class Destinations(ABC):
    """What a function's ends put elsewhere."""

    @abstractmethod
    def succeeded(self, lease: Lease, value: bytes, now: float) -> list[Put]:
        """What a result (JSON) puts beside the function's sinks."""

    @abstractmethod
    def given_up(self, dead: Sequence[Outcome], request_id: str, now: float) -> list[Put] | None:
        """What messages that died together put; None where nothing takes them and they are to be dead letters."""


class AsyncDestinations(Destinations):
    """Those of asynchronous calls, one message each."""

    def __init__(self, spec: Spec, config: AsyncConfig, subscribers: Subscribers) -> None:
        self._spec = spec
        self._config = config
        self._sender = _Sender(spec, subscribers)

    def succeeded(self, lease: Lease, value: bytes, now: float) -> list[Put]:
        if self._config.on_success is None:
            return []
        id = envelopes.request_id(lease.message.id)
        event = _event_seen(lease, self._spec, id, now)
        envelope = envelopes.succeeded(self._spec, id, event, value, attempts=lease.attempt, now=now)
        return self._sender.envelope(self._config.on_success, lease, envelope, "Success", now)

    def given_up(self, dead: Sequence[Outcome], request_id: str, now: float) -> list[Put] | None:
        if self._config.on_failure is None and self._config.dead_letter is None:
            return None
        return [put for outcome in dead for put in self._given_up(outcome.lease, _death(outcome), now)]

    def _given_up(self, lease: Lease, death: Death, now: float) -> list[Put]:
        id = envelopes.request_id(lease.message.id)
        event = _event_seen(lease, self._spec, id, now)
        puts: list[Put] = []
        if self._config.on_failure is not None:
            too_old = death.reason == "expired"
            envelope = envelopes.failed(
                self._spec,
                id,
                "EventAgeExceeded" if too_old else "RetriesExhausted",
                event,
                death.failure,
                attempts=death.attempts,
                now=now,
            )
            puts += self._sender.envelope(self._config.on_failure, lease, envelope, "Failure", now)
        if self._config.dead_letter is not None:
            carried = envelopes.dead_letter_attributes(id, death.failure)
            puts += self._sender.event(self._config.dead_letter, lease, msgspec.json.encode(event), carried, now)
        return puts


class StreamDestinations(Destinations):
    """That of a table's changes; those that are given up together are one envelope."""

    def __init__(self, spec: Spec, on_failure: Destination | None, subscribers: Subscribers) -> None:
        self._spec = spec
        self._on_failure = on_failure
        self._sender = _Sender(spec, subscribers)

    def succeeded(self, lease: Lease, value: bytes, now: float) -> list[Put]:
        return []

    def given_up(self, dead: Sequence[Outcome], request_id: str, now: float) -> list[Put] | None:
        if self._on_failure is None:
            return None
        first = dead[0]
        death = _death(first)
        envelope = envelopes.stream_failed(
            self._spec,
            request_id,
            "RecordAgeExceeded" if death.reason == "expired" else "RetryAttemptsExhausted",
            [msgspec.json.decode(outcome.lease.message.body, type=RowChange) for outcome in dead],
            death.failure,
            attempts=death.attempts,
            now=now,
        )
        return self._sender.envelope(self._on_failure, first.lease, envelope, "Failure", now)


class _Sender:
    """Knows what each kind of destination gets."""

    def __init__(self, spec: Spec, subscribers: Subscribers) -> None:
        self._arn = f"{function_arn(spec)}:{LATEST}"
        self._subscribers = subscribers

    def envelope(self, target: Destination, lease: Lease, envelope: Any, end: str, now: float) -> list[Put]:
        """An envelope of Lambda's; `end` is Success or Failure."""
        kind, name = target.target
        id, body = _id(lease, end, target), msgspec.json.encode(envelope)
        if kind == "bus":
            told = f"Lambda Function Invocation Result - {end}"
            return self._subscribers.bus_puts(BusPost(name, id, "lambda", told, msgspec.Raw(body), now, [self._arn]))
        return self._put(kind, name, id, body, {}, now)

    def event(
        self, target: Destination, lease: Lease, event: bytes, carried: Mapping[str, attributes.Attribute], now: float
    ) -> list[Put]:
        """The event itself, for a dead-letter queue or topic."""
        return self._put(*target.target, _id(lease, "dead_letter", target), event, carried, now)

    def _put(
        self, kind: str, name: str, id: str, body: bytes, carried: Mapping[str, attributes.Attribute], now: float
    ) -> list[Put]:
        if kind == "function":
            return [self._subscribers.receivers.function_put(name, body, id=id, at=now)]
        if kind == "queue":
            return [self._subscribers.receivers.queue_put(name, body, carried, id=id, at=now)]
        published = {key: TopicAttribute(each.DataType, each.StringValue or "") for key, each in carried.items()}
        return self._subscribers.topic_puts(Published(name, id, body.decode(), now, None, published))


def _event_seen(lease: Lease, spec: Spec, request_id: str, now: float) -> Any:
    """The event as the handler saw it; the body's text where no event could be made of it."""
    run = Run(0, request_id, lease.queue, [lease.message], [lease.attempt], [""])
    try:
        return event_of(next(invocations(run)), run, spec, now)[0]
    except EventError:
        return lease.message.body.decode(errors="replace")


def _id(lease: Lease, end: str, target: Destination) -> str:
    """The same for a commit that is repeated, another for a message that was redriven and ends anew."""
    life = f"{lease.message.id} {lease.first_taken_at} {lease.attempt}"
    return delivery_id(life, " ".join((end, *target.target)))


def _death(outcome: Outcome) -> Death:
    assert outcome.death is not None
    return outcome.death
