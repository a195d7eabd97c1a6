"""The three ways in which `invoke` calls a function.

through the endpoint of the `up` that runs     a handler's whole event
put into its durable queue                     Event, where no endpoint takes it
in a replica of its own                        everything else
"""

from __future__ import annotations

import asyncio
import base64
import http.client
import time
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote, urlsplit

import msgspec

from millrace.aws import errors
from millrace.aws.context import CLIENT_CONTEXT_ATTRIBUTE
from millrace.aws.endpoint import beacon
from millrace.cli.output import note
from millrace.errors import LoadError, MillraceError
from millrace.loopback import is_loopback
from millrace.types import Failure, Message

if TYPE_CHECKING:
    from millrace.config.schema import Project
    from millrace.flow.process import Spawn
    from millrace.flow.replicas import Lost, ReplicaSet
    from millrace.wire import Line, Ran

_PATIENCE_S = 5.0  # beyond the function's own limits


class Call(msgspec.Struct, frozen=True):
    """What is asked: `whole_event` says that the message is an event rather than a message of a queue."""

    function: str
    message: Message
    kind: Literal["RequestResponse", "Event", "DryRun"]
    whole_event: bool
    log: bool


class Told(msgspec.Struct, frozen=True):
    """What is printed: `payload` is JSON."""

    payload: bytes
    failed: bool = False
    log: str = ""


def answer(project: Project, call: Call, spawn: Spawn) -> Told:
    """Call the function the way that there is. Raises MillraceError when it cannot be called."""
    if project.functions[call.function].kind != "model" and call.whole_event:
        if (url := _endpoint(project)) is not None:
            return _through(url, project, call)
        if call.kind == "Event":
            return asyncio.run(_put(project, call))
    if call.kind == "DryRun":
        return _status(204, call.message.id)
    return asyncio.run(_alone(project, call, spawn))


def _endpoint(project: Project) -> str | None:
    """The endpoint that runs, unless it wants signatures."""
    if project.aws is None or not is_loopback(project.aws.host):
        return None
    return beacon.find(project.state)


def _through(url: str, project: Project, call: Call) -> Told:
    """Lambda's Invoke; source: AWS Lambda API reference, "Invoke"."""
    function, parts = project.functions[call.function], urlsplit(url)
    context = call.message.attributes.get(CLIENT_CONTEXT_ATTRIBUTE, "")
    headers = {
        "content-type": "application/json",
        "x-amz-invocation-type": call.kind,
        **({"x-amz-log-type": "Tail"} if call.log and call.kind == "RequestResponse" else {}),
        **({"x-amz-client-context": base64.b64encode(context.encode()).decode()} if context else {}),
    }
    path = f"/2015-03-31/functions/{quote(_name(project, call.function))}/invocations"
    limit_s = function.load_timeout + function.timeout + _PATIENCE_S
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=limit_s)
    try:
        connection.request("POST", path, call.message.body, headers)
        response = connection.getresponse()
        return _told(response, response.read())
    except (OSError, http.client.HTTPException) as error:
        hint = "it may have stopped meanwhile: try again"
        raise MillraceError(f"the running millrace at {url} did not answer: {error}", hint) from error
    finally:
        connection.close()


def _told(response: http.client.HTTPResponse, body: bytes) -> Told:
    if response.status >= 400:
        code = response.getheader("x-amzn-errortype") or f"status {response.status}"
        try:
            refusal = msgspec.json.decode(body, type=dict)
        except msgspec.DecodeError:
            refusal = {}
        raise MillraceError(f"{code}: {refusal.get('message') or refusal.get('Message') or 'no reason given'}")
    if response.status != 200:
        return _status(response.status, response.getheader("x-amzn-requestid") or "")
    log = base64.b64decode(response.getheader("x-amz-log-result") or "").decode(errors="replace")
    return Told(body, response.getheader("x-amz-function-error") is not None, log)


def _name(project: Project, key: str) -> str:
    """The name by which Lambda's API finds the function: its key, unless that is what AWS calls another."""
    others = {function.name for name, function in project.functions.items() if name != key}
    return (project.functions[key].name or key) if key in others else key


