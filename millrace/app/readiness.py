"""Whether a project's functions can work, in words for /readyz and for the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from millrace.flow.replicas import ReplicaSet
from millrace.sources.http import Readiness


def readiness(replicas: Mapping[str, ReplicaSet]) -> Readiness:
    """Ready when every function of this process has a loaded replica."""
    details = {name: _details(found) for name, found in replicas.items()}
    return Readiness(all(found.ready for found in replicas.values()), {"functions": details})


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
