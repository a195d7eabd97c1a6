"""A message's properties, between their bytes and an Envelope.

The id is `message-id` and the content type `content-type`, as other programs on RabbitMQ have them; what else
millrace adds are headers (brokers/envelope.py). Numbers and truth values that others put into headers are read as
text, and so are dates; tables and lists are left out, and stay where they were until the message is written anew.
What a message says to other programs in the properties beside (`correlation_id`, `reply_to`, ...) is kept when it is
written anew, all but `user_id`: RabbitMQ takes that from its own user alone.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import msgspec
from pika.exceptions import AMQPError
from pika.spec import PERSISTENT_DELIVERY_MODE, BasicProperties

from millrace.brokers.envelope import ID, SENT_AT, Envelope, envelope_of, headers_of
from millrace.brokers.limits import is_moment
from millrace.ids import new_id
from millrace.types import Message

DELIVERIES = "x-delivery-count"  # of a quorum queue: how often it was given to somebody before
DEATHS = "x-death"
_KEPT = ("content_encoding", "priority", "correlation_id", "reply_to", "timestamp", "type", "app_id")
_OF_DEATHS = ("x-first-death-", "x-last-death-")
_CONTENT_TYPE = "content-type"
_SHORT = 255  # bytes
_HEADERS_AND_MODE = BasicProperties.FLAG_HEADERS | BasicProperties.FLAG_DELIVERY_MODE
_PLAIN_FLAGS = (_HEADERS_AND_MODE | BasicProperties.FLAG_MESSAGE_ID).to_bytes(2, "big")
_TYPED_FLAGS = (_HEADERS_AND_MODE | BasicProperties.FLAG_MESSAGE_ID | BasicProperties.FLAG_CONTENT_TYPE).to_bytes(
    2, "big"
)
_PLAIN_HEADER = bytes([len(SENT_AT)]) + SENT_AT.encode() + b"S"
_LONG_STRING = ord("S")
_U32 = struct.Struct(">I")
_U64 = struct.Struct(">q")
_I32 = struct.Struct(">i")
_number = msgspec.json.Decoder(float).decode  # a fifth of what float() takes for so many digits
_INTEGERS = {ord("l"): _U64, ord("L"): _U64, ord("I"): _I32, ord("i"): _U32}


Kept = Mapping[str, Any]
NOTHING: Kept = MappingProxyType({})


class Received(msgspec.Struct, gc=False):
    """A message as it came, how often it was delivered before by the broker's count, and where it died natively.

    `kept` are properties that mean nothing here, by pika's names.
    """

    envelope: Envelope
    deliveries: int
    deaths: list[dict[str, Any]]
    kept: Kept = NOTHING


def written(envelope: Envelope, ttl_ms: int | None = None, kept: Kept = NOTHING) -> bytes:
    """The properties of a durable message; it dies natively after ttl_ms."""
    headers = headers_of(envelope)
    if kept:
        return _written_by_pika(headers, ttl_ms, kept)
    flags = _HEADERS_AND_MODE
    before = after = b""
    if content_type := _popped(headers, _CONTENT_TYPE):
        flags |= BasicProperties.FLAG_CONTENT_TYPE
        before = _short(content_type)
    if ttl_ms is not None:
        flags |= BasicProperties.FLAG_EXPIRATION
        after = _short(str(ttl_ms))
    if id := _popped(headers, ID):
        flags |= BasicProperties.FLAG_MESSAGE_ID
        after += _short(id)
    return b"".join((flags.to_bytes(2, "big"), before, _table(headers), b"\x02", after))


def _written_by_pika(headers: dict[str, str], ttl_ms: int | None, kept: Kept) -> bytes:
    properties = BasicProperties(
        content_type=_popped(headers, _CONTENT_TYPE),
        message_id=_popped(headers, ID),
        headers=headers,
        delivery_mode=PERSISTENT_DELIVERY_MODE,
        expiration=None if ttl_ms is None else str(ttl_ms),
        **kept,
    )
    return b"".join(properties.encode())


def _popped(headers: dict[str, str], name: str) -> str | None:
    """A header that fits into a property of its own; else it stays a header."""
    value = headers.get(name, "")
    if not 0 < len(value) <= _SHORT:
        return None
    del headers[name]
    return value


def received(properties: bytes, body: bytes, *, redelivered: bool, now: float) -> Received:
    """Read a message's properties. A strange one must not stop a queue: what cannot be read is left out."""
    if not redelivered and (envelope := _plain(properties, body)) is not None:
        return Received(envelope, 0, [])
    kept = NOTHING
    try:
        found = _quick(properties)
        if found is None:
            found, kept = _thorough(properties)
    except (struct.error, ValueError, IndexError, KeyError, AMQPError, UnicodeDecodeError):
        found = {}
    id = found.pop("message_id", None)
    sent_at = found.pop("timestamp", None) or now
    deliveries = found.pop(DELIVERIES, None)
    deaths = found.pop(DEATHS, None)
    headers = found if not deaths and all(type(value) is str for value in found.values()) else _texts(found)
    if id is not None:
        headers.setdefault(ID, id)
    envelope = envelope_of(headers, body, id=headers.get(ID) or new_id(), sent_at=float(sent_at))
    return Received(
        envelope,
        deliveries if isinstance(deliveries, int) else int(redelivered),
        [each for each in deaths if isinstance(each, dict)] if isinstance(deaths, list) else [],
        kept,
    )


