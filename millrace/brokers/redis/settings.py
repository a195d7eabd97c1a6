"""A queue's declaration as the scripts read it."""

from __future__ import annotations

import math

import msgspec

from millrace.broker import Queue

_MOST_MS = 10**14  # three thousand years; beyond it Lua's numbers lose their last digits


def settings_text(queue: Queue) -> str:
    """JSON; milliseconds, and nothing where there is no bound."""
    found = {
        "lease_ms": _ms(queue.lease_s),
        "max_receives": queue.max_receives,
        "ttl_ms": None if queue.ttl_s is None else _ms(queue.ttl_s),
        "max_depth": queue.max_depth,
        "fifo": queue.fifo,
        "dedupe_ms": _ms(queue.dedupe_s),
        "delay_ms": _ms(queue.delay_s),
        "dead_to": queue.dead_to,
    }
    return msgspec.json.encode({name: value for name, value in found.items() if value is not None}).decode()


def _ms(seconds: float) -> int:
    return math.ceil(min(seconds * 1000, _MOST_MS))
