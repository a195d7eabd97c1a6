"""When leases become a batch: pure, no I/O; time is passed in (monotonic seconds).

add(leases, now) → due(now) → reason or None → release(now) → the leases
until_next(now) says how long one may sleep before asking again
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence, Set
from itertools import accumulate, islice

import msgspec

from millrace.flow.timing import Timing
from millrace.types import Lease

_MARGIN = 1.25  # a batch must be expected to end this much earlier than its leases


class Policy(msgspec.Struct, frozen=True):
    """A function's `batch:` section with its time limit; seconds, items and bytes."""

    size: int
    wait_s: float
    max_bytes: int
    timeout_s: float


class Batcher:
    """Holds taken leases until they are a batch.

    Released when `full` (by count), `bytes` (the next would not fit), `wait` (the oldest waited long enough) or
    `lease` (waiting longer would let a lease or a message's deadline run out before the batch is done).
    """

    def __init__(self, policy: Policy, timing: Timing) -> None:
        self._policy = policy
        self._timing = timing
        self._leases: deque[Lease] = deque()
        self._since: deque[float] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._leases)

    @property
    def room(self) -> int:
        """How many more leases make the batch full; 0 when it is."""
        return max(0, self._limit - len(self._leases))

    @property
    def room_bytes(self) -> int:
        """How many more bytes of bodies fit into the batch."""
        return max(0, self._policy.max_bytes - self._bytes)

    @property
    def _limit(self) -> int:
        """The batch size: never more than what is expected to end within the function's time limit."""
        return self._timing.fitting(self._policy.timeout_s / _MARGIN, self._policy.size)

    def add(self, leases: Sequence[Lease], now: float, waited_s: float = 0.0) -> None:
        """Take in leases, the oldest of which has already waited so many seconds in its queue."""
        self._leases.extend(leases)
        self._since.extend([now - waited_s] * len(leases))
        self._bytes += sum([len(lease.message.body) for lease in leases])

    def due(self, now: float) -> str | None:
        """Why the batch must go now; None while it may wait."""
        if not self._leases:
            return None
        if len(self._leases) >= self._limit:
            return "full"
        if self._bytes >= self._policy.max_bytes:
            return "bytes"
        if now >= self._since[0] + self._policy.wait_s:
            return "wait"
        return "lease" if now >= self._latest_start() else None

    def release(self, now: float) -> list[Lease]:
        """The next batch, oldest first: at most the limit, at most max_bytes unless the first alone is larger."""
        count = self._fitting(now)
        for _ in range(count):
            self._since.popleft()
        released = [self._leases.popleft() for _ in range(count)]
        self._bytes -= sum([len(lease.message.body) for lease in released])
        return released

    def until_next(self, now: float) -> float | None:
        """Seconds until `due` answers by itself, 0.0 when it does already, None when empty."""
        if not self._leases:
            return None
        if self.due(now):
            return 0.0
        return max(0.0, min(self._since[0] + self._policy.wait_s, self._latest_start()) - now)

    @property
    def leases(self) -> list[Lease]:
        """What is held, oldest first."""
        return list(self._leases)

    def renew(self, asked: Sequence[Lease], renewed: Sequence[Lease]) -> None:
        """Of the leases that were to be renewed, hold those that were as they are now, and the lost ones no more."""
        now_ours = {lease.receipt: lease for lease in renewed}
        lost = {lease.receipt for lease in asked} - now_ours.keys()
        kept = [
            (now_ours.get(lease.receipt, lease), since)
            for lease, since in zip(self._leases, self._since, strict=True)
            if lease.receipt not in lost
        ]
        self._leases = deque(lease for lease, _ in kept)
        self._since = deque(since for _, since in kept)
        self._bytes = sum(len(lease.message.body) for lease, _ in kept)

    def without(self, groups: Set[str]) -> list[Lease]:
        """Let go of the messages of these groups, to be given back unstarted."""
        gone = [lease for lease in self._leases if lease.message.group in groups]
        self.renew(gone, ())
        return gone

    def drain(self) -> list[Lease]:
        """Everything that is held, to be given back unstarted."""
        gone = self.leases
        self.renew(gone, ())
        return gone

    def _latest_start(self) -> float:
        ends = min(min([lease.expires_at for lease in self._leases]), min([lease.deadline for lease in self._leases]))
        return ends - _MARGIN * self._timing.expected_s(len(self._leases))

    def _fitting(self, now: float) -> int:
        """How many of the oldest leases make one batch that is expected to end before any of their leases does."""
        by_count = min(len(self._leases), self._limit)
        first = list(islice(self._leases, by_count))
        remaining = min([lease.expires_at for lease in first]) - now
        by_lease = self._timing.fitting(remaining / _MARGIN, by_count)
        sizes = accumulate([len(lease.message.body) for lease in first])
        by_bytes = bisect_right(list(sizes), self._policy.max_bytes)
        return max(1, min(by_count, by_lease, by_bytes))
