"""PostgreSQL with a password."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import struct
import subprocess
from pathlib import Path

from tests.services.processes import unprivileged
from tests.services.server import HOST, Server, ServiceError

USER = "millrace"
DATABASE = "postgres"
_PROTOCOL = 3 << 16
_DEBIAN = Path("/usr/lib/postgresql")


class Postgres(Server):
    """Settings are options of postgresql.conf, {"max_connections": "20"}. It runs as user postgres when we are root."""

    name = "postgres"
    package = "postgresql"
    stops_at = signal.SIGINT  # at SIGTERM it waits for its clients to leave

    def __init__(self, settings: dict[str, str] | None = None) -> None:
        super().__init__(settings)
        self._password = secrets.token_urlsafe(12)

    @classmethod
    def program(cls) -> Path | None:
        """Debian keeps each version's programs in a folder of its own: the newest, else the one on the PATH."""
        versions = sorted(_DEBIAN.glob("*/bin/postgres"), key=lambda path: float(path.parts[-3]))
        found = shutil.which("postgres")
        return versions[-1] if versions else Path(found) if found else None

    @property
    def url(self) -> str:
        return f"postgresql://{USER}:{self._password}@{HOST}:{self.port}/{DATABASE}"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def prepare(self) -> None:
        """Raises ServiceError when initdb fails."""
        super().prepare()
        program = self.program()
        assert program is not None
        secret = self.folder / "password"
        secret.write_text(self._password)
        self.data.mkdir(mode=0o700)
        if os.geteuid() == 0:
            shutil.chown(self.data, "postgres", "postgres")
        words = ["-D", str(self.data), "-U", USER, "-A", "scram-sha-256", "--pwfile", str(secret)]
        words += ["--no-sync", "--encoding", "UTF8", "--locale", "C.UTF-8"]
        made = subprocess.run(
            unprivileged("postgres", [str(program.with_name("initdb")), *words]), capture_output=True, text=True
        )
        secret.unlink()
        if made.returncode:
            raise ServiceError(f"initdb: {made.stdout}{made.stderr}")

    def command(self) -> list[str]:
        options = {"listen_addresses": HOST, "port": str(self.port), "unix_socket_directories": ""} | self.settings
        words = [word for option, value in options.items() for word in ("-c", f"{option}={value}")]
        return unprivileged("postgres", [str(self.program()), "-D", str(self.data), *words])

    def answers(self, connection: socket.socket) -> bool:
        """A startup message is answered by R, which asks for the password; by E while it starts or recovers."""
        words = f"user\0{USER}\0database\0{DATABASE}\0\0".encode()
        connection.sendall(struct.pack("!ii", len(words) + 8, _PROTOCOL) + words)
        return connection.recv(1) == b"R"
