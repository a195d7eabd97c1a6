"""What a message in a stream says, whoever put it there."""

from __future__ import annotations

import math

import msgspec

from millrace.brokers.envelope import ID, Envelope, envelope_of
from millrace.brokers.nats.names import Place

MESSAGE_ID = "Nats-Msg-Id"
DUE_AT = "millrace-due-at"


def envelope_in(place: Place, headers: dict[str, str], body: bytes, ttl_s: float | None) -> tuple[Envelope, float]:
    """The message with what became of it, and when it is due (Unix seconds, 0.0 for at once).

    Who is not millrace may name the message by Nats-Msg-Id; its time to live is the queue's, from when the stream got
    it. `headers` have names in lower case and are used up.
    """
    due_at = _seconds(headers.pop(DUE_AT, ""))
    id = headers.pop("nats-msg-id", "") or place.id
    headers.pop("nats-expected-last-subject-sequence", None)
    ours = ID in headers
    envelope = envelope_of(headers, body, id=id, sent_at=place.stored_ns / 1e9)
    if ttl_s is not None and not ours:
        envelope = msgspec.structs.replace(envelope, expires_at=place.stored_ns / 1e9 + ttl_s)
    return envelope, due_at


def _seconds(text: str) -> float:
    try:
        found = float(text) if text else 0.0
    except ValueError:
        return 0.0
    return found if math.isfinite(found) else 0.0
