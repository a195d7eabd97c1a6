"""The parent's side of one replica, from spawn to its last frame: a child process is born once and dies once.

What it printed and answered before it died is read to the end before anything is called lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
from collections import deque
from collections.abc import Callable, Mapping
from typing import IO, Literal

import msgspec

from millrace.aws import errors as lambda_errors
from millrace.clock import Clock
from millrace.flow.channel import Channel, Pipe
from millrace.flow.memory import rss_bytes
from millrace.flow.process import Spawn, describe_exit
from millrace.flow.request import Lost, Request
from millrace.types import Failure
from millrace.wire import Began, Frame, Line, LoadFailed, Ran, Ready, Spec, Stop

_LAST_LINES = 20
_MEMORY_POLL_S = 0.1
_QUICK_S = 0.005


class Replica:
    """One child process, with `environment` and nothing of ours beside it.

    `changed` is called whenever `state` or the number of batches inside changes.
    """

    def __init__(
        self,
        spec: Spec,
        environment: Mapping[str, str],
        clock: Clock,
        load_timeout_s: float,
        on_line: Callable[[Line], None],
        changed: Callable[[], None],
        spawn: Spawn,
    ) -> None:
        self.state: Literal["loading", "ready", "stopped"] = "loading"
        self.failure: Failure | None = None  # why it stopped
        self.loaded: Ready | None = None
        self.served = False  # at least one batch ran
        self.quick = False  # the last one was through in a moment
        self.inside: deque[Request] = deque()
        self.unbegun: list[Request] = []  # what stood behind another in a handler's replica when that died
        self.gone = asyncio.Event()
        self._spec = spec
        self._is_model = spec.kind == "model"
        self._clock = clock
        self._load_timeout_s = load_timeout_s
        self._on_line = on_line
        self._changed = changed
        self._stopping = False
        self._dying = False
        self._culprit: Request | None = None
        self._last_lines: deque[str] = deque(maxlen=_LAST_LINES)
        self._process = spawn(spec.root, environment, self._ended)
        self._since = clock.monotonic()
        self._printed = select.poll()  # whether there is anything in the pipes
        self._looked = False  # since the last frames came
        for file in self._process.outputs.values():
            self._printed.register(file, select.POLLIN)
        self._pipes = [self._pipe(stream, file) for stream, file in self._process.outputs.items()]
        self._channel = Channel(self._process.connection, self._readable)
        with contextlib.suppress(OSError):  # it is dead already: we shall be told
            self._channel.send(spec)
        self._guard = asyncio.create_task(self._watch_time())
        self._memory = asyncio.create_task(self._watch_memory()) if spec.memory_bytes else None

    @property
    def pid(self) -> int:
        """Its process's id."""
        return self._process.pid

    @property
    def usable(self) -> bool:
        """Whether it takes batches."""
        return self.state == "ready" and not self._stopping and not self._dying

    @property
    def rss_bytes(self) -> int:
        """Resident memory of the process, 0 when it is gone."""
        return 0 if self.state == "stopped" else rss_bytes(self.pid)

    def give(self, request: Request) -> bool:
        """Put a batch inside; False when the process is already gone and never saw it."""
        if self.inside and not self._is_model:
            self._channel.post(request.run)
            self.inside.append(request)
            return True
        try:
            self._channel.send(request.run)
        except OSError:
            self.kill()
            return False
        self.inside.append(request)
        if len(self.inside) == 1:
            self._lead()
        return True

    def stop(self) -> None:
        """Let it finish what is inside and exit; one that is still loading is killed."""
        self._stopping = True
        if self.state == "loading":
            self.kill()
        else:
            with contextlib.suppress(OSError):
                self._channel.send(Stop())

    def kill(self, reason: Failure | None = None) -> None:
        """End it now, with everything that it started; `reason` is what its batches are told."""
        if self.state != "stopped":
            self.failure = self.failure or reason
            self._dying = True
            self._process.kill()

    def _pipe(self, stream: str, file: IO[bytes]) -> Pipe:
        return Pipe(file, lambda text: self._line_of_pipe(stream, text))

    def _readable(self) -> bool:
        """Take what has arrived; False when there was nothing more."""
        try:
            frames = self._channel.receive()
            self._looked = False
            for frame in frames or ():
                self._take(frame)
            return frames is not None
        except EOFError:
            self.kill()  # a replica that closed its socket is of no use any more
            self._channel.close()
        except (msgspec.DecodeError, LookupError) as error:
            self.kill(Failure("ReplicaDied", f"the replica of {self._spec.function} broke the protocol: {error}"))
            self._channel.close()
        return False

    def _take(self, frame: Frame) -> None:
        if isinstance(frame, Ran):
            self._ran(frame)
        elif isinstance(frame, Began):
            head = self._head(frame.batch)
            self._read_pipes()
            head.begin(self._clock.monotonic())
        elif isinstance(frame, Line):
            self._line(frame)
        elif isinstance(frame, Ready):
            self._ready(frame)
        elif isinstance(frame, LoadFailed):
            self.failure = frame.failure

    def _head(self, batch: int) -> Request:
        if not self.inside or self.inside[0].run.batch != batch:
            raise LookupError(f"an answer for batch {batch}, which it was not asked for")
        return self.inside[0]

    def _ran(self, ran: Ran) -> None:
        head = self._head(ran.batch)
        self._read_pipes()
        self.inside.popleft()
        if self.inside:
            self._lead()
        self.served = self.served or ran.failure is None
        self.quick = ran.predict_s < _QUICK_S
        head.finish(ran)
        self._changed()

    def _lead(self) -> None:
        """One is the first inside now: a model says when it begins, a handler has begun."""
        head = self.inside[0]
        head.since = self._clock.monotonic()
        if not self._is_model:
            head.begin(head.since)

    def _ready(self, ready: Ready) -> None:
        self.loaded = ready
        self.state = "ready"
        # Anew: the old watch sleeps until the end of the load's limit, which may be later than a batch's.
        self._guard.cancel()
        self._guard = asyncio.create_task(self._watch_time())
        self._changed()

    def _line(self, line: Line) -> None:
        if line.stream == "stderr":
            self._last_lines.append(line.text)
        self._on_line(line)

    def _read_pipes(self) -> None:
        """Before the batch changes: what C code printed meanwhile belongs to the one that ends.

        Frames that came together need one look: all that was printed before the last of them is there at the first.
        """
        look, self._looked = not self._looked, True
        if look and self._printed.poll(0):
            for pipe in self._pipes:
                pipe.read()

    def _line_of_pipe(self, stream: str, text: str) -> None:
        head = next((request for request in self.inside if request.began), None)
        if head is None and len(self.inside) == 1:
            head = self.inside[0]
        ids = tuple(message.id for message in head.run.messages) if head else ()
        request_id = head.run.request_id if head else ""
        self._line(Line(stream, text, request_id, ids, self._clock.now(), self.pid))

    async def _watch_time(self) -> None:
        while (left_s := self._deadline() - self._clock.monotonic()) > 0:
            await self._clock.sleep(left_s)
        if self.inside and self.inside[0].began:
            self._culprit = self.inside[0]
        self.kill(self._overdue())

    def _deadline(self) -> float:
        """When it is killed unless something happens; a later call gives a later time, never an earlier one."""
        if self.state == "loading":
            return self._since + self._load_timeout_s
        since = self.inside[0].since if self.inside else self._clock.monotonic()
        return since + self._spec.timeout_s

    def _overdue(self) -> Failure:
        function = self._spec.function
        if self.state == "loading":
            return Failure("Timeout", f"load of {function} took longer than load_timeout {self._load_timeout_s:g} s")
        head = self.inside[0]
        if not self._is_model:
            return lambda_errors.timed_out(head.run.request_id, self._spec.timeout_s)
        what = "predict" if head.began else "preprocess"
        return Failure("Timeout", f"{what} of {function} took longer than timeout {self._spec.timeout_s:g} s")

    async def _watch_memory(self) -> None:
        limit = self._spec.memory_bytes
        while (seen := self.rss_bytes) <= limit:
            await self._clock.sleep(_MEMORY_POLL_S)
        text = f"{self._spec.function} used {seen / 1e6:.0f} MB, its memory limit is {limit / 1e6:.0f} MB"
        if self._is_model:
            self.kill(Failure("OutOfMemory", text))
        else:
            self.kill(lambda_errors.out_of_memory(self.inside[0].run.request_id if self.inside else "", text))

    def _ended(self, code: int) -> None:
        """The process is dead and reaped: read what it left, then answer for the batches that were inside."""
        self._dying = True
        for pipe in self._pipes:
            pipe.close()
        more = True
        while more:
            more = self._readable()
        self._channel.close()
        self._guard.cancel()
        if self._memory is not None:
            self._memory.cancel()
        self._lose(self.failure or self._death(code))
        self.state = "stopped"
        self._changed()
        self.gone.set()

    def _lose(self, failure: Failure) -> None:
        if not (self._stopping and not self.inside):
            self.failure = failure
        inside, self.inside = self.inside, deque()
        if not self._is_model:  # it begins one when the answer to the one before has left
            self.unbegun = [inside.pop() for _ in range(len(inside) - 1)][::-1]
        for request in inside:
            alone = request is self._culprit if self._culprit else len(inside) == 1
            request.finish(Lost(failure, alone))

    def _death(self, code: int) -> Failure:
        said = "\n".join(self._last_lines)
        if not self._is_model and (self.inside or self.loaded is None):
            id = self.inside[0].run.request_id if self.inside else ""
            return msgspec.structs.replace(lambda_errors.exited(id, code), traceback=said)
        busy = sum(len(request.run.messages) for request in self.inside)
        who, where = f"the replica (pid {self.pid})", f" with {busy} message{'s' * (busy != 1)} inside" if busy else ""
        if self.loaded is None:
            who, where = "the replica", " while it loaded"  # without a pid: the same failure reads the same
        text = f"{who} of {self._spec.function} {describe_exit(code)}{where}"
        return Failure("ReplicaDied", text, said)
