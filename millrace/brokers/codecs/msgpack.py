"""Bodies that are MessagePack: JSON for functions where it has that form, bytes where it is a bin."""

from __future__ import annotations

from typing import Any

import msgspec

from millrace.brokers.codecs.codec import Codec, carrying
from millrace.types import JSON, Message

MSGPACK = "application/vnd.msgpack"
_BYTES = "application/octet-stream"


class MessagePack(Codec):
    """JSON travels as the same value, everything else as a bin; a bin within a value becomes base64 in JSON."""

    name = "msgpack"

    def encode(self, message: Message) -> Message:
        return carrying(message, msgspec.msgpack.encode(_value(message)), MSGPACK)

    def decode(self, message: Message) -> Message:
        try:
            value = msgspec.msgpack.decode(message.body)
            if isinstance(value, bytes):
                return carrying(message, value, _BYTES)
            return carrying(message, msgspec.json.encode(value), JSON)
        except (ValueError, TypeError, RecursionError) as error:
            raise ValueError(
                f"expected MessagePack that JSON has a form for, got {message.body[:40]!r}: {error}"
            ) from error


def _value(message: Message) -> Any:
    if message.content_type != JSON:
        return message.body
    try:
        return msgspec.json.decode(message.body)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its content-type says JSON, got {message.body[:40]!r}: {error}") from error
