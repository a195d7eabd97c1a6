"""A replica's process: started with one end of a socket pair, ended with everything that it started.

`Child` is what the flow needs of it; app/inside.py offers another for debugging.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from typing import IO, NamedTuple, Protocol


class Child(Protocol):
    """What runs the child's side of the protocol; `connection` is our end of its socket."""

    connection: socket.socket

    @property
    def pid(self) -> int:
        """The process in which it runs."""
        ...

    @property
    def outputs(self) -> Mapping[str, IO[bytes]]:
        """What has to be read of it beside the socket, by the name of the stream."""
        ...

    def kill(self) -> None:
        """End it now, as far as that is possible; harmless when it has ended."""
        ...


Spawn = Callable[[str, Mapping[str, str], Callable[[int], None]], Child]  # root, environment, ended (exit code)


class Begun(NamedTuple):
    """A child process that nobody watches yet, and our end of its socket."""

    process: subprocess.Popen[bytes]
    connection: socket.socket


def begin(root: str, environment: Mapping[str, str], *arguments: str) -> Begun:
    """Start a replica, with more `arguments` than its socket's number. Raises OSError when it cannot be started."""
    ours, theirs = socket.socketpair()
    try:
        process = subprocess.Popen(
            # -P: a logging.py or queue.py of the user's must not replace the standard library's while we start.
            [sys.executable, "-P", "-u", "-m", "millrace.replica", str(theirs.fileno()), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[theirs.fileno()],
            cwd=root,
            env=dict(environment),
            process_group=0,  # Ctrl-C in the terminal is the parent's to handle
            bufsize=0,
        )
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    return Begun(process, ours)


class Process:
    """A child process in a group of its own; `connection` is our end of its socket, `environment` all its variables.

    `ended` is called in the event loop with the exit code (negative: a signal's number) once it is dead and reaped.
    Raises OSError when it cannot be started.
    """

    def __init__(
        self,
        root: str,
        environment: Mapping[str, str],
        ended: Callable[[int], None],
        *,
        begun: Begun | None = None,
    ) -> None:
        """`begun` is one that was started already, with this folder and environment."""
        self._process, self.connection = begun or begin(root, environment)
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._watch()

    @property
    def pid(self) -> int:
        """Its process id, and that of its group."""
        return self._process.pid

    @property
    def outputs(self) -> dict[str, IO[bytes]]:
        """Its standard output and error; whoever takes them closes them."""
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        return {"stdout": self._process.stdout, "stderr": self._process.stderr}

    def kill(self) -> None:
        """SIGKILL to the whole group; harmless when it is dead."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def _watch(self) -> None:
        try:
            self._pidfd = os.pidfd_open(self.pid)
        except (AttributeError, OSError):  # not Linux, or not allowed: a thread waits instead
            threading.Thread(target=self._wait, name=f"wait-{self.pid}", daemon=True).start()
        else:
            self._loop.add_reader(self._pidfd, self._exited)

    def _exited(self) -> None:
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self.kill()  # before it is reaped: until then its group's number cannot be anybody else's
        self._ended(self._process.wait())

    def _wait(self) -> None:
        code = self._process.wait()
        self.kill()
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            self._loop.call_soon_threadsafe(self._ended, code)


def describe_exit(code: int) -> str:
    """`exited with code 3` or `was killed by SIGSEGV`."""
    if code >= 0:
        return f"exited with code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"
