"""How a message travels through a broker that knows bodies and text headers: what millrace adds, and how it is read.

An attribute whose name and value any broker can carry is a header of its own, so that programs in other languages see
and set it. The rest travel together, as JSON, in one header. What millrace counts (attempts, the first failure, the
end of the time to live) are headers that begin with `millrace-`; a message that was put by somebody else has none, and
where one is not as millrace writes it, it counts as missing: a strange header must not stop a queue.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, TypeVar

import msgspec

from millrace.brokers.limits import is_moment
from millrace.types import Death, Message

ID = "millrace-id"
SENT_AT = "millrace-sent-at"
GROUP = "millrace-group"
ATTEMPTS = "millrace-attempts"
FIRST_FAILED_AT = "millrace-first-failed-at"
FIRST_TAKEN_AT = "millrace-first-taken-at"
EXPIRES_AT = "millrace-expires-at"
DEATH = "millrace-death"
ATTRIBUTES = "millrace-attributes"
_OWN = frozenset({ID, SENT_AT, GROUP, ATTEMPTS, FIRST_FAILED_AT, FIRST_TAKEN_AT, EXPIRES_AT, DEATH, ATTRIBUTES})
_OF_ALL = frozenset({ID, SENT_AT, GROUP, ATTRIBUTES})
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_LONGEST_VALUE = 1024

Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
T = TypeVar("T")
D = TypeVar("D")


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """A message, and what became of it in earlier deliveries; times are Unix seconds, 0.0 where there was none.

    `attempts` counts deliveries that the broker has forgotten, since the message was put anew: those that the broker
    still counts come on top.
    """

    message: Message
    attempts: int = 0
    first_failed_at: float = 0.0
    first_taken_at: float = 0.0
    expires_at: float = math.inf
    death: Death | None = None


def headers_of(envelope: Envelope) -> dict[str, str]:
    """The headers of a message on its way into a broker; ASCII names and printable values."""
    message = envelope.message
    plain = {name: value for name, value in message.attributes.items() if _travels(name, value)}
    headers = {**plain, ID: _text(message.id), SENT_AT: repr(message.sent_at)}
    if message.group:
        headers[GROUP] = _text(message.group)
    if len(plain) < len(message.attributes):
        odd = {name: value for name, value in message.attributes.items() if name not in plain}
        headers[ATTRIBUTES] = _ascii(odd)
    if envelope.attempts:
        headers[ATTEMPTS] = str(envelope.attempts)
    if envelope.first_failed_at:
        headers[FIRST_FAILED_AT] = repr(envelope.first_failed_at)
    if envelope.first_taken_at:
        headers[FIRST_TAKEN_AT] = repr(envelope.first_taken_at)
    if envelope.expires_at != math.inf:
        headers[EXPIRES_AT] = repr(envelope.expires_at)
    if envelope.death is not None:
        headers[DEATH] = _ascii(envelope.death)
    return headers


def envelope_of(headers: Mapping[str, str], body: bytes, *, id: str, sent_at: float) -> Envelope:
    """What came out of a broker; `id` and `sent_at` are the broker's own, for messages that others have put."""
    own = _OWN.intersection(headers)
    attributes = {name: value for name, value in headers.items() if name not in own}
    if ATTRIBUTES in own:
        attributes |= _read(headers, ATTRIBUTES, dict[str, str], {})
    told = _read(headers, SENT_AT, float, sent_at)
    message = Message(
        _read_text(headers.get(ID), id),
        body,
        attributes,
        told if is_moment(told) else sent_at if is_moment(sent_at) else 0.0,
        _read_text(headers.get(GROUP), ""),
    )
    if own <= _OF_ALL:  # on its first way, as most are
        return Envelope(message)
    return Envelope(
        message,
        _read(headers, ATTEMPTS, Count, 0),
        _read(headers, FIRST_FAILED_AT, float, 0.0),
        _read(headers, FIRST_TAKEN_AT, float, 0.0),
        _read(headers, EXPIRES_AT, float, math.inf),
        _read(headers, DEATH, Death, None),
    )


def _travels(name: str, value: str) -> bool:
    return _is_plain(value) and _is_free(name)


@lru_cache(maxsize=1024)
def _is_free(name: str) -> bool:
    """Whether an attribute may be a header of that name."""
    return name not in _OWN and _NAME.fullmatch(name) is not None


def _is_plain(value: str) -> bool:
    """Whether any header can carry a value: printable ASCII without a space at either end, and not too long."""
    if not 0 < len(value) <= _LONGEST_VALUE or value[0] == " " or value[-1] == " ":
        return False
    return value.isascii() and value.isprintable()


def _ascii(value: object) -> str:
    """JSON without a letter that a header could not carry."""
    text = msgspec.json.encode(value).decode()
    return text if text.isascii() and text.isprintable() else "".join(map(_escaped, text))


def _escaped(letter: str) -> str:
    if letter.isascii() and letter.isprintable():
        return letter
    units = letter.encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def _text(value: str) -> str:
    """A text as it stands where a header can carry it, so that others can read and write it; else as JSON."""
    return value if _is_plain(value) and value[0] != '"' else _ascii(value)


def _read_text(value: str | None, default: str) -> str:
    if value is None or not value.startswith('"'):
        return value or default
    try:
        return msgspec.json.decode(value, type=str)
    except msgspec.MsgspecError:
        return value


def _read(headers: Mapping[str, str], name: str, kind: type[T], default: D) -> T | D:
    try:
        return msgspec.json.decode(headers[name], type=kind) if name in headers else default
    except msgspec.MsgspecError:
        return default
