"""The port at which a worker says how it is, for those who start and stop workers."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from millrace.app.readiness import Reach, readiness
from millrace.clock import Clock
from millrace.errors import ConfigError
from millrace.flow.inherited import TOKEN_VARIABLE
from millrace.flow.replicas import ReplicaSet
from millrace.sources.http import Server
from millrace.sources.http.probes import create_probes
from millrace.telemetry import Telemetry

_HIGHEST_PORT = 65535


def address_of(text: str) -> tuple[str, int]:
    """Host and port of `8401`, `0.0.0.0:8401` or `[::]:8401`; a port alone is one of loopback. Raises ConfigError."""
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdecimal() and int(port) <= _HIGHEST_PORT):
        raise ConfigError(f"--health {text} is no address", "expected a port, or HOST:PORT such as 0.0.0.0:8401")
    return host.strip("[]") or "127.0.0.1", int(port)


class HealthListener:
    """Listens at an address; `start` returns the URL. Nothing can be put into a queue through it."""

    def __init__(
        self,
        address: tuple[str, int],
        replicas: Mapping[str, ReplicaSet],
        reach: Reach,
        telemetry: Telemetry,
        draining: Callable[[], bool],
        clock: Clock,
    ) -> None:
        self._host, self._port = address
        app = create_probes(
            host=self._host,
            token=os.environ.get(TOKEN_VARIABLE),
            telemetry=telemetry,
            readiness=lambda: readiness(replicas, reach),
            draining=draining,
            clock=clock,
        )
        self._server = Server(app, options="health")

    async def start(self) -> str:
        """Listen; the URL under which it is reached. Raises InUse when the port is taken."""
        port = await self._server.start(self._host, self._port)
        return f"http://{f'[{self._host}]' if ':' in self._host else self._host}:{port}"

    async def close(self) -> None:
        """Leave the port."""
        await self._server.close()
