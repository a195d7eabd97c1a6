"""Whether a project's functions can work, in words for /readyz and for the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from millrace.flow.replicas import ReplicaSet
from millrace.sources.http import Readiness


class Reach:
    """What was heard when broker and database were last asked: `away` says which does not answer, "" when both do."""

    def __init__(self) -> None:
        self.away = "the broker and the database have not answered yet"


def readiness(replicas: Mapping[str, ReplicaSet], reach: Reach) -> Readiness:
    """Ready when broker and database answer, and every function of this process has a loaded replica."""
    details: dict[str, Any] = {"functions": {name: _details(found) for name, found in replicas.items()}}
    if reach.away:
        details["away"] = reach.away
    return Readiness(not reach.away and all(found.ready for found in replicas.values()), details)


def _details(replicas: ReplicaSet) -> dict[str, Any]:
    status = replicas.status()
    details: dict[str, Any] = {
        "ready": replicas.ready > 0,
        "version": replicas.version,
        "replicas": dict(Counter(replica.state for replica in status)),
    }
    if failure := next((replica.failure for replica in status if replica.failure), None):
        details["failure"] = {"type": failure.type, "message": failure.message}
    return details
