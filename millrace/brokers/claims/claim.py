"""What travels instead of a large body: the name of an object and its size, in one reserved attribute.

An object belongs to one put. Named by queue and id alone, a repeat with another body would overwrite the first; named
by its content, two messages would share it and the one that is done first would take it from the other. So its name is
the message's id, by which a sweep finds the message wherever it was moved, and a mark of the put.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Hashable

import msgspec

from millrace.types import Lease, Message

CLAIM = "millrace-claim"
MAX_ID_BYTES = 162  # a longer id fits into no file name, so its message keeps its body


class Claim(msgspec.Struct, frozen=True, gc=False):
    """Where a body is, and its size in bytes."""

    key: str
    size: int


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """The inner broker's receipt of a message whose body was claimed."""

    inner: Hashable
    claim: Claim


def object_key(id: str, mark: str) -> str:
    """The object of one put of this id."""
    return f"{urlsafe_b64encode(id.encode()).decode()}.{mark}"


def id_of(key: str) -> str | None:
    """The id in an object's name, None when it is none of ours."""
    text, dot, _ = key.partition(".")
    try:
        return urlsafe_b64decode(text).decode() if dot else None
    except ValueError:
        return None


def referring(message: Message, key: str) -> Message:
    """The message as it travels, its body left in an object."""
    attributes = {**message.attributes, CLAIM: f"{len(message.body)} {key}"}
    return msgspec.structs.replace(message, body=b"", attributes=attributes)


def claim_of(message: Message) -> Claim | None:
    """Where the message's body is, None when it carries it itself."""
    value = message.attributes.get(CLAIM)
    if value is None:
        return None
    size, _, key = value.partition(" ")
    return Claim(key, int(size))


def whole(message: Message, body: bytes) -> Message:
    """The message as it was put."""
    return msgspec.structs.replace(without_claim(message), body=body)


def without_claim(message: Message) -> Message:
    """The message less the attribute, which only we may set."""
    attributes = {name: value for name, value in message.attributes.items() if name != CLAIM}
    return msgspec.structs.replace(message, attributes=attributes)


def inner_lease(lease: Lease) -> Lease:
    """The lease as the inner broker gave it."""
    receipt = lease.receipt
    if type(receipt) is not Receipt:
        return lease
    message = referring(lease.message, receipt.claim.key)
    return msgspec.structs.replace(lease, message=message, receipt=receipt.inner)
