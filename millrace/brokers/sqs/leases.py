"""The leases that this process holds, and what their receipts tell another.

SQS deletes with an old receipt handle without a word, so a lease is known to be ours by our own clock alone: it counts
from the moment at which its request left, and what is past its time is lost, whatever SQS would say.
"""

from __future__ import annotations

from collections.abc import Hashable

import msgspec

from millrace.brokers.envelope import Envelope
from millrace.brokers.sqs.letters import Received
from millrace.brokers.sqs.queue import MAX_LEASE_S
from millrace.clock import Clock
from millrace.ids import new_id
from millrace.types import Lease

_SWEEP_FROM = 1000


class Held(msgspec.Struct, gc=False):
    """A lease; monotonic seconds. `envelope` is None where another process took the message."""

    queue: str
    handle: str
    attempt: int
    envelope: Envelope | None
    taken_at: float
    expires_at: float
    older: tuple[str, ...] = ()

    def room_s(self, now_s: float) -> float:
        """How long it may be hidden from now on: SQS hides a message twelve hours after its receive at most."""
        return max(0.0, self.taken_at + MAX_LEASE_S - now_s)


class Leases:
    """Grants and finds leases; those that ran out are forgotten."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._mark = new_id()
        self._held: dict[Hashable, Held] = {}
        self._sweep_at = _SWEEP_FROM

    def grant(self, queue: str, found: Received, taken_at: float, lease_s: int, expires_at: float) -> Lease:
        """Hold a message from `taken_at` on; `expires_at` is the end of its time to live, Unix seconds."""
        now_s, wall_s = self._clock.monotonic(), self._clock.now()
        ends_at = taken_at + lease_s
        receipt = (self._mark, queue, found.handle, found.attempts, int((wall_s + ends_at - now_s) * 1000))
        held = Held(queue, found.handle, found.attempts, found.envelope, taken_at, ends_at, found.older)
        self._held[receipt] = held
        self._sweep(now_s)
        return Lease(
            queue,
            found.envelope.message,
            receipt,
            found.attempts,
            ends_at,
            first_failed_at(found),
            now_s + expires_at - wall_s,
            found.first_taken_at,
            found.sequence,
        )

    def find(self, queue: str, receipt: Hashable) -> Held | None:
        """The lease of a receipt that is ours, or another process's and not over; None for what is lost."""
        held = self._held.get(receipt) or self._foreign(receipt)
        if held is None or held.queue != queue or held.expires_at <= self._clock.monotonic():
            return None
        return held

    def end(self, receipt: Hashable) -> None:
        """Its message is settled."""
        self._held.pop(receipt, None)

    def forget(self, queue: str) -> None:
        """All leases of a queue are lost."""
        self._held = {receipt: held for receipt, held in self._held.items() if held.queue != queue}

    def of(self, queue: str) -> list[Held]:
        """Those of one queue that run, in the order in which they were taken."""
        now_s = self._clock.monotonic()
        return [held for held in self._held.values() if held.queue == queue and held.expires_at > now_s]

    def _foreign(self, receipt: Hashable) -> Held | None:
        """What a receipt of another process tells: as long as its first time lasts, by the clock on the wall."""
        match receipt:
            case (str(mark), str(queue), str(handle), int(attempt), int(until_ms)) if mark != self._mark:
                now_s = self._clock.monotonic()
                left_s = min(until_ms / 1000 - self._clock.now(), MAX_LEASE_S)
                return Held(queue, handle, attempt, None, now_s, now_s + left_s)
        return None

    def _sweep(self, now_s: float) -> None:
        """Forget what ran out, each time that twice as much is held."""
        if len(self._held) < self._sweep_at:
            return
        self._held = {receipt: held for receipt, held in self._held.items() if held.expires_at > now_s}
        self._sweep_at = max(_SWEEP_FROM, 2 * len(self._held))


def first_failed_at(found: Received) -> float:
    """When a message first failed, as far as SQS tells: its first delivery, where this is another."""
    if found.envelope.first_failed_at:
        return found.envelope.first_failed_at
    return found.first_taken_at if found.attempts > 1 else 0.0
