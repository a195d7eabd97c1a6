"""A message as SQS carries it: a body of text, and ten attributes at most.

Up to eight attributes of a message are SQS's own, which other programs see and set; the rest, and what millrace keeps
(its id, times, attempts, death), is one attribute, `millrace`, a JSON object. A body that SQS cannot carry as text is
base64, which the attribute `millrace-encoding` says. Source: SQS developer guide, "Amazon SQS message metadata".
"""

from __future__ import annotations

import binascii
import math
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any

import msgspec

from millrace.aws.events.sqs import ENCODING_ATTRIBUTE
from millrace.aws.sqs.limits import allowed
from millrace.brokers.envelope import Envelope, envelope_of, headers_of
from millrace.types import Death

OURS = "millrace"
DUE_AT, HOPS = "millrace-due-at", "millrace-hops"
_MOST_PLAIN = 8
_EMPTY = "-"  # stands for no body, which SQS does not carry
_SHORT = 500  # characters of a failure's text, where the whole does not fit beside its message
_texts = msgspec.json.Decoder(dict[str, str])

Json = dict[str, Any]


class Received(msgspec.Struct, frozen=True, gc=False):
    """A message from a queue, and what SQS says of it; times are Unix seconds, `count` is of deliveries."""

    handle: str
    envelope: Envelope
    count: int
    first_taken_at: float
    sequence: int
    due_at: float
    hops: int  # deliveries that only bridged a delay
    is_ours: bool  # millrace put it
    sqs_id: str = ""  # SQS's own id: two messages may have one of millrace's
    older: tuple[str, ...] = ()  # handles of deliveries that the same take got beside this one

    @property
    def attempts(self) -> int:
        """Deliveries that count as attempts, this one too."""
        return self.envelope.attempts + max(1, self.count - self.hops)


def entry_of(envelope: Envelope, extra: Mapping[str, str] | None = None) -> tuple[Json, int]:
    """A message's members in SendMessage, and the bytes that SQS counts of it; `extra` are more headers."""
    plain: dict[str, str] = {}
    ours: dict[str, str] = dict(extra or {})
    for name, value in headers_of(envelope).items():
        is_plain = len(plain) < _MOST_PLAIN and name != OURS and not name.startswith("millrace-")
        (plain if is_plain else ours)[name] = value
    body, encoding = _text(envelope.message.body)
    plain[OURS] = msgspec.json.encode(ours).decode()
    if encoding:
        plain[ENCODING_ATTRIBUTE] = encoding
    size = len(body.encode()) + sum(len(name) + len("String") + len(value.encode()) for name, value in plain.items())
    attributes = {name: {"DataType": "String", "StringValue": value} for name, value in plain.items()}
    return {"MessageBody": body, "MessageAttributes": attributes}, size


def letter_of(envelope: Envelope, death: Death, max_bytes: int) -> Json:
    """A dead letter's members; its failure is told in few words where it does not fit otherwise."""
    entry, size = entry_of(msgspec.structs.replace(envelope, death=death))
    if size > max_bytes:
        failure = death.failure
        short = msgspec.structs.replace(
            failure, message=failure.message[:_SHORT], traceback=failure.traceback[-_SHORT:], mro=()
        )
        entry, _ = entry_of(msgspec.structs.replace(envelope, death=msgspec.structs.replace(death, failure=short)))
    return entry


def received_of(found: Mapping[str, Any]) -> Received:
    """A message out of ReceiveMessage's answer, whoever sent it."""
    system: Mapping[str, str] = found.get("Attributes") or {}
    headers, encoding = _headers(found.get("MessageAttributes") or {})
    is_ours = OURS in headers
    headers = _within(headers)
    envelope = envelope_of(
        headers,
        _bytes(str(found.get("Body", "")), encoding),
        id=str(found["MessageId"]),
        sent_at=_number(system, "SentTimestamp") / 1000,
    )
    if not is_ours and (group := system.get("MessageGroupId")):
        envelope = msgspec.structs.replace(envelope, message=msgspec.structs.replace(envelope.message, group=group))
    return Received(
        str(found["ReceiptHandle"]),
        envelope,
        int(_number(system, "ApproximateReceiveCount")) or 1,
        envelope.first_taken_at or _number(system, "ApproximateFirstReceiveTimestamp") / 1000,
        _place(system.get("SequenceNumber", "")),
        _number(headers, DUE_AT),
        int(_number(headers, HOPS)),
        is_ours,
        str(found["MessageId"]),
    )


def _headers(attributes: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, str], str]:
    """Attributes as text, and the encoding of the body; what is binary stays in base64, as it came."""
    texts = {name: str(each.get("StringValue") or each.get("BinaryValue") or "") for name, each in attributes.items()}
    return texts, texts.pop(ENCODING_ATTRIBUTE, "")


def _within(headers: dict[str, str]) -> dict[str, str]:
    """The headers with those that travelled in one."""
    if OURS not in headers:
        return headers
    try:
        inner = _texts.decode(headers[OURS])
    except msgspec.MsgspecError:
        return headers  # somebody else's attribute of that name
    return {name: value for name, value in headers.items() if name != OURS} | inner


def _text(body: bytes) -> tuple[str, str]:
    """A body as text, and its encoding: base64, or none where it is text already."""
    if not body:
        return _EMPTY, "empty"
    return (body.decode(), "") if is_text(body) else (b64encode(body).decode(), "base64")


def is_text(body: bytes) -> bool:
    """Whether SQS can carry a body as it is."""
    if not allowed(body):
        return False
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _bytes(text: str, encoding: str) -> bytes:
    if encoding == "empty":
        return b""
    if encoding == "base64":
        try:
            return b64decode(text, validate=True)
        except (ValueError, binascii.Error):
            pass  # somebody else's attribute of that name
    return text.encode()


def _number(texts: Mapping[str, str], name: str) -> float:
    """A number of SQS's or ours, 0.0 where there is none."""
    try:
        found = float(texts.get(name, "0"))
    except ValueError:
        return 0.0
    return found if math.isfinite(found) and found >= 0 else 0.0


def _place(sequence: str) -> int:
    """A sequence number where a database could keep it; AWS's have 128 bits, and then the place counts as unknown."""
    return int(sequence) if sequence.isdecimal() and len(sequence.lstrip("0")) < 19 else 0
