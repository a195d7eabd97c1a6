"""What travels instead of a large body: the name of an object and its size, in one reserved attribute.

An object belongs to one put. Named by queue and id alone, a repeat with another body would overwrite the first; named
by its content, two messages would share it and the one that is done first would take it from the other. So its name is
the message's id, by which a sweep finds the message wherever it was moved, and a mark of the put.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Hashable

import msgspec

from millrace.errors import BrokerError
from millrace.types import Lease, Message

CLAIM = "millrace-claim"
_KEY = re.compile(r"[A-Za-z0-9_=-]*\.[0-9a-f]+")  # what object_key makes
MAX_ID_BYTES = 162  # a longer id fits into no file name, so its message keeps its body


class Claim(msgspec.Struct, frozen=True, gc=False):
    """Where a body is, and its size in bytes."""

    key: str
    size: int


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


def claimed_receipt(inner: Hashable, claim: Claim) -> Hashable:
    """The receipt of a message whose body was claimed: the inner broker's, and the body's object."""
    return CLAIM, claim.key, inner


def claimed_key(lease: Lease) -> str | None:
    """The object of a lease's body by its receipt, None where the message carries it itself.

    Raises BrokerError for what is no object of ours: the receipt may have come from outside.
    """
    receipt = lease.receipt
    if not (isinstance(receipt, tuple) and len(receipt) == 3 and receipt[0] == CLAIM):
        return None
    key = receipt[1]
    if not (isinstance(key, str) and _KEY.fullmatch(key)):
        raise BrokerError(f"{receipt!r} is not a receipt of this broker", "settle a lease where it was taken")
    return key


def inner_lease(lease: Lease) -> Lease:
    """The lease as the inner broker gave it. Raises BrokerError."""
    key = claimed_key(lease)
    if key is None:
        return lease
    return msgspec.structs.replace(lease, message=referring(lease.message, key), receipt=inner_receipt(lease))


def inner_receipt(lease: Lease) -> Hashable:
    """The inner broker's receipt. Raises BrokerError."""
    if claimed_key(lease) is None:
        return lease.receipt
    inner: Hashable = lease.receipt[2]  # type: ignore[index]
    return inner
