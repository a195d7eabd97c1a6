"""Calls a project's functions for Lambda's API: through the queue of calls where somebody waits, else durably."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from millrace.app.backend import Backend, call_queues
from millrace.app.tails import Tails
from millrace.aws.context import CLIENT_CONTEXT_ATTRIBUTE
from millrace.aws.endpoint.functions import Answer, Function, Kind
from millrace.aws.environment import LATEST, memory_mb
from millrace.aws.errors import document
from millrace.clock import Clock
from millrace.config.schema import Project
from millrace.errors import MillraceError
from millrace.flow.replicas import ReplicaSet
from millrace.flow.spec import spec_of
from millrace.source import EVENT_ATTRIBUTE, RAW_EVENT
from millrace.types import JSON, Failure, Message, Put, Record

_SLICE_S = 0.5  # after which a function that cannot load is noticed


class ProjectInvoker:
    """Implements `aws.endpoint.functions.Invoker`; `replicas` are those of this process."""

    def __init__(
        self,
        project: Project,
        backend: Backend,
        tails: Tails,
        replicas: Mapping[str, ReplicaSet],
        clock: Clock,
    ) -> None:
        self.functions: Sequence[Function] = list(_functions(project))
        self._project = project
        self._backend = backend
        self._tails = tails
        self._replicas = replicas
        self._clock = clock

    async def invoke(
        self, function: Function, payload: bytes, kind: Kind, *, request_id: str, client_context: str = ""
    ) -> Answer:
        """See the port. A function that cannot be loaded answers with why, as Lambda's init errors do."""
        attributes = {"content-type": JSON, EVENT_ATTRIBUTE: RAW_EVENT}
        if client_context:
            attributes[CLIENT_CONTEXT_ATTRIBUTE] = client_context
        message = Message(request_id, payload, attributes, self._clock.now())
        if kind == "Event":
            await self._backend.broker.put([Put(self._project.inbox(function.key), message)])
            return Answer()
        return await self._call(function, message)

    async def _call(self, function: Function, message: Message) -> Answer:
        if function.key not in self._replicas:
            raise MillraceError(f"{function.name} does not run in this process: nobody can wait for its answer here.")
        memory = self._backend.memory
        with self._tails.watch(message.id) as tail:
            await memory.put([Put(function.key, message)])
            try:
                record = await self._answered(function.key, message.id)
            finally:
                # Nobody waits any more: what has not begun need not.
                await memory.purge(function.key, [message.id])
        failure = record.failure
        payload = msgspec.json.encode(document(failure, message.id)) if failure else bytes(record.value or b"null")
        return Answer(payload, failure is not None, self._log(function, message.id, tail.text, record))

    async def _answered(self, function: str, id: str) -> Record:
        while True:
            record = await self._backend.memory_results.wait(id, _SLICE_S)
            if record is not None and record.state in ("done", "dead"):
                return record
            if failure := self._load_failure(function):
                return Record(id, function, "dead", failure=failure)

    def _load_failure(self, function: str) -> Failure | None:
        found = self._replicas.get(function)
        if found is None or found.ready:
            return None
        return next((status.failure for status in found.status() if status.state == "failed" and status.failure), None)

    def _log(self, function: Function, id: str, text: str, record: Record) -> str:
        """The lines between START and REPORT, as Lambda's log has them."""
        spent_ms = max(0.0, record.finished_at - record.started_at) * 1000
        found = self._replicas.get(function.key)
        used = max((status.rss_bytes for status in found.status()), default=0) if found else 0
        report = [
            f"REPORT RequestId: {id}",
            f"Duration: {spent_ms:.2f} ms",
            f"Billed Duration: {math.ceil(spent_ms)} ms",
            f"Memory Size: {function.memory_mb} MB",
            *([f"Max Memory Used: {used // 2**20} MB"] if used else []),
        ]
        error = "" if record.failure is None else _error_lines(record.failure)
        end = f"END RequestId: {id}\n" + "\t".join(report) + "\t\n"
        return f"START RequestId: {id} Version: {LATEST}\n{text}{error}{end}"


def _error_lines(failure: Failure) -> str:
    """As Lambda's Python runtime logs what a handler raised."""
    return "\n".join(filter(None, (f"[ERROR] {failure.type}: {failure.message}", failure.traceback))) + "\n"


def _functions(project: Project) -> Iterator[Function]:
    for key in call_queues(project):
        config, spec = project.functions[key], spec_of(project, key)
        yield Function(
            key=key,
            name=config.name or key,
            handler=spec.target,
            runtime=f"python{sys.version_info.major}.{sys.version_info.minor}",
            timeout_s=config.timeout,
            memory_mb=int(memory_mb(spec)),
            description=config.description,
        )