def _status(code: int, request_id: str) -> Told:
    return Told(msgspec.json.encode({"StatusCode": code, "RequestId": request_id}))


async def _put(project: Project, call: Call) -> Told:
    from millrace.app import open_backend
    from millrace.types import Put

    queue = project.inbox(call.function)
    message = msgspec.structs.replace(call.message, sent_at=time.time())
    backend = await open_backend(project)
    try:
        await backend.broker.put([Put(queue, message)])
    finally:
        await backend.close()
    note(f"{message.id} is stored in {queue}: {call.function} runs it while `millrace up` does")
    return _status(202, message.id)


async def _alone(project: Project, call: Call, spawn: Spawn) -> Told:
    from millrace.cli.standby import endpoint_around

    async with endpoint_around(project) as endpoint:
        return await Alone(project, call, endpoint, spawn).answer()


class Alone:
    """A call in a replica of its own."""

    def __init__(self, project: Project, call: Call, endpoint: dict[str, str] | None, spawn: Spawn) -> None:
        from millrace.clock import SystemClock
        from millrace.flow.replicas import ReplicaSet
        from millrace.flow.spec import environment_of, spec_of

        self._project = project
        self._call = call
        self._lines: list[str] = []
        self._replicas: ReplicaSet = ReplicaSet(
            spec_of(project, call.function),
            count=1,
            environment=environment_of(project, call.function, endpoint),
            clock=SystemClock(),
            load_timeout_s=project.functions[call.function].load_timeout,
            on_line=self._hear,
            spawn=spawn,
        )

    async def answer(self) -> Told:
        """Start, call, end. Raises LoadError for a model that cannot be loaded; a handler's failure is its answer."""
        await self._replicas.start()
        try:
            await self._replicas.until(lambda found: found.status()[0].state != "loading")
            if self._replicas.spec.kind == "model":
                _check_loaded(self._replicas)
            began = time.monotonic()
            value, failure = _result(await self._run())
            used_bytes = self._replicas.status()[0].rss_bytes
            log = self._log(time.monotonic() - began, used_bytes, failure) if self._call.log else ""
        finally:
            await self._replicas.kill()
        if failure is None:
            return Told(value, log=log)
        document = _of_model(failure) if self._replicas.spec.kind == "model" else self._document(failure)
        return Told(document, failed=True, log=log)

    async def _run(self) -> Ran | Lost:
        from millrace.ids import new_id
        from millrace.wire import Run

        message, queue = self._call.message, self._project.inbox(self._call.function)
        return await self._replicas.run(Run(1, message.id, queue, [message], [1], [new_id()]), impatient=True)

    def _document(self, failure: Failure) -> bytes:
        return msgspec.json.encode(errors.document(failure, self._call.message.id))

    def _log(self, spent_s: float, used_bytes: int, failure: Failure | None) -> str:
        from millrace.aws.environment import memory_mb
        from millrace.aws.log import Invocation, log_of

        memory = int(memory_mb(self._replicas.spec))
        ended = Invocation(self._call.message.id, memory, spent_s, time.time(), used_bytes, failure)
        return log_of(ended, "".join(f"{line}\n" for line in self._lines))

    def _hear(self, line: Line) -> None:
        if self._call.log and line.request_id:
            self._lines.append(line.text)
        else:
            note(line.text)


def _result(answer: Ran | Lost) -> tuple[bytes, Failure | None]:
    from millrace.wire import Ran

    if not isinstance(answer, Ran):
        return b"", answer.failure
    failure = answer.failure or answer.failures.get(0)
    return (b"", failure) if failure else (answer.values[0] or b"null", None)


def _check_loaded(replicas: ReplicaSet) -> None:
    failure = replicas.status()[0].failure
    if failure is not None:
        text = f"{replicas.spec.function} did not load: {failure.type}: {failure.message}"
        raise LoadError(text, failure.traceback.rstrip())


def _of_model(failure: Failure) -> bytes:
    told = {"errorType": failure.type, "errorMessage": failure.message, "stackTrace": failure.traceback.splitlines()}
    return msgspec.json.encode(told)
