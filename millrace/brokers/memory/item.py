"""A message in a queue's memory, and what has happened to it there."""

from __future__ import annotations

from millrace.types import Death, Message

NOBODYS = 0  # the receipt of a lease that was taken from its holder


class Item:
    """Mutable: the queue moves it about. Times are the clock's monotonic seconds, but for the two that say Unix."""

    __slots__ = (
        "attempts",
        "death",
        "due_at",
        "expires_at",
        "first_failed_at",
        "first_taken_at",
        "message",
        "receipt",
        "seq",
    )

    def __init__(self, seq: int, message: Message, due_at: float, expires_at: float | None) -> None:
        self.seq = seq
        self.message = message
        self.due_at = due_at  # 0 is ready at once; else the end of a delay or a lease
        self.expires_at = expires_at
        self.attempts = 0
        self.receipt: int | None = None
        self.first_failed_at = 0.0  # Unix seconds, as the next
        self.first_taken_at = 0.0
        self.death: Death | None = None

    def is_due(self, now_s: float) -> bool:
        """Whether it can be taken as far as time is concerned."""
        return self.due_at <= now_s

    def is_in_flight(self, now_s: float) -> bool:
        """Whether somebody's lease on it runs."""
        return self.receipt is not None and not self.is_due(now_s)

    def wait(self, due_at: float) -> None:
        """Give it back: visible from `due_at` on."""
        self.receipt = None
        self.due_at = due_at

    def refresh(self, expires_at: float | None) -> None:
        """Begin anew, as if just put."""
        self.wait(0.0)
        self.expires_at = expires_at
        self.attempts = 0
        self.first_failed_at = self.first_taken_at = 0.0
        self.death = None
