"""Messages as Kafka's records, and back: headers beside the body, the group as key."""

from __future__ import annotations

import msgspec
from confluent_kafka import Message as KafkaMessage

from millrace.brokers.envelope import Envelope, envelope_of, headers_of

DUE = "millrace-due-at"


class Record(msgspec.Struct, frozen=True, gc=False):
    """A record on its way into a topic; `due_at` is Unix seconds, 0.0 for now."""

    topic: str
    envelope: Envelope
    due_at: float = 0.0

    @property
    def key(self) -> bytes | None:
        """What chooses the partition: messages of one group lie in one."""
        return self.envelope.message.group.encode() or None

    @property
    def headers(self) -> list[tuple[str, str | bytes | None]]:
        """The envelope's, and when it may be taken."""
        headers = headers_of(self.envelope)
        if self.due_at:
            headers[DUE] = repr(self.due_at)
        return [(name, value.encode()) for name, value in headers.items()]


def envelope_in(found: KafkaMessage) -> tuple[Envelope, float]:
    """A record's envelope, and when it may be taken; what others put has its place as its id."""
    headers = {each[0]: _text(each[1]) for each in found.headers() or ()}
    due_at = _number(headers.pop(DUE, "0"))
    id = f"{found.topic()}-{found.partition()}-{found.offset()}"
    stamp = found.timestamp()[1]
    value = found.value()
    body = value if isinstance(value, bytes) else b""
    return envelope_of(headers, body, id=id, sent_at=max(0, stamp) / 1000), due_at


def _text(value: str | bytes | None) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value or ""


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
