"""What every adapter says about puts that are too much: a body that is too large, a queue that is full."""

from __future__ import annotations

from collections.abc import Iterable

from millrace.errors import QueueFull, TooLarge, Unencodable
from millrace.types import Put

_LAST_S = 253402300800.0  # the year 10000, where calendars end


def is_moment(at: float) -> bool:
    """Whether Unix seconds are a time of some calendar: neither infinite nor NaN, from 1970 to 9999."""
    return 0.0 <= at < _LAST_S


def check_moments(puts: Iterable[Put]) -> None:
    """Raise Unencodable for the first message that was sent at no time: functions and filters would fail on it."""
    for put in puts:
        if not is_moment(put.message.sent_at):
            raise Unencodable(
                f"message {put.message.id}: {put.message.sent_at} is not a time, as `sent_at` is",
                "leave it out, or give Unix seconds",
            )


def check_sizes(puts: Iterable[Put], max_bytes: int | None) -> None:
    """Raise TooLarge for the first body that is longer; nothing is where there is no bound."""
    if max_bytes is None:
        return
    for put in puts:
        size = len(put.message.body)
        if size > max_bytes:
            raise TooLarge(
                f"message {put.message.id}: {size} bytes, at most {max_bytes} can be queued",
                "put the body into a bucket and its key into the message",
            )


def queue_full(name: str, *, held: int, limit: int, refused: int) -> QueueFull:
    """A queue at its max_depth refuses so many messages."""
    return QueueFull(
        f"queue {name} holds {held} messages of at most {limit}; {refused} more were refused",
        "try again when its function has caught up, or raise max_depth",
    )
