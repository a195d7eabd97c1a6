"""The part of Lambda's API that callers of functions use: Invoke, and reading what there is.

Functions are made by the project file alone. Source: AWS Lambda API reference, "Invoke" and "Common Errors"; quotas:
AWS Lambda developer guide, "Lambda quotas" (6 MB for synchronous payloads, 1 MB for asynchronous ones).
"""

from __future__ import annotations

import binascii
import re
import uuid
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol, get_args
from urllib.parse import parse_qs, unquote

import msgspec

from millrace.aws.endpoint.call import Call, Reply
from millrace.aws.endpoint.event_sources import EventSource, EventSources
from millrace.aws.endpoint.refusal import Refusal, number
from millrace.aws.environment import LATEST

Kind = Literal["RequestResponse", "Event", "DryRun"]
_MAX_SYNC_BYTES = 6_291_456
_MAX_ASYNC_BYTES = 1_048_576
_MAX_ANSWER_BYTES = 6_291_556
_MAX_CONTEXT_CHARS = 3_583
_MAX_LOG_BYTES = 4_096
_PATH = re.compile(r"/(2015-03-31|2014-11-13)/functions(?:/([^/]*)(?:/([a-z-]+))?)?/?")
_NAME = re.compile(
    r"(?:arn:aws[a-z-]*:lambda:([a-z0-9-]+):(\d{12}):function:|(?:(\d{12}):)?function:)?"
    r"([A-Za-z0-9_.-]{1,140})(?::(\$LATEST|[A-Za-z0-9_-]{1,128}))?"
)


class Offered(NamedTuple):
    """An action: its request, how near it comes to AWS's, and what differs."""

    method: str
    path: str
    support: Literal["yes", "partly"]
    note: str


# Read by the compatibility page; a test sends each of these requests.
LAMBDA_ACTIONS: Mapping[str, Offered] = {
    "Invoke": Offered(
        "POST",
        "/2015-03-31/functions/{}/invocations",
        "partly",
        "RequestResponse, Event and DryRun, the tail of the log, the client context; of versions $LATEST alone",
    ),
    "InvokeAsync": Offered("POST", "/2014-11-13/functions/{}/invoke-async/", "yes", "as Invoke with Event"),
    "GetFunction": Offered("GET", "/2015-03-31/functions/{}", "partly", "the configuration; there is no code to load"),
    "GetFunctionConfiguration": Offered(
        "GET",
        "/2015-03-31/functions/{}/configuration",
        "partly",
        "name, ARN, handler, runtime, description, time limit, memory and state",
    ),
    "GetEventSourceMapping": Offered(
        "GET", "/2015-03-31/event-source-mappings/{}", "partly", "those of the project file's queue and table events"
    ),
    "ListEventSourceMappings": Offered(
        "GET",
        "/2015-03-31/event-source-mappings/",
        "partly",
        "those of the project file; making, changing and deleting one is refused, since the file says what calls whom",
    ),
    "ListFunctions": Offered("GET", "/2015-03-31/functions/", "partly", "as GetFunctionConfiguration, in pages"),
}


class Function(msgspec.Struct, frozen=True):
    """What AWS tells of a function: `name` is AWS's, `key` the project file's."""

    key: str
    name: str
    handler: str
    runtime: str
    timeout_s: float
    memory_mb: int
    description: str = ""


class Answer(msgspec.Struct, frozen=True):
    """What an invocation gave: `payload` is JSON, `failed` says that it is an error document, `log` its last lines."""

    payload: bytes = b""
    failed: bool = False
    log: str = ""


class Invoker(Protocol):
    """Calls the functions of a project."""

    functions: Sequence[Function]

    async def invoke(
        self, function: Function, payload: bytes, kind: Kind, *, request_id: str, client_context: str = ""
    ) -> Answer:
        """Call it and give its answer; for Event return when the call is durable. `client_context` is JSON."""
        ...


