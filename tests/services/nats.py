"""NATS with JetStream."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
from pathlib import Path

from tests.services.server import HOST, Server

_FLUSH_EACH = (2, 10)  # the version from which the disk can be flushed at each message; before, it is every 2 minutes


class Nats(Server):
    """Settings are keys of the configuration's jetstream block, {"max_file": "64MB"}.

    The disk is flushed at each message where the server can (2.10 and later).
    """

    name = "nats"
    package = "nats-server"

    @classmethod
    def program(cls) -> Path | None:
        found = shutil.which("nats-server")
        return Path(found) if found else None

    @property
    def url(self) -> str:
        return f"nats://{HOST}:{self.port}"

    def prepare(self) -> None:
        super().prepare()
        stream = {"store_dir": json.dumps(str(self.folder / "jetstream"))}
        if self._version() >= _FLUSH_EACH:
            stream["sync_interval"] = "always"
        block = "\n".join(f"  {key}: {value}" for key, value in (stream | self.settings).items())
        text = f'listen: "{HOST}:{self.port}"\nserver_name: millrace\njetstream {{\n{block}\n}}\n'
        (self.folder / "nats.conf").write_text(text)

    def command(self) -> list[str]:
        return [str(self.program()), "--config", str(self.folder / "nats.conf")]

    def answers(self, connection: socket.socket) -> bool:
        """The server's first line says whether JetStream runs."""
        greeting = connection.makefile("rb").readline()
        return greeting.startswith(b"INFO ") and json.loads(greeting[5:]).get("jetstream") is True

    def _version(self) -> tuple[int, ...]:
        said = subprocess.run([str(self.program()), "--version"], check=True, capture_output=True, text=True).stdout
        found = re.search(r"(\d+)\.(\d+)", said)
        return tuple(int(part) for part in found.groups()) if found else (0, 0)
