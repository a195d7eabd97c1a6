"""A message as the fields of a stream's entry, and back: the body is the field `body`, the rest as in any broker."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from millrace.brokers.envelope import DEATH, ID, Envelope, envelope_of, headers_of
from millrace.brokers.limits import check_text
from millrace.errors import shortened
from millrace.types import Death, Message

BODY = b"body"
_DELAYED = "millrace-delayed"
_PLACE_BITS = 20


def fields_of(message: Message) -> tuple[str, list[str | bytes]]:
    """The id as the stream has it, and fields and values in turn; an attribute called `body` comes behind the body."""
    headers = headers_of(Envelope(message))
    pairs: list[str | bytes] = [BODY, message.body]
    for name, value in headers.items():
        pairs += (name, value)
    return headers[ID], pairs


def id_text(id: str) -> str:
    """A message id as the stream has it. Raises Unencodable."""
    check_text(id, f"the id {shortened(id)}")
    return headers_of(Envelope(Message(id)))[ID]


def id_in(text: str) -> str:
    """The message id that the stream has as this text."""
    return envelope_of({ID: text}, b"", id="", sent_at=0.0).message.id


def death_text(death: Death) -> str:
    """A death as the stream has it."""
    return headers_of(Envelope(Message(""), death=death))[DEATH]


def envelope_in(entry: str, pairs: Sequence[bytes]) -> Envelope:
    """The message of an entry. What others have put has the entry's id and time where it names none."""
    body: bytes | None = None
    headers: dict[str, str] = {}
    for index in range(0, len(pairs), 2):
        name, value = pairs[index], pairs[index + 1]
        if name == BODY and body is None:
            body = value
        else:
            headers[_name(name)] = _text(value)
    headers.pop(_DELAYED, None)
    return envelope_of(headers, body or b"", id=entry, sent_at=int(entry.partition("-")[0]) / 1000)


def place_of(entry: str) -> int:
    """An entry's place in the order of its queue, as one number below 2**63."""
    ms, _, count = entry.partition("-")
    return (int(ms) << _PLACE_BITS) + int(count)


@lru_cache(maxsize=1024)
def _name(name: bytes) -> str:
    return _text(name)


def _text(value: bytes) -> str:
    """Text of ours is UTF-8; what others have put must not stop a queue."""
    return value.decode(errors="backslashreplace")
