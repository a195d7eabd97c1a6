"""What a message in a stream says, whoever put it there."""

from __future__ import annotations

import math

import msgspec

from millrace.brokers.envelope import Envelope, envelope_of
from millrace.brokers.nats.names import Place
from millrace.brokers.nats.wire import headers_in

MESSAGE_ID = "Nats-Msg-Id"
DUE_AT = "millrace-due-at"
_OWN = ("nats-msg-id", "nats-expected-last-subject-sequence", DUE_AT)


def envelope_at(place: Place, head: bytes, body: bytes, ttl_s: float | None) -> tuple[Envelope, float]:
    """The message with what became of it, and when it is due (Unix seconds, 0.0 for at once).

    Header names are read in any case. Who is not millrace may name the message by Nats-Msg-Id; its time to live is the
    queue's, from when the stream got it.
    """
    headers = {name.lower(): value for name, value in headers_in(head).items()}
    return envelope_in(place, headers, body, ttl_s)


def envelope_in(place: Place, headers: dict[str, str], body: bytes, ttl_s: float | None) -> tuple[Envelope, float]:
    """The same of headers whose names are in lower case."""
    due_at = _seconds(headers.get(DUE_AT, ""))
    id = headers.get("nats-msg-id") or place.id
    plain = {name: value for name, value in headers.items() if name not in _OWN}
    envelope = envelope_of(plain, body, id=id, sent_at=place.stored_ns / 1e9)
    if envelope.expires_at == math.inf and ttl_s is not None and "millrace-id" not in headers:
        envelope = msgspec.structs.replace(envelope, expires_at=place.stored_ns / 1e9 + ttl_s)
    return envelope, due_at


def _seconds(text: str) -> float:
    try:
        found = float(text) if text else 0.0
    except ValueError:
        return 0.0
    return found if math.isfinite(found) else 0.0