class Functions:
    """Lambda, as far as a project's functions go."""

    def __init__(self, invoker: Invoker, *, account: str, region: str, sources: Sequence[EventSource] = ()) -> None:
        self._invoker = invoker
        self._sources = EventSources(sources)
        self._account = account
        self._region = region
        self._by_key = {function.key: function for function in invoker.functions}
        self._by_name = {function.name: function for function in invoker.functions}

    async def handle(self, call: Call) -> Reply:
        """Answer one request."""
        request_id = str(uuid.uuid4())
        try:
            reply = await self._handle(call, request_id)
        except Refusal as refusal:
            reply = _refused(refusal)
        return Reply(reply.status, {**reply.headers, "x-amzn-requestid": request_id}, reply.body)

    async def _handle(self, call: Call, request_id: str) -> Reply:
        if (mappings := self._sources.answer(call)) is not None:
            return _json(200, mappings)
        found = _PATH.fullmatch(call.path)
        version, identifier, what = found.groups("") if found else ("", "", "")
        match (call.method, version, what if identifier else "list"):
            case ("POST", "2015-03-31", "invocations"):
                return await self._invoke(call, self._find(identifier, call.query), request_id)
            case ("POST", "2014-11-13", "invoke-async"):
                function = self._find(identifier, call.query)
                await self._event(call, function, request_id)
                return _json(202, {"Status": 202})
            case ("GET", "2015-03-31", "list"):
                return self._list(call.query)
            case ("GET", "2015-03-31", ""):
                return _json(200, {"Configuration": self._configuration(self._find(identifier, call.query))})
            case ("GET", "2015-03-31", "configuration"):
                return _json(200, self._configuration(self._find(identifier, call.query)))
        text = f"{call.method} {call.path} is not offered: the project file makes functions, this API calls them."
        raise Refusal(404, "UnknownOperationException", text)

    async def _invoke(self, call: Call, function: Function, request_id: str) -> Reply:
        kind = _kind(call.headers)
        if kind == "Event":
            await self._event(call, function, request_id)
            return Reply(202)
        payload = _payload(call.body, _MAX_SYNC_BYTES)
        if kind == "DryRun":
            return Reply(204)
        tail = _one_of(call.headers, "x-amz-log-type", "logType", ("None", "Tail")) == "Tail"
        context = _client_context(call.headers)
        answer = await self._invoker.invoke(function, payload, kind, request_id=request_id, client_context=context)
        return _answered(answer, tail=tail)

    async def _event(self, call: Call, function: Function, request_id: str) -> None:
        payload = _payload(call.body, _MAX_ASYNC_BYTES)
        context = _client_context(call.headers)
        await self._invoker.invoke(function, payload, "Event", request_id=request_id, client_context=context)

    def _find(self, identifier: str, query: str) -> Function:
        text = unquote(identifier)
        parts = _NAME.fullmatch(text)
        if parts is None:
            raise _invalid(text, "functionName", f"Member must satisfy regular expression pattern: {_NAME.pattern}")
        region, account, short_account, name, qualifier = parts.groups()
        qualifier = qualifier or next(iter(parse_qs(query).get("Qualifier", [])), LATEST)
        function = self._by_name.get(name) or self._by_key.get(name)
        elsewhere = (region or self._region) != self._region or (
            (account or short_account or self._account) != self._account
        )
        if function is None or elsewhere or qualifier != LATEST:
            arn = f"arn:aws:lambda:{region or self._region}:{account or short_account or self._account}:function:{name}"
            raise Refusal(
                404,
                "ResourceNotFoundException",
                f"Function not found: {arn}{'' if qualifier == LATEST else ':' + qualifier}",
            )
        return function

    def _list(self, query: str) -> Reply:
        given = parse_qs(query)
        start, most = (number(given, name, default) for name, default in (("Marker", 0), ("MaxItems", 50)))
        functions = sorted(self._invoker.functions, key=lambda function: function.name)
        page = [self._configuration(function) for function in functions[start : start + most]]
        rest = {"NextMarker": str(start + most)} if start + most < len(functions) else {}
        return _json(200, {"Functions": page, **rest})

    def _configuration(self, function: Function) -> dict[str, Any]:
        return {
            "FunctionName": function.name,
            "FunctionArn": f"arn:aws:lambda:{self._region}:{self._account}:function:{function.name}",
            "Runtime": function.runtime,
            "Handler": function.handler,
            "Description": function.description,
            "Timeout": max(1, round(function.timeout_s)),
            "MemorySize": function.memory_mb,
            "Version": LATEST,
            "PackageType": "Zip",
            "State": "Active",
            "LastUpdateStatus": "Successful",
        }


