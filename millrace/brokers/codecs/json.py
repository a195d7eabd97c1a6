"""Bodies that are JSON, whoever puts them (RFC 8259)."""

from __future__ import annotations

import msgspec

from millrace.brokers.codecs.codec import UNFIT, Codec, carrying
from millrace.types import JSON, Message


class Json(Codec):
    """Bodies stay as they are; what is not JSON does not get in, and functions are told that it is JSON."""

    name = "json"

    def encode(self, message: Message) -> Message:
        _check(message.body)
        return carrying(message, message.body, JSON)

    def decode(self, message: Message) -> Message:
        return self.encode(message)


def _check(body: bytes) -> None:
    try:
        msgspec.json.decode(body)
    except UNFIT as error:
        raise ValueError(f"expected JSON, got {body[:40]!r}: {error}") from error
