"""The gateway of a running project: its paths, its server, and how it ends."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Mapping

from starlette.types import ASGIApp, Receive, Scope, Send

from millrace.app.api_keys import FILE as API_KEYS
from millrace.app.api_keys import api_keys
from millrace.app.backend import Backend, Calls
from millrace.app.readiness import Reach, readiness
from millrace.app.triggers import pushes_of, routes_of
from millrace.clock import Clock
from millrace.config.schema import Project
from millrace.flow.inherited import TOKEN_VARIABLE
from millrace.flow.replicas import ReplicaSet
from millrace.sources.http import Caller, Server, Settings, create_app, starting
from millrace.telemetry import Telemetry


def token_of(project: Project) -> str | None:
    """The gateway's token: the environment's before the project file's."""
    return os.environ.get(TOKEN_VARIABLE) or project.gateway.token


class _Door:
    """The application behind the port; another from one request to the next."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        return self.app(scope, receive, send)


class Listener:
    """Listens where the project says; `start` returns the URL. Until it is opened it answers that it starts."""

    def __init__(self, project: Project) -> None:
        gateway = project.gateway
        made_here = not all(gateway.api_keys.values())
        self.keys_file = project.state / API_KEYS if made_here else None  # where keys without a value have got one
        self._project = project
        self._host, self._port = gateway.host, gateway.port
        self._draining = False
        self._url = ""
        self._door = _Door(starting)
        self._server = Server(self._door)

    def open(
        self,
        backend: Backend,
        calls: Calls,
        callers: Mapping[str, Caller],
        replicas: Mapping[str, ReplicaSet],
        reach: Reach,
        telemetry: Telemetry,
        clock: Clock,
    ) -> None:
        """Answer with the project's paths from now on; handlers are called by `callers`, else the way of `calls`.

        Raises MillraceError for paths that cannot be, StorageError where keys cannot be kept.
        """
        project = self._project
        gateway = project.gateway
        keys = api_keys(gateway.api_keys, project.state)
        self._door.app = create_app(
            settings=Settings(
                service=project.service,
                token=token_of(project),
                max_body_bytes=gateway.max_body,
                max_wait_s=gateway.max_wait,
                api_keys=keys,
            ),
            routes=routes_of(project, calls.queues),
            queues=backend.queues,
            pushes=pushes_of(project),
            broker=backend.broker,
            results=backend.results,
            memory=calls.broker,
            memory_results=calls.results,
            telemetry=telemetry,
            readiness=lambda: readiness(replicas, reach),
            draining=lambda: self._draining,
            callers=callers,
            clock=clock,
        )

    async def start(self) -> str:
        """Listen, unless it does; the URL under which it is reached. Raises InUse when the port is taken."""
        if not self._url:
            port = await self._server.start(self._host, self._port)
            host = f"[{self._host}]" if ":" in self._host else self._host
            self._url = f"http://{host}:{port}"
        return self._url

    async def close(self) -> None:
        """Leave the port now."""
        await self._server.close()

    def refuse(self) -> None:
        """Answer what is new with 503; what is in flight goes on."""
        self._draining = True

    async def drain(self, timeout_s: float) -> None:
        """Refuse what is new, answer what is in flight, and leave the port."""
        self.refuse()
        await self._server.drain(timeout_s)
        await self._server.close()
