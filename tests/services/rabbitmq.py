"""RabbitMQ: a node of its own, with an epmd, a cookie and data of its own."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from tests.services.ports import free_port
from tests.services.processes import dismiss, guard, send, tree
from tests.services.server import HOST, Server, ServiceError

_DEBIAN = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")  # the one in /usr/sbin changes folder, user and HOME
_ERLANG = "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none"
_CONTROL_S = 120.0


class Rabbitmq(Server):
    """Settings are lines of rabbitmq.conf, {"vm_memory_high_watermark.absolute": "200MB"}.

    A quorum queue that was declared within the last second or so does not outlive `kill`: Raft's registry of names goes
    to disk 0.5 s later (`auto_save` in ra_directory), and a queue that is not in it is made again, empty and without a
    leader. `keep_names` writes it at once.
    """

    name = "rabbitmq"
    package = "rabbitmq-server"

    def __init__(self, settings: dict[str, str] | None = None) -> None:
        super().__init__(settings)
        self._names_port = self._distribution_port = 0
        self._names: subprocess.Popen[bytes] | None = None
        self._names_guard: subprocess.Popen[bytes] | None = None

    @classmethod
    def program(cls) -> Path | None:
        found = shutil.which("rabbitmq-server")
        return _DEBIAN if _DEBIAN.exists() else Path(found) if found else None

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@{HOST}:{self.port}/"

    def prepare(self) -> None:
        super().prepare()
        self._names_port, self._distribution_port = free_port(), free_port()
        lines = {
            "listeners.tcp.1": f"{HOST}:{self.port}",
            "disk_free_limit.absolute": "50MB",
            "vm_memory_high_watermark.absolute": "1GB",
            "log.console": "true",
            "log.console.level": "info",
            "log.file": "false",
        } | self.settings
        (self.folder / "rabbitmq.conf").write_text("".join(f"{key} = {value}\n" for key, value in lines.items()))
        (self.folder / "plugins").write_text("[].\n")
        # Erlang starts an epmd that outlives everybody unless one is there.
        self._names = subprocess.Popen(
            ["epmd", "-port", str(self._names_port), "-address", HOST],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._names_guard = guard(self._names.pid)

    def command(self) -> list[str]:
        return [str(self.program())]

    def environment(self) -> dict[str, str]:
        folder = self.folder
        return super().environment() | {
            "RUNNING_UNDER_SYSTEMD": "true",  # the script becomes the node instead of waiting for it
            "ERL_EPMD_PORT": str(self._names_port),
            "ERL_EPMD_ADDRESS": HOST,
            "RABBITMQ_NODENAME": f"millrace{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": _ERLANG,
        }

    def answers(self, connection: socket.socket) -> bool:
        """A protocol header is answered with the method frame Connection.Start; the port opens last of all."""
        connection.sendall(b"AMQP\x00\x00\x09\x01")
        return connection.recv(1) == b"\x01"

    def control(self, *arguments: str) -> str:
        """What `rabbitmqctl ARGUMENTS` prints: delete_queue, close_all_connections, set_vm_memory_high_watermark, ...

        Takes a second or two. Raises ServiceError when it fails.
        """
        program = self.program()
        assert program is not None
        done = subprocess.run(
            [str(program.with_name("rabbitmqctl")), "--quiet", *arguments],
            env=self.environment(),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=_CONTROL_S,
        )
        if done.returncode:
            raise ServiceError(f"rabbitmqctl {json.dumps(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout

    def keep_names(self) -> None:
        """Write the names of the quorum queues that are there to disk: a `kill` costs them nothing from now on."""
        self.control("eval", "ok = dets:sync(ra_directory_reverse).")

    def restart(self) -> None:
        """Try once more when it ends while it starts: what a kill left behind was still being tidied up."""
        self.stop()
        self._wait_nameless()
        self._spawn()
        try:
            self.wait_ready()
        except ServiceError:
            if self._process is not None and self._process.poll() is None:
                raise
            self.kill()
            self._spawn()
            self.wait_ready()

    def close(self) -> None:
        super().close()
        if self._names is not None and self._names_guard is not None:
            send(tree(self._names.pid), signal.SIGKILL)
            self._names.wait()
            dismiss(self._names_guard)
            self._names = None

    def _wait_nameless(self) -> None:
        """Return when epmd knows no node: one whose name is taken does not start. Raises ServiceError."""
        until = time.monotonic() + _CONTROL_S
        while self._names_known():
            if time.monotonic() > until:
                raise ServiceError(f"epmd still has the node's name after {_CONTROL_S:.0f} s")
            time.sleep(0.02)

    def _names_known(self) -> bytes:
        """What epmd answers to NAMES_REQ (110): its port in 4 bytes, then a line for each node."""
        with socket.create_connection((HOST, self._names_port), timeout=_CONTROL_S) as connection:
            connection.sendall(b"\x00\x01n")
            with connection.makefile("rb") as answer:
                return answer.read()[4:]
