"""Calls a project's functions for Lambda's API: through the queue of calls where somebody waits, else durably."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from millrace.app.backend import Backend, Calls, call_queues
from millrace.app.tails import Tails
from millrace.aws.context import CLIENT_CONTEXT_ATTRIBUTE
from millrace.aws.endpoint.functions import Answer, Function, Kind
from millrace.aws.environment import memory_mb
from millrace.aws.errors import document
from millrace.aws.log import Invocation, log_of
from millrace.clock import Clock
from millrace.config.schema import Project
from millrace.errors import MillraceError
from millrace.flow.replicas import ReplicaSet
from millrace.flow.spec import spec_of
from millrace.source import EVENT_ATTRIBUTE, RAW_EVENT
from millrace.types import JSON, Message, Put, Record

_SLICE_S = 60.0  # a signal that got lost costs no more than this


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
        calls = self._calls(function)
        queue = calls.queues[function.key].name
        with self._tails.watch(message.id) as tail:
            await calls.broker.put([Put(queue, message)])
            try:
                record = await self._answered(calls, message.id)
            finally:
                # Nobody waits any more: what has not begun need not.
                if calls.broker.capabilities.browsable:
                    await calls.broker.purge(queue, [message.id])
        failure = record.failure
        payload = msgspec.json.encode(document(failure, message.id)) if failure else bytes(record.value or b"null")
        return Answer(payload, failure is not None, self._log(function, message.id, tail.text, record))

    def _calls(self, function: Function) -> Calls:
        if function.key in self._replicas:
            return self._backend.calls
        if self._backend.shares_calls:
            return self._backend.calls_elsewhere
        raise MillraceError(f"{function.name} does not run in this process: nobody can wait for its answer here.")

    async def _answered(self, calls: Calls, id: str) -> Record:
        while True:
            record = await calls.results.wait(id, _SLICE_S)
            if record is not None and record.state in ("done", "dead"):
                return record

    def _log(self, function: Function, id: str, text: str, record: Record) -> str:
        if (found := self._replicas.get(function.key)) is None:
            return ""  # its lines are in the log of the process that ran it
        ended = Invocation(
            id,
            function.memory_mb,
            spent_s=record.finished_at - record.started_at,
            ended_at=record.finished_at,
            used_bytes=max((status.rss_bytes for status in found.status()), default=0),
            failure=record.failure,
        )
        return log_of(ended, text)


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
