"""A place in a replica set, through which replicas come and go."""

from __future__ import annotations

from typing import Literal

import msgspec

from millrace.flow.replica import Replica
from millrace.types import Failure

_BACKOFF_S = 0.5
_MAX_BACKOFF_S = 30.0

State = Literal["loading", "ready", "backoff", "failed", "stopped"]


class ReplicaStatus(msgspec.Struct, frozen=True):
    """One replica at one moment; `failure` is why it last died or did not load, None once it has loaded again."""

    pid: int | None
    state: State
    failure: Failure | None
    restarts: int
    rss_bytes: int


class Seat:
    """One place in the set: replicas come and go on it."""

    def __init__(self) -> None:
        self.replica: Replica | None = None
        self.state: State = "stopped"
        self.failure: Failure | None = None
        self.restarts = 0
        self.misses = 0

    def status(self) -> ReplicaStatus:
        replica = self.replica
        if replica is None:
            return ReplicaStatus(None, self.state, self.failure, self.restarts, 0)
        return ReplicaStatus(replica.pid, self.state, self.failure, self.restarts, replica.rss_bytes)


def backoff_s(misses: int, *, loaded: bool) -> float:
    """Seconds before the next start after so many ends in a row without a batch that ran.

    The first death of a loaded replica costs nothing: it is what one bad message does. Then 0.5 s, doubling to 30 s.
    """
    exponent = misses - (2 if loaded else 1)
    return min(_MAX_BACKOFF_S, _BACKOFF_S * 2.0 ** min(exponent, 10)) if exponent >= 0 else 0.0
