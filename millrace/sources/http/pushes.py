"""POST of a push subscription: 204 once the message is durable, so that the sender stops delivering it."""

from __future__ import annotations

from collections.abc import Callable

from millrace.broker import Broker
from millrace.clock import Clock
from millrace.sources.http import problems
from millrace.sources.http.auth import bearer, same_secret
from millrace.sources.http.bodies import Bodies
from millrace.sources.http.replies import Reply
from millrace.sources.http.requests import Request
from millrace.sources.http.settings import PushRoute
from millrace.sources.push import read_push
from millrace.telemetry import Telemetry
from millrace.types import Put


class PushEndpoint:
    """A push path; its own token, where it has one, stands in for the gateway's."""

    def __init__(
        self,
        route: PushRoute,
        broker: Broker,
        bodies: Bodies,
        telemetry: Telemetry,
        draining: Callable[[], bool],
        clock: Clock,
    ) -> None:
        self._telemetry = telemetry
        self._route = route
        self._broker = broker
        self._bodies = bodies
        self._draining = draining
        self._clock = clock

    async def __call__(self, request: Request) -> Reply:
        self._check_token(request)
        if self._draining():
            raise problems.draining()
        with self._bodies.open(request) as body:
            content = await body.read()
            try:
                message = read_push(content, self._route.queue, self._clock.now())
            except ValueError as error:
                raise problems.bad_request(
                    f"The push is malformed: {error}.",
                    expected='{"message": {"messageId": "...", "data": "<base64>", "attributes": {}}, '
                    '"subscription": "..."}',
                ) from None
            (accepted,) = await self._broker.put([Put(self._route.queue, message)])
        self._telemetry.accepted(self._route.queue, 0 if accepted.duplicate else 1)
        return Reply(204, content_type=None)

    def _check_token(self, request: Request) -> None:
        token = self._route.token
        if not token:
            return
        given = dict(request.query).get("token") or bearer(request)
        if not same_secret(given, token):
            raise problems.unauthorized("the subscription's token, as ?token= or Authorization: Bearer")
