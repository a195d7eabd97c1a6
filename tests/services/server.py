"""A private server: started on loopback with its data in one folder; killed, paused and restarted by fault tests."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

import psutil

from tests.services.ports import free_port
from tests.services.processes import dismiss, guard, send, tree, wait_gone, wait_still

HOST = "127.0.0.1"
READY_S = 120.0  # a minute on an idle machine would be long; RabbitMQ takes one where four others want each core
STOP_S = 30.0


class ServiceError(Exception):
    """A server did not start, or ended too soon; the text holds its last lines."""


class Server(ABC):
    """One server. `with Redis() as redis: url = redis.start(tmp_path)`; leaving the block removes all of it.

    Every method returns when what it says is so: after `start` and `restart` the server has answered a client.
    """

    name: ClassVar[str]
    package: ClassVar[str]  # Debian's
    stops_at: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        """`settings` in the server's own words, beside what is set here: {"maxmemory": "10mb"}."""
        self.settings = dict(settings or {})
        self.port = 0
        self.folder = Path()
        self._temporary = False
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None

    @classmethod
    @abstractmethod
    def program(cls) -> Path | None:
        """Where the server's program is, None when it is not installed."""

    @property
    @abstractmethod
    def url(self) -> str:
        """What clients connect to, with credentials."""

    def prepare(self) -> None:
        """Make the data folder with what belongs into it; called once."""
        self.folder.mkdir(parents=True, exist_ok=True)

    @abstractmethod
    def command(self) -> list[str]:
        """The command line, in the foreground."""

    @abstractmethod
    def answers(self, connection: socket.socket) -> bool:
        """Whether the server, just connected to, speaks its protocol and is ready for clients."""

    def environment(self) -> dict[str, str]:
        return {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self.folder), "LANG": "C.UTF-8"}

    def start(self, folder: Path | None = None) -> str:
        """Start with new data in folder/NAME (None: a temporary one) on a free port; the URL, once it answers."""
        self.launch(folder)
        return self.wait_ready()

    def launch(self, folder: Path | None = None) -> None:
        """The first half of `start`: return while it boots."""
        self._temporary = folder is None
        self.folder = Path(tempfile.mkdtemp(prefix=f"millrace-{self.name}-")) if folder is None else folder / self.name
        self.port = free_port()
        self.prepare()
        self._spawn()

    def wait_ready(self) -> str:
        """The second half of `start`. Raises ServiceError when it ends, or does not answer within READY_S."""
        until = time.monotonic() + READY_S
        while not self._ready():
            if self._process is None or self._process.poll() is not None:
                raise ServiceError(f"{self.name} ended while it started:\n{self.last_lines()}")
            if time.monotonic() > until:
                raise ServiceError(f"{self.name} did not answer within {READY_S:.0f} s:\n{self.last_lines()}")
            time.sleep(0.02)
        return self.url

    @property
    def pid(self) -> int:
        """The server's process id. Raises ServiceError when it is not running."""
        if self._process is None:
            raise ServiceError(f"{self.name} is not running")
        return self._process.pid

    def stop(self) -> None:
        """Ask it to end, and wait until it has written what it holds; SIGKILL after STOP_S."""
        if self._process is None:
            return
        family = tree(self.pid)
        send(family[:1], self.stops_at)
        send(family, signal.SIGCONT)  # what is paused sees no other signal
        wait_gone(family, STOP_S)
        self.kill()

    def kill(self) -> None:
        """SIGKILL it and its children, as the kernel would when memory runs out; the data stays."""
        if self._process is None or self._guard is None:
            return
        family = tree(self.pid)
        send(family, signal.SIGKILL)
        self._process.wait()
        wait_gone(family, STOP_S)
        dismiss(self._guard)
        self._process = self._guard = None

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nothing answers. Raises ServiceError when something goes on for long."""
        still: set[psutil.Process] = set()
        while moving := set(tree(self.pid)) - still:  # what was started meanwhile is found the next time
            send(moving, signal.SIGSTOP)
            if not wait_still(moving, STOP_S):
                raise ServiceError(f"{self.name} did not stand still within {STOP_S:.0f} s")
            still |= moving

    def resume(self) -> None:
        """SIGCONT after `pause`."""
        send(tree(self.pid), signal.SIGCONT)

    def restart(self) -> None:
        """Start it again on the same port with the same data, in order if it is still running."""
        self.stop()
        self._spawn()
        self.wait_ready()

    def close(self) -> None:
        """Kill it and remove its data; nothing happens when nothing is left."""
        self.kill()
        if self.port:
            shutil.rmtree(self.folder, ignore_errors=True)

    def last_lines(self) -> str:
        """The end of the server's log."""
        with contextlib.suppress(OSError):
            return (self.folder / "server.log").read_text(errors="replace")[-3000:]
        return "it printed nothing"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _spawn(self) -> None:
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                cwd=self.folder,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for whoever started it
            )
        self._guard = guard(self._process.pid, self.folder if self._temporary else None)

    def _ready(self) -> bool:
        try:
            with socket.create_connection((HOST, self.port), timeout=1.0) as connection:
                return self.answers(connection)
        except OSError:
            return False
