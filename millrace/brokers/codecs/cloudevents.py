"""Bodies that are CloudEvents 1.0: whole events in JSON (structured), or data with attributes beside it (binary).

Source: the specification's core, its JSON event format and its protocol bindings. Each binding has a prefix of its own
for attributes beside the data: `ce-` (HTTP, NATS), `ce_` (Kafka), `cloudEvents:` and `cloudEvents_` (AMQP). All are
read; `ce-` is written unless the codec was given another.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from millrace.brokers.codecs.codec import CONTENT_TYPE, UNFIT, Codec, carrying
from millrace.types import JSON, Message

STRUCTURED = "application/cloudevents+json"
SEEN = "ce-"  # how functions see an event's attributes, whatever the binding
PREFIXES = (SEEN, "ce_", "cloudEvents:", "cloudEvents_")
_REQUIRED = ("id", "source", "type", "specversion")
_VERSION = "1.0"
_BYTES = "application/octet-stream"

Mode = Literal["structured", "binary"]


class CloudEvents(Codec):
    """Events; `source` and `type` are for messages that do not bring attributes `ce-source` and `ce-type`."""

    name = "cloudevents"

    def __init__(self, mode: Mode, *, source: str = "/millrace", type: str = "millrace.message", prefix: str = SEEN):
        self._mode = mode
        self._defaults = {"source": source, "type": type}
        self._prefix = prefix

    def encode(self, message: Message) -> Message:
        context, rest = self._context(message)
        if self._mode == "structured":
            event = {**context, **_data(message)}
            return msgspec.structs.replace(
                message, body=msgspec.json.encode(event), attributes={**rest, CONTENT_TYPE: STRUCTURED}
            )
        beside = {self._prefix + name: value for name, value in context.items() if name != "datacontenttype"}
        return msgspec.structs.replace(message, attributes={**message.attributes, **rest, **beside})

    def decode(self, message: Message) -> Message:
        if message.content_type == STRUCTURED or self._mode == "structured":
            return _from_structured(message)
        return _from_binary(message)

    def _context(self, message: Message) -> tuple[dict[str, str], dict[str, str]]:
        """The event's attributes, and those of the message that are none of the event."""
        given, rest = _split(message.attributes)
        context = {**self._defaults, "id": message.id, "specversion": _VERSION, **given}
        if message.sent_at and "time" not in context:
            context["time"] = datetime.fromtimestamp(message.sent_at, UTC).isoformat().replace("+00:00", "Z")
        if (content_type := message.attributes.get(CONTENT_TYPE)) is not None:
            context["datacontenttype"] = content_type
        return context, rest


def _split(attributes: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """An event's attributes by their bare names, and the rest."""
    event, rest = {}, {}
    for name, value in attributes.items():
        prefix = next((prefix for prefix in PREFIXES if name.startswith(prefix) and name != prefix), None)
        if prefix is None:
            rest[name] = value
        else:
            event[name.removeprefix(prefix)] = value
    return event, rest


def _data(message: Message) -> dict[str, Any]:
    """The member that carries the body: JSON as it is, text as text, everything else as base64."""
    if not message.body:
        return {}
    try:
        if message.content_type == JSON:
            msgspec.json.decode(message.body)  # Raw would pass on what no reader takes
            return {"data": msgspec.Raw(message.body)}
        if message.content_type.startswith("text/"):
            return {"data": message.body.decode()}
    except UNFIT as error:
        kind = message.content_type
        raise ValueError(f"its content-type says {kind}, got {message.body[:40]!r}: {error}") from error
    return {"data_base64": b64encode(message.body).decode()}


def _from_structured(message: Message) -> Message:
    try:
        event = msgspec.json.decode(message.body, type=dict[str, Any])
        # An attribute that is null is one that is not there (JSON event format, 2.2).
        told = {name: value for name, value in event.items() if value is not None}
        context = {name: _plain(value) for name, value in told.items() if name not in ("data", "data_base64")}
        _check(context)
        body = _body(event, context)
    except UNFIT as error:
        raise ValueError(f"expected a CloudEvent in JSON, got {message.body[:40]!r}: {error}") from error
    content_type = context.pop("datacontenttype", JSON if "data" in event else _BYTES)
    return carrying(message, body, content_type, **{SEEN + name: value for name, value in context.items()})


def _body(event: Mapping[str, Any], context: Mapping[str, str]) -> bytes:
    if (coded := event.get("data_base64")) is not None:
        return b64decode(coded, validate=True)
    if "data" not in event:
        return b""
    data = event["data"]
    is_json = context.get("datacontenttype", JSON).partition(";")[0].strip().lower().endswith("json")
    return data.encode() if isinstance(data, str) and not is_json else msgspec.json.encode(data)


def _from_binary(message: Message) -> Message:
    context, rest = _split(message.attributes)
    _check(context)
    seen = {SEEN + name: value for name, value in context.items()}
    return msgspec.structs.replace(message, attributes={**rest, **seen})


def _plain(value: Any) -> str:
    """An attribute as text: the type system's Boolean, Integer and String."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | str):
        return str(value)
    raise ValueError(f"an attribute is {value!r}, expected a string, a number or a boolean")


def _check(context: Mapping[str, str]) -> None:
    if missing := [name for name in _REQUIRED if not context.get(name)]:
        raise ValueError(f"a CloudEvent needs {', '.join(missing)}")
    if context["specversion"] != _VERSION:
        raise ValueError(f"specversion is {context['specversion']!r}, expected {_VERSION}")
