"""Message attributes as SQS types them, and how a message of ours carries them.

An attribute of type String is an attribute of the message; what has another type travels in `millrace-attributes`, a
JSON object of name to DataType and StringValue or (base64) BinaryValue.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode
from collections.abc import Mapping

import msgspec

from millrace.types import Message

TYPED_ATTRIBUTE = "millrace-attributes"
DEDUPE_ATTRIBUTE = "millrace-dedupe"  # a FIFO message's deduplication id
GROUP_ATTRIBUTE = "millrace-group"  # the group of a message in a queue that keeps no order: SQS's fair queues
TRACE_ATTRIBUTE = "millrace-trace"  # the X-Ray header
OURS = "millrace-"


class Attribute(msgspec.Struct, frozen=True, omit_defaults=True):
    """One message attribute: `DataType` is String, Number or Binary, perhaps with `.label`, and one of the values."""

    DataType: str
    StringValue: str | None = None
    BinaryValue: bytes | None = None


_typed = msgspec.json.Decoder(dict[str, Attribute])


def text(value: str, data_type: str = "String") -> Attribute:
    """An attribute with a string value."""
    return Attribute(data_type, value)


def read(message: Message) -> dict[str, Attribute]:
    """Those that SQS would show of a message; what is millrace's own is left out, and so is what cannot be read."""
    found = {name: text(value) for name, value in message.attributes.items() if not name.startswith(OURS)}
    return found | typed(message.attributes.get(TYPED_ATTRIBUTE, ""))


def typed(written: str) -> dict[str, Attribute]:
    """The attributes of a `millrace-attributes`; none where it is empty or not ours."""
    try:
        return _typed.decode(written) if written else {}
    except (msgspec.DecodeError, ValueError):
        return {}


def write(attributes: Mapping[str, Attribute]) -> dict[str, str]:
    """Typed attributes as a message carries them."""
    plain = {
        name: value.StringValue
        for name, value in attributes.items()
        if value.DataType == "String" and value.StringValue is not None and not name.startswith(OURS)
    }
    rest = {name: value for name, value in attributes.items() if name not in plain}
    return plain | ({TYPED_ATTRIBUTE: msgspec.json.encode(rest).decode()} if rest else {})


def of_text(data_type: str, value: str) -> Attribute:
    """An attribute whose value came as text; raises ValueError where a Binary one is no base64."""
    if data_type.startswith("Binary"):
        return Attribute(data_type, None, b64decode(value))
    return Attribute(data_type, value)


def digest(attributes: Mapping[str, Attribute]) -> str:
    """SQS's MD5 of attributes: by name, each part behind its length (4 bytes, big endian).

    Source: SQS developer guide, "Calculating the MD5 message digest for message attributes".
    """
    md5 = hashlib.md5(usedforsecurity=False)
    for name, value in sorted(attributes.items()):
        md5.update(_sized(name.encode()) + _sized(value.DataType.encode()))
        if value.BinaryValue is not None:
            md5.update(b"\x02" + _sized(value.BinaryValue))
        else:
            md5.update(b"\x01" + _sized((value.StringValue or "").encode()))
    return md5.hexdigest()


def _sized(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data
