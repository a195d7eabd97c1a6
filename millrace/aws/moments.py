"""Moments as AWS writes them; all take Unix seconds and speak UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

# strftime's %b follows the locale; API Gateway's months do not.
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def millis(at: float) -> int:
    """Whole milliseconds."""
    return int(at * 1000)


def seconds_text(at: float) -> str:
    """`2026-03-01T04:05:06Z`, as EventBridge has it."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def millis_text(at: float) -> str:
    """`2026-03-01T04:05:06.789Z`, as S3 and Pub/Sub have it."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def log_text(at: float) -> str:
    """`01/Mar/2026:04:05:06 +0000`, as API Gateway has it."""
    return _second(int(at))


@lru_cache(8)  # asked for with each request, and the same for all of a second
def _second(at: int) -> str:
    when = datetime.fromtimestamp(at, UTC)
    clock = f"{when.hour:02d}:{when.minute:02d}:{when.second:02d}"
    return f"{when.day:02d}/{_MONTHS[when.month - 1]}/{when.year}:{clock} +0000"
