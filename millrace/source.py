"""Port: a source only puts messages. And what the sources say happened, in millrace's own words.

A message that a source made carries the attribute `millrace-event` with the kind below, and the struct as its JSON
body; a message without that attribute was sent to the queue as it is. `aws/` turns these into AWS's shapes.
An `http` event for a model is the exception: the body is what was posted, since a model wants the image.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, Protocol

import msgspec

from millrace.types import Accepted, Put, RawJson

DEFAULT_ROUTE = "$default"  # the path that takes what no other takes
EVENT_ATTRIBUTE = "millrace-event"  # http, schedule, bucket, table, push, topic, bus or raw: what the body is
RAW_EVENT = "raw"  # the body is the handler's whole event as JSON, whatever its shape: `invoke --event`, `input:`
PAYLOAD_ATTRIBUTE = "millrace-payload"  # of an http event: v1 or v2, which of API Gateway's shapes the handler gets
View = Literal["new_and_old", "new", "old", "keys"]  # which images of a changed row are shown

Emit = Callable[[Sequence[Put]], Awaitable[list[Accepted]]]


class Source(Protocol):
    """Something that happens again and again and puts a message each time."""

    name: str

    async def run(self, emit: Emit) -> None:
        """Emit until cancelled; must emit with ids derived from what happened, so that a repeat is dropped."""
        ...


class HttpRequest(msgspec.Struct, frozen=True):
    """A request to a handler function; header names are lower case, repeated ones joined with a comma."""

    method: str
    path: str  # as requested
    route: str  # as configured: /pets/{id}, or DEFAULT_ROUTE
    path_parameters: dict[str, str]
    query: list[tuple[str, str]]
    headers: list[tuple[str, str]]
    body: bytes
    source_ip: str
    at: float
    key_name: str = ""  # of the API key that the path asked for


class Tick(msgspec.Struct, frozen=True):
    """A schedule came due; `at` is the time it was due, Unix seconds."""

    rule: str  # cron(...) or rate(...)
    function: str
    at: float
    path: str = ""  # of the part of the event that the function receives, $.time


class ObjectChange(msgspec.Struct, frozen=True):
    """An object was created or removed."""

    kind: Literal["created", "removed"]
    bucket: str
    key: str
    size: int
    etag: str
    at: float


class RowChange(msgspec.Struct, frozen=True):
    """A row changed; `old` and `new` are JSON objects or null, whatever `view` lets a handler see of them.

    `sort_field` is the second field of the key, empty where there is none.
    """

    kind: Literal["insert", "modify", "remove"]
    table: str
    key_field: str
    key: str
    sequence: int
    old: RawJson
    new: RawJson
    at: float
    sort_field: str = ""
    view: View = "new_and_old"


class Push(msgspec.Struct, frozen=True):
    """A Pub/Sub-style push: the message's data and attributes, and which subscription sent it."""

    subscription: str
    message_id: str
    data: bytes
    attributes: dict[str, str]
    at: float


class TopicAttribute(msgspec.Struct, frozen=True):
    """An attribute of a published message: `type` is String, Number, String.Array or Binary (`value` in base64)."""

    type: str
    value: str


class Published(msgspec.Struct, frozen=True):
    """What was published to a topic; `at` is Unix seconds.

    `json` says that `message` is a JSON object with a text for each protocol beside `default`. `group` and `dedupe`
    are a FIFO topic's.
    """

    topic: str
    message_id: str
    message: str
    at: float
    subject: str | None = None
    attributes: dict[str, TopicAttribute] = {}
    json: bool = False
    group: str = ""
    dedupe: str = ""


class BusPost(msgspec.Struct, frozen=True):
    """An event that was put on an event bus; `detail` is a JSON object, `at` Unix seconds."""

    bus: str
    id: str
    source: str
    detail_type: str
    detail: msgspec.Raw
    at: float
    resources: list[str] = []
