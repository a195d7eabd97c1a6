"""The replica's main loop: load, then one batch after the other until Stop.

Two threads: this one runs user code; the other ends the process at once when the parent is gone, whatever user code is
doing, and reads a model's batches ahead (replica/inbox.py).
"""

from __future__ import annotations

import ctypes
import faulthandler
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections import deque
from importlib import import_module

from millrace.replica.contract import Contract, failure_of
from millrace.replica.inbox import Inbox
from millrace.replica.output import Output
from millrace.wire import Began, Frame, LoadFailed, Ready, Run, Setting, Spec, encode

_PR_SET_PDEATHSIG = 1
_PARENT_GONE = 70
LOAD_FAILED = 3


class Replica:
    """One function in this process, and the socket to the parent."""

    def __init__(self, connection: socket.socket, *, guest: bool = False) -> None:
        """`guest`: in a process that is not its own, where it neither takes over the output nor ends the process."""
        self._socket = connection
        self._guest = guest
        self._sending = threading.RLock()
        self._leaving = threading.Lock()
        self._unsent: deque[bytes | bytearray] = deque()
        self._writing = False
        self._inbox = Inbox(connection, self._leave)
        self._contract: Contract | None = None
        self._output = Output(self.send)

    def main(self, likely: str = "") -> int:
        """Serve until Stop; returns the exit code. The `likely` contract is imported while the Spec is on its way."""
        if likely:
            import_module(f"millrace.replica.{likely}")
        spec = self._inbox.get()
        if isinstance(spec, Setting):
            os.environb.clear()
            os.environb.update(spec.environment)
            time.tzset()
            spec = self._inbox.get()
        if not isinstance(spec, Spec):
            return 0
        if not self._guest:
            self._output.install(_log_level(spec.kind))
        if spec.kind == "model":
            self._inbox.read_ahead(self._arrived)
        else:
            self._inbox.watch()
        if not self._load(spec):
            return LOAD_FAILED
        while isinstance(run := self._inbox.get(), Run):
            self._run(run)
        return 0

    def send(self, frame: Frame) -> None:
        """Write a frame; what is written survives this process. Without a parent the process ends here."""
        data = encode(frame)
        with self._sending:
            self._unsent.append(data)
            if self._writing:
                return  # a signal handler or finaliser printed while this very thread writes: the outer call goes on
            self._writing = True
            try:
                while self._unsent:
                    self._socket.sendall(self._unsent.popleft())
            except OSError:
                self._leave()
            finally:
                self._writing = False

    def _load(self, spec: Spec) -> bool:
        try:
            with self._output.during("", ()):
                self._contract = contract = _load_contract(spec)
        except BaseException as error:  # sys.exit() in a module is a failure to load as well
            self.send(LoadFailed(failure_of(error)))
            return False
        self.send(Ready(contract.version))
        return True

    def _run(self, run: Run) -> None:
        assert self._contract is not None
        with self._output.during(run.request_id, [message.id for message in run.messages]):
            ran = self._contract.run(run, lambda: self.send(Began(run.batch)))
        self.send(ran)

    def _leave(self) -> None:
        """Nobody is there any more to answer to."""
        if not self._guest:
            # Both threads may notice at once, and not every os._exit stands that: coverage's first saves what it saw.
            self._leaving.acquire()
            # Not sys.exit: the main thread may be in a predict that never returns.
            os._exit(_PARENT_GONE)

    def _arrived(self, frame: Frame) -> None:
        if isinstance(frame, Run) and self._contract is not None:
            self._contract.ahead(frame)


def _log_level(kind: str) -> int:
    """A model's INFO is shown; handlers get Lambda's level, which is Python's own unless AWS_LAMBDA_LOG_LEVEL says."""
    if kind == "model":
        return logging.INFO
    told = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper()
    return logging.getLevelNamesMapping().get({"TRACE": "DEBUG"}.get(told, told), logging.WARNING)


def _load_contract(spec: Spec) -> Contract:
    contract: Contract = import_module(f"millrace.replica.{spec.kind}").load(spec)
    return contract


def _die_with_parent() -> None:
    """On Linux, also when user code holds the interpreter lock and the reader cannot run."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main(arguments: list[str]) -> int:
    """Run the replica whose socket's number is the first argument; the second is the contract it will likely need."""
    if len(arguments) not in (1, 2) or not arguments[0].isdigit():
        print("usage: python -m millrace.replica FD [CONTRACT] (started by millrace, not by hand)", file=sys.stderr)  # noqa: T201
        return 2
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with_parent()
    faulthandler.enable(all_threads=False)  # a segmentation fault says where: the parent quotes it
    connection = socket.socket(fileno=int(arguments[0]))
    connection.set_inheritable(False)
    # A process that user code forks must not keep the socket open: its EOF is how the parent sees us gone.
    os.register_at_fork(after_in_child=connection.close)
    return Replica(connection).main(*arguments[1:])
