"""A put as what travels, for brokers with headers."""

from __future__ import annotations

import math

from millrace.brokers.envelope import Envelope
from millrace.types import Message, Put


def enclosed(put: Put, message: Message, expires_at: float = math.inf) -> Envelope:
    """The message of a put, with what another broker has counted of it; Unix seconds."""
    if put.tried is None:
        return Envelope(message, expires_at=expires_at)
    return Envelope(message, put.tried.attempts, put.tried.first_failed_at, expires_at=expires_at)
