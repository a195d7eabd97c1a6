"""How quickly takers of a queue come back, and so how much is asked for beyond what they want."""

from __future__ import annotations

from collections.abc import Sequence

from millrace.types import Lease

_AHEAD_S = 0.25  # of messages at the rate of late are asked for beyond what takers want
_MANY = 100.0  # messages a second
_MOST_AHEAD_BYTES = 32 << 20
_WIDEST = 16_384


class Pace:
    """The rate and the size of what was taken of late; times are monotonic seconds."""

    def __init__(self, now_s: float) -> None:
        self._since_s = now_s
        self._taken = 0
        self._rate = 0.0  # messages a second
        self._body_bytes = 0.0

    def learn(self, leases: Sequence[Lease], now_s: float) -> None:
        """These were given to a taker."""
        self._taken += len(leases)
        if leases:
            self._body_bytes += (len(leases[0].message.body) - self._body_bytes) * 0.2
        if now_s - self._since_s >= _AHEAD_S:
            self._rate = self._taken / (now_s - self._since_s)
            self._since_s, self._taken = now_s, 0

    def ahead(self, count: int) -> int:
        """How many more to ask for when a taker wants `count`."""
        wanted = min(4 * count, int(self._rate * _AHEAD_S))
        return min(wanted, int(_MOST_AHEAD_BYTES / max(1.0, self._body_bytes)))

    def wider(self, size: int, wanted: int) -> int:
        """By how much a window of `size` is to grow: to `wanted` at least, and by a share of what it is.

        So there are few widenings, each of which is a consumer.
        """
        share = 1.0 if self._rate > _MANY else 0.25
        return max(0, min(_WIDEST - size, max(wanted - size, int(share * size))))
