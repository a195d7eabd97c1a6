"""An SQS that can be killed: `millrace up` with its own endpoint, as a server like the others."""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path

from tests.services.server import HOST, Server


class Endpoint(Server):
    """A project that has nothing but `aws:`."""

    name = "sqs"
    package = "millrace"

    @classmethod
    def program(cls) -> Path | None:
        return Path(sys.executable)

    @property
    def url(self) -> str:
        return f"sqs://local:local@us-east-1?endpoint=http://{HOST}:{self.port}"

    def prepare(self) -> None:
        super().prepare()
        project = {"service": "sqs", "aws": {"port": self.port}, "gateway": {"port": 0}}
        (self.folder / "millrace.yml").write_text(json.dumps(project))

    def command(self) -> list[str]:
        return [str(self.program()), "-m", "millrace", "up", "--project", str(self.folder)]

    def environment(self) -> dict[str, str]:
        ours = {name: value for name, value in os.environ.items() if not name.startswith("MILLRACE_")}
        return ours | super().environment()

    def answers(self, connection: socket.socket) -> bool:
        """Any answer to HTTP."""
        connection.sendall(f"GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
        return connection.recv(5) == b"HTTP/"
