"""Bodies that are MessagePack: JSON for functions where it has that form, bytes where it is a bin."""

from __future__ import annotations

from typing import Any

import msgspec

from millrace.brokers.codecs.codec import UNFIT, Codec, carrying
from millrace.types import JSON, Message

MSGPACK = "application/vnd.msgpack"
_BYTES = "application/octet-stream"


class MessagePack(Codec):
    """JSON travels as the same value, everything else as a bin; a bin within a value becomes base64 in JSON."""

    name = "msgpack"

    def encode(self, message: Message) -> Message:
        try:
            return carrying(message, msgspec.msgpack.encode(_value(message)), MSGPACK)
        except UNFIT as error:
            kind = "JSON" if message.content_type == JSON else message.content_type
            raise ValueError(f"its content-type says {kind}, got {message.body[:40]!r}: {error}") from error

    def decode(self, message: Message) -> Message:
        try:
            value = msgspec.msgpack.decode(message.body)
            if isinstance(value, bytes):
                return carrying(message, value, _BYTES)
            return carrying(message, msgspec.json.encode(value), JSON)
        except UNFIT as error:
            raise ValueError(
                f"expected MessagePack that JSON has a form for, got {message.body[:40]!r}: {error}"
            ) from error


def _value(message: Message) -> Any:
    return msgspec.json.decode(message.body) if message.content_type == JSON else message.body
