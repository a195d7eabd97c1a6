"""What one Run means to a handler: which messages are one invocation, and the event of each.

Plain messages that follow each other are one SQS event; changes of a table that follow each other are one DynamoDB
event; a request, a tick, an object's change, a push, a notification, an event of a bus and a raw event are one
invocation each, as on AWS.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, TypeVar

import msgspec

from millrace.aws.events import apigateway, dynamodb, eventbridge, pubsub, s3, sns, sqs
from millrace.source import (
    EVENT_ATTRIBUTE,
    PAYLOAD_ATTRIBUTE,
    RAW_EVENT,
    BusPost,
    HttpRequest,
    ObjectChange,
    Published,
    Push,
    RowChange,
    Tick,
)
from millrace.types import Message
from millrace.wire import Run, Spec

_T = TypeVar("_T")
Shape = Literal["queue", "stream", "single"]
_SHAPES: dict[str, Shape] = {"": "queue", "table": "stream"}


class EventError(ValueError):
    """A message says that it is an event, but its body is none of that kind."""


class Invocation(msgspec.Struct, frozen=True):
    """One call of the handler: the messages of these places in the Run, as one event of this shape."""

    shape: Shape
    places: range
    request_id: str


def invocations(run: Run) -> Iterator[Invocation]:
    """The calls that a Run becomes, in order; the first has the Run's request id, the others one derived from it."""
    shapes = [_SHAPES.get(message.attributes.get(EVENT_ATTRIBUTE, ""), "single") for message in run.messages]
    number = start = 0
    while start < len(shapes):
        shape, end = shapes[start], start + 1
        while shape != "single" and end < len(shapes) and shapes[end] == shape:
            end += 1
        yield Invocation(shape, range(start, end), f"{run.request_id}-{number}" if number else run.request_id)
        number, start = number + 1, end


def event_of(invocation: Invocation, run: Run, spec: Spec, now: float) -> tuple[Any, list[str]]:
    """The event, and the ids by which a partial batch response names its records (none for a single event).

    Raises EventError when a message is not what its `millrace-event` attribute says.
    """
    part = slice(invocation.places.start, invocation.places.stop)
    messages = run.messages[part]
    if invocation.shape == "queue":
        event = sqs.event(
            messages,
            run.attempts[part],
            run.receipts[part],
            queue=run.queue,
            spec=spec,
            now=now,
            first_taken=run.first_taken[part],
            sequences=run.sequences[part],
        )
        return event, [message.id for message in messages]
    if invocation.shape == "stream":
        changes = [_read(message, RowChange) for message in messages]
        event = dynamodb.event(changes, [message.id for message in messages], spec)
        return event, [dynamodb.sequence_number(change) for change in changes]
    return single_event(messages[0], spec, invocation.request_id), []


def single_event(message: Message, spec: Spec, request_id: str) -> Any:
    """The event of a message that is an invocation of its own. Raises EventError when it is not what it says."""
    kind = message.attributes[EVENT_ATTRIBUTE]
    if kind == RAW_EVENT:
        return _read(message, Any)
    if kind == "http":
        payload = message.attributes.get(PAYLOAD_ATTRIBUTE, "v2")
        return apigateway.event(payload, _read(message, HttpRequest), spec, request_id)
    if kind == "schedule":
        return eventbridge.event(_read(message, Tick), message.id, spec)
    if kind == "bucket":
        return s3.event(_read(message, ObjectChange), message.id, spec)
    if kind == "push":
        return pubsub.event(_read(message, Push))
    if kind == "topic":
        return sns.event(_read(message, Published), spec)
    if kind == "bus":
        return eventbridge.bus_event(_read(message, BusPost), spec)
    known = "http, schedule, bucket, table, push, topic, bus or raw"
    raise EventError(f"expected {EVENT_ATTRIBUTE} to be {known}, got {kind!r:.100}")


def _read(message: Message, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(message.body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        said = message.attributes[EVENT_ATTRIBUTE]
        raise EventError(f"the body of message {message.id} is no {said} event: {error}") from None