def _short(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()


def _table(headers: Mapping[str, str]) -> bytes:
    pieces = []
    for name, value in headers.items():
        text = value.encode()
        pieces += [_named(name), _U32.pack(len(text)), text]
    table = b"".join(pieces)
    return _U32.pack(len(table)) + table


@lru_cache(maxsize=1024)
def _named(name: str) -> bytes:
    """A header's name, and that a long string follows."""
    return _short(name) + b"S"


def _plain(properties: bytes, body: bytes) -> Envelope | None:
    """A message of millrace's own on its first way, without attributes beside `content-type`; None for any other.

    By far the most are: flags, content type, the table's size and its one header, delivery mode, id.
    """
    typed = properties[:2] == _TYPED_FLAGS
    if (shape := _shape(properties[: 29 + int.from_bytes(properties[2:3], "big") if typed else 28])) is None:
        return None
    start, end, content_type = shape
    try:
        sent_at, id = _number(properties[start:end]), properties[end + 2 :].decode()
    except ValueError:
        return None
    if not id or id[0] == '"' or not is_moment(sent_at):
        return None
    return Envelope(Message(id, body, {_CONTENT_TYPE: content_type} if typed else {}, sent_at))


@lru_cache(maxsize=1024)
def _shape(before: bytes) -> tuple[int, int, str] | None:
    """Where a plain message's only header is, and its content type, by all that stands before the header's text."""
    at = 2 if before[:2] == _PLAIN_FLAGS else 3 + int.from_bytes(before[2:3], "big")
    if before[:2] not in (_PLAIN_FLAGS, _TYPED_FLAGS) or before[at + 4 : at + 22] != _PLAIN_HEADER:
        return None
    size = int.from_bytes(before[at + 22 :], "big")
    if int.from_bytes(before[at : at + 4], "big") != 22 + size:
        return None
    try:
        return len(before), len(before) + size, before[3:at].decode()
    except ValueError:
        return None


def _quick(properties: bytes) -> dict[str, Any] | None:
    """The properties that millrace writes, into one dictionary; None where there are others."""
    flags = int.from_bytes(properties[:2], "big")
    if flags & 0b0100_1110_0111_1111:
        return None
    found: dict[str, Any] = {}
    at = 2
    if flags & BasicProperties.FLAG_CONTENT_TYPE:
        end = at + 1 + properties[at]
        found[_CONTENT_TYPE] = properties[at + 1 : end].decode()
        at = end
    if flags & BasicProperties.FLAG_HEADERS:
        end = at + 4 + _U32.unpack_from(properties, at)[0]
        at += 4
        while at < end:
            start = at + 1 + properties[at]
            name = properties[at + 1 : start].decode()
            kind = properties[start]
            if kind == _LONG_STRING:
                at = start + 5 + _U32.unpack_from(properties, start + 1)[0]
                found[name] = properties[start + 5 : at].decode()
            elif kind in _INTEGERS:
                found[name] = _INTEGERS[kind].unpack_from(properties, start + 1)[0]
                at = start + 1 + _INTEGERS[kind].size
            else:
                return None
    at += bool(flags & BasicProperties.FLAG_DELIVERY_MODE)
    for flag, name in ((BasicProperties.FLAG_EXPIRATION, ""), (BasicProperties.FLAG_MESSAGE_ID, "message_id")):
        if flags & flag:
            end = at + 1 + properties[at]
            if name:
                found[name] = properties[at + 1 : end].decode()
            at = end
    return found


def _thorough(properties: bytes) -> tuple[dict[str, Any], Kept]:
    """Any properties, read by pika, and those that are only kept."""
    read = BasicProperties()
    read.decode(properties)
    found = dict(read.headers or {})
    for name, value in (("content_type", _CONTENT_TYPE), ("message_id", "message_id"), ("timestamp", "timestamp")):
        if (given := getattr(read, name)) is not None:
            found[value] = given
    return found, {name: value for name in _KEPT if (value := getattr(read, name)) is not None}


def _texts(found: Mapping[Any, Any]) -> dict[str, str]:
    """Headers as text, less those that are no single value."""
    return {name: _text(value) for name, value in found.items() if _is_said(name) and _is_plain(value)}


def _is_said(name: object) -> bool:
    """Whether a header was put there by a sender, and not by RabbitMQ when the message died."""
    return isinstance(name, str) and not name.startswith(_OF_DEATHS)


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int | float | datetime)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, datetime) else str(value)
