"""The gateway as an ASGI application: path → guard → endpoint → reply; every error becomes a problem here.

It is Starlette's router under one thin layer. Starlette's own error middleware is left out: it would wrap each
request twice more, and answer in plain text.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from starlette.types import ASGIApp, Receive, Scope, Send

from millrace.broker import Broker
from millrace.clock import Clock, SystemClock
from millrace.source import DEFAULT_ROUTE
from millrace.sources.http import health, problems
from millrace.sources.http.auth import Guard
from millrace.sources.http.bodies import Bodies
from millrace.sources.http.calls import Caller, Calls, HandlerEndpoint
from millrace.sources.http.intake import Intake, ModelEndpoint, QueueEndpoint
from millrace.sources.http.keys import KeyedEndpoint
from millrace.sources.http.lingering import send_and_linger
from millrace.sources.http.openapi import describe
from millrace.sources.http.paths import ROUTE, STATUS, Paths
from millrace.sources.http.pushes import PushEndpoint
from millrace.sources.http.requests import Endpoint
from millrace.sources.http.results import ResultsEndpoint
from millrace.sources.http.settings import PushRoute, Readiness, Route, Settings
from millrace.sources.http.waiting import Waiting
from millrace.store import Results
from millrace.telemetry import Telemetry

# Label values must be few, whatever clients send; 499 is nginx's word for a client that went away.
_COUNTED = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_GONE = 499
OPEN_PATHS = frozenset({"/healthz", "/readyz"})  # answered without the token


def create_app(
    *,
    settings: Settings,
    routes: Sequence[Route],
    queues: Sequence[str],
    pushes: Sequence[PushRoute],
    broker: Broker,
    results: Results,
    memory: Broker,
    memory_results: Results,
    telemetry: Telemetry,
    readiness: Callable[[], Readiness],
    draining: Callable[[], bool],
    callers: Mapping[str, Caller] = {},
    clock: Clock | None = None,
) -> ASGIApp:
    """The gateway of one project.

    `queues` are those that /queues/{name} puts into. Handlers are called by `callers`, under their functions' names.
    Others, and calls with a key, go through `memory` and `memory_results`, where a queue named by each handler's route
    must be declared. Raises MillraceError for paths that cannot be.
    """
    clock = clock or SystemClock()
    bodies = Bodies(settings)
    waiting = Waiting(results, draining, clock, settings.max_waiting)
    # A drain lets calls finish: their answers are nowhere else.
    calling = Waiting(memory_results, lambda: False, clock, settings.max_waiting)
    intake = Intake(broker, waiting, bodies, telemetry, draining, clock)
    calls = Calls(memory, callers, calling, bodies, draining, clock)

    guard = Guard(settings.token, OPEN_PATHS.union(push.path for push in pushes if push.token))
    paths = Paths()
    paths.add("GET", "/healthz", health.healthz)
    paths.add("GET", "/readyz", health.ReadyEndpoint(readiness, draining, guard.trusts))
    paths.add("GET", "/metrics", health.MetricsEndpoint(telemetry))
    paths.add("GET", "/openapi.json", health.Document(describe(settings, routes, queues, pushes)))
    paths.add("GET", "/results/{id+}", ResultsEndpoint(waiting, settings.max_wait_s))
    paths.add("POST", "/queues/{name}", QueueEndpoint(intake, queues))
    for push in pushes:
        paths.add("POST", push.path, PushEndpoint(push, broker, bodies, telemetry, draining, clock))
    for route in routes:
        model = route.kind == "model"
        endpoint: Endpoint = ModelEndpoint(intake, route.queue) if model else HandlerEndpoint(calls, route)
        if route.key:
            endpoint = KeyedEndpoint(endpoint, settings.api_keys)
        paths.add(route.method, route.path, endpoint, route.cors)
    if "/" not in paths.known and DEFAULT_ROUTE not in {route.path for route in routes}:
        paths.add("GET", "/", health.index(settings.service, paths.known))
    return Gateway(paths.router(guard), settings.linger_s, telemetry, clock)


class Gateway:
    """Hands to the router, turns every error into a problem, and counts."""

    def __init__(self, router: ASGIApp, linger_s: float, telemetry: Telemetry, clock: Clock) -> None:
        self._router = router
        self._linger_s = linger_s
        self._telemetry = telemetry
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"the gateway serves http, not {scope['type']}")
        began = self._clock.monotonic()
        try:
            await self._router(scope, receive, send)
        except problems.Disconnected:
            pass
        except asyncio.CancelledError:
            # The server's drain ran out of time: the one who waits is told, and may ask again elsewhere.
            await self._refuse(problems.draining(), scope, receive, send)
        except Exception as error:
            await self._refuse(problems.translated(error), scope, receive, send)
        method = scope["method"] if scope["method"] in _COUNTED else "other"
        seconds = self._clock.monotonic() - began
        self._telemetry.request(method, scope.get(ROUTE, ""), scope.get(STATUS, _GONE), seconds)

    async def _refuse(self, problem: problems.Problem, scope: Scope, receive: Receive, send: Send) -> None:
        scope[STATUS] = problem.status
        if problem.unread:
            await send_and_linger(problem.reply(), receive, send, self._linger_s)
        else:
            await problem.reply().send(send)
