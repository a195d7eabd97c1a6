"""What a process without a gateway answers: is it up, is it ready, how is it doing."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from starlette.types import ASGIApp

from millrace.clock import Clock
from millrace.loopback import is_loopback
from millrace.sources.http import health
from millrace.sources.http.app import OPEN_PATHS, Gateway
from millrace.sources.http.auth import Guard
from millrace.sources.http.paths import Paths
from millrace.sources.http.settings import Readiness
from millrace.telemetry import Telemetry

_LINGER_S = 2.0


def create_probes(
    *,
    host: str,
    token: str | None,
    telemetry: Telemetry,
    readiness: Callable[[], Readiness],
    draining: Callable[[], bool],
    clock: Clock,
) -> ASGIApp:
    """The application that listens on `host`: /healthz and /readyz for everybody, /metrics for those with the token.

    Without a token /metrics and the reasons at /readyz are told on loopback alone: elsewhere nobody can show one.
    """
    guard = Guard(token or (None if is_loopback(host) else secrets.token_urlsafe()), OPEN_PATHS)
    paths = Paths()
    paths.add("GET", "/healthz", health.healthz)
    paths.add("GET", "/readyz", health.ReadyEndpoint(readiness, draining, guard.trusts))
    paths.add("GET", "/metrics", health.MetricsEndpoint(telemetry))
    return Gateway(paths.router(guard), _LINGER_S, telemetry, clock)
