"""What every adapter says about puts that are too much: a body that is too large, a queue that is full."""

from __future__ import annotations

from collections.abc import Iterable

from millrace.errors import QueueFull, TooLarge
from millrace.types import Put


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
