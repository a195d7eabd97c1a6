"""Leases as the scripts give them and as they come back; receipts are the entry, and the token it was leased under."""

from __future__ import annotations

import math
import re
from typing import Any

from millrace.broker import Peeked
from millrace.brokers.redis.fields import death_text, envelope_in, place_of
from millrace.errors import BrokerError
from millrace.types import Lease, Outcome

_ENTRY = re.compile(r"[0-9]{1,18}-[0-9]{1,18}")
_NOBODYS = ("0-0", "?")


def entry_and_token(lease: Lease) -> tuple[str, str]:
    """What a receipt says; it may have come from outside, and what is none of ours is that of no message."""
    receipt = lease.receipt
    if isinstance(receipt, tuple) and len(receipt) == 2:
        entry, token = receipt
        if type(entry) is str and type(token) is int and _ENTRY.fullmatch(entry):
            return entry, str(token)
    return _NOBODYS


def lease_in(queue: str, token: int, began_s: float, lease_ms: int, now_ms: int, found: list[Any]) -> Lease:
    """A lease is counted from before it was asked for, so that it ends here before it ends there."""
    entry, pairs, *rest = found
    attempts, taken_ms, failed_ms, left_ms = rest or (1, now_ms, 0, -1)
    place = entry.decode()
    envelope = envelope_in(place, pairs)
    return Lease(
        queue,
        envelope.message,
        (place, token),
        attempts,
        began_s + lease_ms / 1000,
        failed_ms / 1000,
        math.inf if left_ms < 0 else began_s + left_ms / 1000,
        taken_ms / 1000,
        place_of(place),
    )


def peeked_in(found: list[Any]) -> Peeked:
    """A message as peek.lua answers it."""
    entry, state, attempts, pairs = found
    envelope = envelope_in(entry.decode(), pairs)
    return Peeked(envelope.message, state.decode(), attempts, envelope.death)


def extra_of(outcome: Outcome) -> str | int:
    """What an outcome's verdict needs: a delay in ms, or a death. Raises BrokerError for a death without one."""
    if outcome.verdict == "retry":
        return math.ceil(max(outcome.delay_s, 0.0) * 1000)
    if outcome.verdict != "dead":
        return ""
    if outcome.death is None:
        raise BrokerError(f"message {outcome.lease.message.id}: verdict dead without a death", "say why it died")
    return death_text(outcome.death)
