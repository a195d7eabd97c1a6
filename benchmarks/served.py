"""A server of somebody else's in a process of its own: started on a free port, awaited, and ended with its children."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import psutil

_PATIENCE_S = 90.0
_POLL_S = 0.1


def free_port() -> int:
    """A port of loopback that nobody holds at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def served(command: Sequence[str], url: str, folder: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """Its URL, once it answers there, whatever the answer. Raises RuntimeError with its last words."""
    with started(command, folder, environment) as (process, log):
        _await(process, url, log)
        yield url.rstrip("/")


@contextlib.contextmanager
def started(
    command: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A process and the file to which it prints; killed with its children afterwards."""
    number, name = tempfile.mkstemp(prefix="server-", suffix=".log", dir=folder)
    with os.fdopen(number, "wb") as output:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)
    try:
        yield process, Path(name)
    finally:
        _end(process.pid)
        process.wait()


def _await(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    give_up_at = time.monotonic() + _PATIENCE_S
    while time.monotonic() < give_up_at and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=_PATIENCE_S).close()
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(_POLL_S)
        else:
            return
    raise RuntimeError(f"no answer from {url}: {log.read_text(errors='replace')[-1000:]}")


def _end(pid: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        for process in [*parent.children(recursive=True), parent]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
