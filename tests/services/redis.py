"""Redis with an append-only file."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

from tests.services.server import HOST, Server


class Redis(Server):
    """Settings are options of redis.conf, {"appendfsync": "always"}; without them the disk is flushed every second."""

    name = "redis"
    package = "redis-server"

    @classmethod
    def program(cls) -> Path | None:
        found = shutil.which("redis-server") or shutil.which("valkey-server")
        return Path(found) if found else None

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}/0"

    def command(self) -> list[str]:
        options = {"bind": HOST, "port": str(self.port), "dir": str(self.folder), "appendonly": "yes", "save": ""}
        words = [word for option, value in (options | self.settings).items() for word in (f"--{option}", value)]
        return [str(self.program()), *words]

    def answers(self, connection: socket.socket) -> bool:
        """A ping is answered with -LOADING until the append-only file is read."""
        connection.sendall(b"PING\r\n")
        return connection.recv(64).startswith(b"+PONG")
