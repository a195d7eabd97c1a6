"""A sample event of each source, made by the very code that makes the real ones.

    what happened, made up (a Message as a source would put it) → invocations.event_of → the event

For `millrace event`, and for tests of handlers (millrace.testing.events).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from millrace.aws.invocations import event_of, invocations
from millrace.source import (
    EVENT_ATTRIBUTE,
    PAYLOAD_ATTRIBUTE,
    BusPost,
    HttpRequest,
    ObjectChange,
    Published,
    Push,
    RowChange,
    Tick,
)
from millrace.types import JSON, Message
from millrace.wire import Run, Spec

_HEADERS = [
    ("host", "localhost:8400"),
    ("user-agent", "millrace"),
    ("accept", "*/*"),
]


class Sample(msgspec.Struct, frozen=True):
    """What a sample shall hold: `body` is the payload, `name` the queue, table, bucket, topic, bus or path.

    `at` is Unix seconds; `attributes` are a message's or a publication's.
    """

    body: str = ""
    name: str = ""
    at: float = 1_767_225_600.25
    method: str = "POST"
    key: str = "incoming/cat.jpg"
    attributes: Mapping[str, str] = {}
    region: str = "us-east-1"
    account: str = "000000000000"
    function: str = "function"


def sample(source: str, given: Sample) -> Any:
    """The event of a source of SOURCES. Raises KeyError for another, ValueError for a body that it cannot have."""
    message = SOURCES[source](given)
    spec = Spec(
        given.function, "handler", "app.main", "/var/task", 3.0, 0, 1, "sample", "dev", given.region, given.account
    )
    run = Run(
        batch=1,
        request_id=_uuid(given, "request"),
        queue=given.name or "sample-queue",
        messages=[message],
        attempts=[1],
        receipts=["MessageReceiptHandle"],
        first_taken=[given.at + 0.001],
        sequences=[1],
    )
    (call,) = invocations(run)
    return event_of(call, run, spec, given.at)[0]


def _queue(given: Sample) -> Message:
    return Message(
        _uuid(given, "message"), (given.body or "Hello from millrace!").encode(), dict(given.attributes), given.at
    )


def _fifo(given: Sample) -> Message:
    plain = _queue(given)
    return msgspec.structs.replace(plain, group="group-1")


def _http(given: Sample, payload: str) -> Message:
    body = given.body.encode()
    kind = [("content-type", JSON if _is_json(given.body) else "text/plain")] if body else []
    path = given.name or "/pets/7"
    request = HttpRequest(
        method=given.method,
        path=path,
        route="/pets/{id}" if path == "/pets/7" else path,
        path_parameters={"id": "7"} if path == "/pets/7" else {},
        query=[("colour", "red"), ("colour", "blue")],
        headers=[*_HEADERS, *kind],
        body=body,
        source_ip="127.0.0.1",
        at=given.at,
    )
    message = _event("http", request, given)
    return msgspec.structs.replace(message, attributes=message.attributes | {PAYLOAD_ATTRIBUTE: payload})


def _schedule(given: Sample) -> Message:
    return _event("schedule", Tick(given.name or "rate(5 minutes)", given.function, given.at), given)


def _object(given: Sample, kind: str) -> Message:
    size = len(given.body.encode()) or 1024
    change = ObjectChange(kind, given.name or "sample-bucket", given.key, size, "0" * 32, given.at)  # type: ignore[arg-type]
    return _event("bucket", change, given)


def _row(given: Sample) -> Message:
    new = given.body or '{"id":"101","message":"New item!"}'
    row = _json(new, "a row as a JSON object")
    key = str(row.get("id", next(iter(row.values()), "")))
    field = "id" if "id" in row else next(iter(row), "id")
    change = RowChange(
        kind="insert",
        table=given.name or "sample-table",
        key_field=field,
        key=key,
        sequence=1,
        old=msgspec.Raw(b"null"),
        new=msgspec.Raw(new.encode()),
        at=given.at,
    )
    return _event("table", change, given)


def _topic(given: Sample) -> Message:
    published = Published(
        given.name or "sample-topic",
        _uuid(given, "publication"),
        given.body or "example message",
        given.at,
        "example subject",
    )
    return _event("topic", published, given)


def _bus(given: Sample) -> Message:
    detail = given.body or '{"state":"ready"}'
    _json(detail, "the event's detail as a JSON object")
    post = BusPost(
        given.name or "default",
        _uuid(given, "event"),
        "app.sample",
        "Sample Event",
        msgspec.Raw(detail.encode()),
        given.at,
    )
    return _event("bus", post, given)


def _push(given: Sample) -> Message:
    name = given.name or "projects/sample/subscriptions/sample"
    push = Push(name, "1", (given.body or "Hello").encode(), dict(given.attributes), given.at)
    return _event("push", push, given)


SOURCES: dict[str, Callable[[Sample], Message]] = {
    "queue": _queue,
    "fifo": _fifo,
    "http": lambda given: _http(given, "v2"),
    "rest": lambda given: _http(given, "v1"),
    "schedule": _schedule,
    "created": lambda given: _object(given, "created"),
    "removed": lambda given: _object(given, "removed"),
    "table": _row,
    "topic": _topic,
    "bus": _bus,
    "push": _push,
}
# AWS's words for them.
ALIASES = {
    "sqs": "queue",
    "httpapi": "http",
    "apigateway": "rest",
    "eventbridge-schedule": "schedule",
    "s3": "created",
    "s3-put": "created",
    "s3-delete": "removed",
    "dynamodb": "table",
    "sns": "topic",
    "eventbridge": "bus",
    "pubsub": "push",
}


def _event(kind: str, happened: msgspec.Struct, given: Sample) -> Message:
    attributes = {"content-type": JSON, EVENT_ATTRIBUTE: kind}
    return Message(_uuid(given, kind), msgspec.json.encode(happened), attributes, given.at)


def _json(text: str, expected: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise ValueError(f"expected {expected}: {error}") from None


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return False
    return True


def _uuid(given: Sample, what: str) -> str:
    """The same for the same sample, so that what is printed can be compared."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{what} {given.name} {given.body}"))
