"""A replica inside this very process, for a debugger: breakpoints stop where they stand, and nobody kills it for time.

The same loop as in a process of its own (replica/main.py), in a thread, speaking the same frames over a socket pair.
Leases are renewed meanwhile by the event loop, so a message waits at a breakpoint for as long as one likes. A debugger
that stops every thread stops that too: then leases run out, and the message comes again.

In exchange for the debugger the function loses what a process of its own gives: its environment, its folder and the
modules that it imports are this process's.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Callable, Mapping
from typing import IO

from millrace.aws.environment import CREDENTIALS
from millrace.config.schema import Project
from millrace.replica.main import Replica

_KILLED = -9
FOR_EVER_S = 7 * 86_400.0


class Inside:
    """A Child of the flow (flow/process.py) that is a thread; `kill` lets go of it, since nothing can end a thread."""

    outputs: Mapping[str, IO[bytes]] = {}  # what it prints goes where this process prints

    def __init__(self, root: str, environment: Mapping[str, str], ended: Callable[[int], None]) -> None:
        self.connection, theirs = socket.socketpair()
        self._theirs = theirs
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._over = False
        _become(root, environment)
        threading.Thread(target=self._serve, name="debugged-replica", daemon=True).start()

    @property
    def pid(self) -> int:
        """This process."""
        return os.getpid()

    def kill(self) -> None:
        """Close the socket: what user code is doing goes on, but nobody hears of it."""
        with contextlib.suppress(OSError):
            self._theirs.shutdown(socket.SHUT_RDWR)
        self._end(_KILLED)

    def _serve(self) -> None:
        code = Replica(self._theirs, guest=True).main()
        self._theirs.close()
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            self._loop.call_soon_threadsafe(self._end, code)

    def _end(self, code: int) -> None:
        if not self._over:
            self._over = True
            self._loop.call_soon(self._ended, code)


def unhurried(project: Project, function: str) -> Project:
    """The project with one replica of the function and no limits that would end it while somebody looks at it.

    The leases of its queues stay as they are: they are renewed, and should this process die they shall end soon.
    """
    limits = {"replicas": 1, "timeout": FOR_EVER_S, "load_timeout": FOR_EVER_S, "memory": None}
    functions = {**project.functions, function: project.functions[function].model_copy(update=limits)}
    return project.model_copy(update={"functions": functions})


def _become(root: str, environment: Mapping[str, str]) -> None:
    """Take on what a process of its own would have been given; another's credentials are put aside."""
    for name in CREDENTIALS - environment.keys():
        os.environ.pop(name, None)
    os.environ.update(environment)
    os.chdir(root)
