"""Pub/Sub-style push: the JSON that a subscription posts, read into the message that a function's queue gets."""

from __future__ import annotations

from datetime import datetime
from hashlib import blake2b

import msgspec

from millrace.source import EVENT_ATTRIBUTE, Push
from millrace.types import JSON, Message


class _Pushed(msgspec.Struct, rename="camel"):
    """The `message` of a push; `data` is base64 on the wire, `publish_time` RFC 3339."""

    message_id: str
    data: bytes = b""
    attributes: dict[str, str] | None = None
    publish_time: str = ""
    ordering_key: str = ""


class _Envelope(msgspec.Struct):
    message: _Pushed
    subscription: str = ""


_decode = msgspec.json.Decoder(_Envelope).decode


def read_push(content: bytes, queue: str, now: float) -> Message:
    """The message of one push request: a Push as its JSON body, an id that a second delivery has as well.

    `now` (Unix seconds) stands in for a missing publishTime. Raises ValueError that says what is wrong and where.
    """
    try:
        envelope = _decode(content)
    except RecursionError:
        raise ValueError("The JSON is nested too deeply") from None
    pushed = envelope.message
    if not pushed.message_id:
        raise ValueError("Expected a `messageId` that is not empty - at `$.message.messageId`")
    push = Push(
        subscription=envelope.subscription,
        message_id=pushed.message_id,
        data=pushed.data,
        attributes=pushed.attributes or {},
        at=_moment(pushed.publish_time, now),
    )
    return Message(
        id=_push_id(queue, envelope.subscription, pushed.message_id),
        body=msgspec.json.encode(push),
        attributes={"content-type": JSON, EVENT_ATTRIBUTE: "push"},
        sent_at=now,
        group=pushed.ordering_key,
    )


def _push_id(queue: str, subscription: str, message_id: str) -> str:
    # Message ids are unique within a subscription's topic only, and senders choose them: hash, do not trust.
    told = msgspec.json.encode([queue, subscription, message_id])
    return blake2b(told, digest_size=16, person=b"millrace-push").hexdigest()


def _moment(text: str, now: float) -> float:
    if not text:
        return now
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        raise ValueError(f"Expected an RFC 3339 time, got {text[:60]!r} - at `$.message.publishTime`") from None
