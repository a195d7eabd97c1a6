"""What a client asks about time and identity: Prefer: wait=5, ?wait=5, Idempotency-Key."""

from __future__ import annotations

import math
from hashlib import blake2b

from millrace.sources.http import problems
from millrace.sources.http.requests import Request

_MAX_KEY = 255


def preferred_wait_s(request: Request, limit_s: float) -> float:
    """Seconds of `Prefer: wait=SECONDS` (RFC 7240), at most limit_s; what is not understood is ignored, as it says."""
    header = request.header(b"prefer")
    if header is None:
        return 0.0
    for preference in header.split(","):
        name, _, value = preference.partition(";")[0].partition("=")
        if name.strip().lower() == "wait":
            return _seconds(value.strip().strip('"'), limit_s) or 0.0
    return 0.0


def asked_wait_s(request: Request, limit_s: float) -> float:
    """Seconds of `?wait=`, at most limit_s; raises a 400 problem for what is no number of seconds."""
    text = dict(request.query).get("wait")
    if text is None:
        return 0.0
    seconds = _seconds(text, limit_s)
    if seconds is None:
        raise problems.bad_request(
            "wait must be a number of seconds.", expected=f"0 to {limit_s:g}, as in ?wait=5", got=text[:100]
        )
    return seconds


def _seconds(text: str, limit_s: float) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    return min(seconds, limit_s) if math.isfinite(seconds) and seconds >= 0 else None


def keyed_id(request: Request, queue: str) -> str | None:
    """The message id that `Idempotency-Key` stands for in this queue, None without the header.

    Keys are hashed with the queue's name, so that clients of one queue cannot meet the ids of another.
    """
    key = request.header(b"idempotency-key")
    if key is None:
        return None
    if not 1 <= len(key) <= _MAX_KEY:
        raise problems.bad_request(
            "The Idempotency-Key is empty or too long.",
            expected=f"1 to {_MAX_KEY} characters",
            got=f"{len(key)} characters",
        )
    return blake2b(f"{queue}\0{key}".encode(), digest_size=16, person=b"millrace-key").hexdigest()
