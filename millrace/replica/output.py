"""Everything that user code prints or logs becomes a Line that knows which messages were being worked on.

Python's sys.stdout, sys.stderr and logging send Lines over the socket, each at its newline: what is in the socket
survives this process. What C code or subprocesses write to the file descriptors 1 and 2 goes through pipes that the
parent reads.
"""

from __future__ import annotations

import io
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar, Token
from typing import Any, NamedTuple

from millrace.wire import Line

_MAX_LINE = 32_768


class Work(NamedTuple):
    """What a thread is working on."""

    request_id: str = ""
    message_ids: tuple[str, ...] = ()


_IDLE = Work()
working: ContextVar[Work] = ContextVar("working", default=_IDLE)


class Output:
    """Turns text into Lines; one for the process."""

    def __init__(self, send: Callable[[Line], None]) -> None:
        self._send = send
        self._main = _IDLE
        self._pid = os.getpid()
        self._partial = threading.local()

    def install(self, level: int = logging.INFO) -> None:
        """Take over sys.stdout, sys.stderr and the root logger, which lets pass what is of `level` or above."""
        sys.stdout = Stream(self, "stdout", 1)
        sys.stderr = Stream(self, "stderr", 2)
        root = logging.getLogger()
        root.addHandler(_Handler(self))
        root.setLevel(level)
        os.register_at_fork(after_in_child=_plain_streams)

    def during(self, request_id: str, message_ids: Sequence[str]) -> _During:
        """Lines of this thread, and of threads that user code started, belong to this batch within `with`."""
        return _During(self, Work(request_id, tuple(message_ids)))

    def begin(self, work: Work) -> Token[Work]:
        """From now on lines belong to it."""
        self._main = work
        return working.set(work)

    def end(self, begun: Token[Work]) -> None:
        """Its last line may lack a newline; what comes now belongs to nothing."""
        self.flush()
        working.reset(begun)
        self._main = _IDLE

    def line(self, stream: str, text: str) -> None:
        """Send text as Lines, one for each newline in it; very long lines are cut into several."""
        work = working.get()
        if work is _IDLE:
            work = self._main
        at = time.time()
        text = text.encode("utf-8", "replace").decode()
        for part in text.split("\n"):
            part = part.rstrip("\r")
            for start in range(0, len(part) or 1, _MAX_LINE):
                chunk = part[start : start + _MAX_LINE]
                self._send(Line(stream, chunk, work.request_id, work.message_ids, at, self._pid))

    def write(self, stream: str, text: str) -> None:
        """Text of a stream: whole lines are sent, the rest waits for its newline or a flush, by thread."""
        partial = vars(self._partial)
        text = partial.pop(stream, "") + text
        whole, newline, rest = text.rpartition("\n")
        if newline:
            self.line(stream, whole)
        if len(rest) > _MAX_LINE:
            self.line(stream, rest)
        elif rest:
            partial[stream] = rest

    def flush(self) -> None:
        """Send what this thread printed without a newline."""
        partial = vars(self._partial)
        for stream in list(partial):
            self.line(stream, partial.pop(stream))


class _During:
    """One batch within `with`: a class, since a generator would cost each call several times as much."""

    __slots__ = ("_begun", "_output", "_work")

    def __init__(self, output: Output, work: Work) -> None:
        self._output = output
        self._work = work

    def __enter__(self) -> None:
        self._begun = self._output.begin(self._work)

    def __exit__(self, *_: object) -> None:
        self._output.end(self._begun)


class Stream(io.TextIOBase):
    """sys.stdout or sys.stderr of user code; `buffer` and `fileno()` are the pipe below."""

    errors = "replace"

    def __init__(self, output: Output, name: str, fd: int) -> None:
        self._output = output
        self._name = name
        self._fd = fd
        self.buffer = io.FileIO(fd, "w", closefd=False)

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    def write(self, text: str, /) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        self._output.write(self._name, text)
        return len(text)

    def flush(self) -> None:
        self._output.flush()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._fd


class _Handler(logging.Handler):
    def __init__(self, output: Output) -> None:
        super().__init__()
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record)
        except Exception as error:  # a log call with the wrong arguments must not fail the item
            text = f"{record.msg!r} (cannot be formatted: {error})"
        self._output.line(record.levelname, text)


def _plain_streams() -> Any:
    """In a process that user code forked: the socket belongs to the replica, so write to the pipes instead."""
    sys.stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), "utf-8", "replace", write_through=True)
    sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), "utf-8", "replace", write_through=True)
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _Handler)]:
        root.removeHandler(handler)
        root.addHandler(logging.StreamHandler())
