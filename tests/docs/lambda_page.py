"""What docs/lambda.md shows, built by the code that it describes: one event for each heading."""

from __future__ import annotations

from typing import Any

import msgspec

from millrace.aws.invocations import event_of, invocations
from millrace.source import EVENT_ATTRIBUTE, BusPost, HttpRequest, ObjectChange, Published, Push, RowChange, Tick
from millrace.types import Message
from millrace.wire import Run, Spec

AT = 1_767_225_600.25  # 2026-01-01T00:00:00.250Z
SPEC = Spec(
    function="resize",
    kind="handler",
    target="app.main",
    root=".",
    timeout_s=30.0,
    memory_bytes=0,
    threads=1,
    service="pets",
    stage="dev",
)


def _event(message: Message) -> Any:
    run = Run(1, "req-1", "images", [message], [1], ["receipt-1"])
    (call,) = invocations(run)
    return event_of(call, run, SPEC, AT + 1)[0]


def _source(kind: str, happened: Any) -> Any:
    return _event(Message("m-1", msgspec.json.encode(happened), {EVENT_ATTRIBUTE: kind}, AT))


REQUEST = HttpRequest(
    method="POST",
    path="/pets/7",
    route="/pets/{id}",
    path_parameters={"id": "7"},
    query=[("size", "small"), ("size", "tall")],
    headers=[("host", "localhost:8400"), ("content-type", "application/json"), ("cookie", "a=1; b=2")],
    body=b'{"name": "Rex"}',
    source_ip="127.0.0.1",
    at=AT,
)
PUBLISHED = Published("pets", "95df01b4-ee98-5cb9-9903-4c221d41eb5e", "Rex is clean", AT, "a subject")
POST = BusPost("default", "6a7e8feb-b491-4cf7-a9f1-bf3703467718", "app.pets", "PetWashed", msgspec.Raw(b'{"id":7}'), AT)
ROW = msgspec.Raw(b'{"id":"7","label":"cat","score":0.98}')

EXAMPLES = {
    "queue": _event(Message("m-1", b'{"pet": 7}', {"colour": "red"}, AT)),
    "http": _source("http", REQUEST),
    "schedule": _source("schedule", Tick("rate(5 minutes)", "resize", AT)),
    "bucket": _source("bucket", ObjectChange("created", "lake", "incoming/red flower.jpg", 1024, "d41d8cd9", AT)),
    "table": _source("table", RowChange("insert", "predictions", "id", "7", 41, None, ROW, AT)),
    "topic": _source("topic", PUBLISHED),
    "bus": _source("bus", POST),
    "push": _source("push", Push("projects/p/subscriptions/mail", "2070443601311540", b"hello", {"from": "ann"}, AT)),
}