def _answered(answer: Answer, *, tail: bool) -> Reply:
    headers = {"content-type": "application/json", "x-amz-executed-version": LATEST}
    payload, failed = answer.payload, answer.failed
    if len(payload) > _MAX_ANSWER_BYTES:
        text = f"Response payload size exceeded maximum allowed payload size ({_MAX_ANSWER_BYTES} bytes)."
        document = {"errorMessage": text, "errorType": "Function.ResponseSizeTooLarge"}
        payload, failed = msgspec.json.encode(document), True
    if failed:
        headers["x-amz-function-error"] = "Unhandled"
    if tail:
        headers["x-amz-log-result"] = b64encode(answer.log.encode()[-_MAX_LOG_BYTES:]).decode()
    return Reply(200, headers, payload)


def _kind(headers: Mapping[str, str]) -> Kind:
    kind: Kind = _one_of(headers, "x-amz-invocation-type", "invocationType", get_args(Kind))
    return kind


def _one_of(headers: Mapping[str, str], header: str, field: str, values: Sequence[Any]) -> Any:
    """A header's value, which must be one of these; the first when it was not sent."""
    value = headers.get(header) or values[0]
    if value not in values:
        raise _invalid(value, field, f"Member must satisfy enum value set: [{', '.join(values)}]")
    return value


def _payload(body: bytes, limit: int) -> bytes:
    """The event as JSON; nothing at all is an empty object."""
    if len(body) > limit:
        text = f"Request must be smaller than {limit} bytes for the InvokeFunction operation"
        raise Refusal(413, "RequestTooLargeException", text)
    try:
        msgspec.json.decode(body or b"{}")
    except (msgspec.DecodeError, RecursionError) as error:
        text = f"Could not parse request body into json: {error}"
        raise Refusal(400, "InvalidRequestContentException", text) from None
    return body or b"{}"


def _client_context(headers: Mapping[str, str]) -> str:
    """The JSON in X-Amz-Client-Context, "" without one."""
    encoded = headers.get("x-amz-client-context", "")
    if not encoded:
        return ""
    try:
        text = b64decode(encoded, validate=True).decode()
        fits = len(encoded) <= _MAX_CONTEXT_CHARS and isinstance(msgspec.json.decode(text), dict)
    except (binascii.Error, ValueError, msgspec.DecodeError, RecursionError):
        fits = False
    if not fits:
        text = f"Client context must be a base64-encoded JSON object of at most {_MAX_CONTEXT_CHARS} characters."
        raise Refusal(400, "InvalidRequestContentException", text)
    return text


def _invalid(value: str, field: str, constraint: str) -> Refusal:
    text = f"1 validation error detected: Value '{value:.200}' at '{field}' failed to satisfy constraint: {constraint}"
    return Refusal(400, "ValidationException", text)


def _refused(refusal: Refusal) -> Reply:
    reply = _json(refusal.status, {"Type": "User", "Message": str(refusal), "message": str(refusal)})
    return Reply(reply.status, {**reply.headers, "x-amzn-errortype": refusal.code}, reply.body)


def _json(status: int, value: Any) -> Reply:
    return Reply(status, {"content-type": "application/json"}, msgspec.json.encode(value))
