"""`millrace up` in a process of its own, as a user starts it: its address, its replicas, its metrics, its end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import httpx
import psutil

from millrace.errors import MillraceError

COMMAND = (sys.executable, "-m", "millrace", "up")
_MAX_LINE_BYTES = 1 << 20
_ADDRESS = re.compile(r"listening on (http://[\w.\[\]:-]*:\d+)")
_REPLICA = "millrace.replica"


class ServerProcess:
    """A running `millrace up`; start it, use `url`, and stop it whatever happens."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.url = ""
        self.log = log
        self._process = process
        self._address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._pump = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, folder: Path, arguments: Sequence[str] = ()) -> ServerProcess:
        """Start it on a free loopback port and return once it says where it listens; its output goes to server.log."""
        process = await asyncio.create_subprocess_exec(
            *(*COMMAND, "--project", str(folder), "--port", "0", *arguments),
            cwd=folder,
            env=_environment(),
            limit=_MAX_LINE_BYTES,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the caller alone, who then stops this in order
        )
        server = cls(process, folder / "server.log")
        try:
            server.url = await server._address
        except BaseException:
            await server.kill()
            raise
        return server

    @property
    def pid(self) -> int:
        """The parent's process id."""
        return self._process.pid

    def replicas(self) -> list[int]:
        """The pids of the replica processes that live now."""
        return [process.pid for process in self._children() if _is_replica(process)]

    def kill_replica(self) -> int | None:
        """SIGKILL one replica; its pid, None when there was none to kill."""
        for pid in self.replicas():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                return pid
        return None

    async def wait_ready(self, client: httpx.AsyncClient) -> None:
        """Return once /readyz says that every function is loaded. Raises MillraceError when the server ends first."""
        while self._process.returncode is None:
            response = await client.get(f"{self.url}/readyz")
            if response.is_success:
                return
            await asyncio.sleep(0.05)
        raise self._ended()

    async def stop(self, limit_s: float = 30.0) -> int:
        """SIGTERM, then the exit code; SIGKILL after limit_s."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(limit_s):
                await self._process.wait()
        except TimeoutError:
            await self.kill()
        await self._pump
        return self._process.returncode or 0

    async def kill(self) -> None:
        """End it and its replicas at once; nothing happens when it has ended."""
        for process in self._children():
            with contextlib.suppress(psutil.Error):
                process.kill()
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        await self._pump

    def _children(self) -> list[psutil.Process]:
        try:
            return list(psutil.Process(self.pid).children(recursive=True))
        except psutil.NoSuchProcess:
            return []

    async def _read(self) -> None:
        assert self._process.stdout is not None
        with self.log.open("wb") as log:
            async for line in self._process.stdout:
                self._note(line, log)
        await self._process.wait()
        if not self._address.done():
            self._address.set_exception(self._ended())

    def _note(self, line: bytes, log: BinaryIO) -> None:
        log.write(line)
        log.flush()
        if not self._address.done() and (found := _ADDRESS.search(line.decode(errors="replace"))):
            self._address.set_result(found.group(1))

    def _ended(self) -> MillraceError:
        last = self.log.read_text(errors="replace")[-2000:].strip()
        return MillraceError(f"millrace up exited with {self._process.returncode}", last or "it printed nothing")


def _environment() -> dict[str, str]:
    """Ours, less what would choose another project, and with lines that come as they are printed."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MILLRACE_")} | {
        "PYTHONUNBUFFERED": "1"
    }


def _is_replica(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return _REPLICA in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE
    return False
