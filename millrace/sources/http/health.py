"""What machines and the curious ask of the gateway itself: is it up, is it ready, how is it doing, what is here."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from millrace.sources.http import problems
from millrace.sources.http.replies import Reply, json_reply
from millrace.sources.http.requests import Request
from millrace.sources.http.settings import Readiness
from millrace.telemetry import Telemetry


async def healthz(request: Request) -> Reply:
    """GET /healthz: this process answers."""
    return json_reply({"status": "ok"})


class ReadyEndpoint:
    """GET /readyz: 200 when broker and database answer, every function is loaded and nothing drains, else 503.

    It answers everybody, since a balancer has no token; which functions there are, and why one does not load, it tells
    those alone whom `trusted` lets in.
    """

    def __init__(
        self,
        readiness: Callable[[], Readiness],
        draining: Callable[[], bool],
        trusted: Callable[[Request], bool],
    ) -> None:
        self._readiness = readiness
        self._draining = draining
        self._trusted = trusted

    async def __call__(self, request: Request) -> Reply:
        if self._draining():
            raise problems.draining()
        readiness = self._readiness()
        details = readiness.details if self._trusted(request) else None
        if not readiness.ready:
            raise problems.not_ready(details)
        return json_reply({"status": "ready"} | ({} if details is None else {"details": details}))


class MetricsEndpoint:
    """GET /metrics: all counters in Prometheus's text format."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    async def __call__(self, request: Request) -> Reply:
        text, content_type = self._telemetry.exposition()
        return Reply(200, text, content_type.encode())


class Document:
    """A JSON document that does not change while the gateway runs."""

    def __init__(self, value: object) -> None:
        self._reply = json_reply(value)

    async def __call__(self, request: Request) -> Reply:
        return self._reply


def index(service: str, paths: Sequence[str]) -> Document:
    """GET /: the service and its paths."""
    return Document({"service": service, "paths": list(paths), "openapi": "/openapi.json"})
