"""The two protocols of SQS: JSON 1.0, which SDKs speak since 2023, and the query protocol, which they spoke before.

A protocol reads a call into (action, request) and writes a result or an error. Sources: AWS JSON 1.0 protocol and the
trait `awsQueryCompatible` in the Smithy documentation; SQS developer guide, "Making requests".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Protocol

import msgspec

from millrace.aws.endpoint.call import Call, Reply
from millrace.aws.sqs import xml
from millrace.aws.sqs.errors import SqsError, missing
from millrace.aws.sqs.form import fields, malformed, shaped
from millrace.aws.sqs.requests import Request
from millrace.ids import new_uuid

_TARGET = "AmazonSQS."
_ABSENT = re.compile(r"missing required field `(\w+)`(?: - at `\$(.*)`)?")
_INDEX = re.compile(r"\.(\w+)\[(?:(\d+)|\.\.\.)\]")
_json = msgspec.json.Encoder()

Inputs = Mapping[str, type[Request]]  # by action


class Wire(Protocol):
    """One of the two."""

    def read(self, call: Call, inputs: Inputs) -> tuple[str, Any]:
        """The action and its request. Raises SqsError."""
        ...

    def answer(self, action: str, result: msgspec.Struct | None) -> Reply:
        """The reply to what was done; None where the action answers nothing."""
        ...

    def refuse(self, error: SqsError) -> Reply:
        """The reply to what could not be done."""
        ...


def wire_of(call: Call) -> Wire:
    """The protocol in which a call came, and in which its reply goes."""
    return JSON if "x-amz-target" in call.headers else QUERY


class JsonWire:
    """AWS JSON 1.0: the action in a header, its request decoded straight into the declared structure."""

    def read(self, call: Call, inputs: Inputs) -> tuple[str, Any]:
        action = call.headers["x-amz-target"].removeprefix(_TARGET)
        request = inputs.get(action)
        if request is None:
            raise _unknown(action)
        try:
            return action, _decoder(request).decode(call.body or b"{}")
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise _unread(error) from None

    def answer(self, action: str, result: msgspec.Struct | None) -> Reply:
        return Reply(200, _json_headers(), b"" if result is None else _json.encode(result))

    def refuse(self, error: SqsError) -> Reply:
        headers = _json_headers()
        headers["x-amzn-query-error"] = f"{error.code};{'Sender' if error.sender else 'Receiver'}"
        return Reply(error.json_status, headers, _json.encode({"__type": error.type, "message": error.message}))


class QueryWire:
    """The query protocol: everything in a form or in the URL; the queue may be in the path."""

    def read(self, call: Call, inputs: Inputs) -> tuple[str, Any]:
        try:
            form = fields(call.query) | fields(call.body.decode())
        except UnicodeDecodeError:
            raise malformed("it is not UTF-8") from None
        action = form.get("Action", "")
        request = inputs.get(action)
        if request is None:
            raise _unknown(action) if action else missing("Action")
        if call.path.strip("/"):
            form.setdefault("QueueUrl", call.path)
        try:
            return action, msgspec.convert(shaped(form, request), request)
        except msgspec.ValidationError as error:
            raise _unread(error) from None

    def answer(self, action: str, result: msgspec.Struct | None) -> Reply:
        id = new_uuid()
        return Reply(200, _xml_headers(id), xml.answer(action, result, id))

    def refuse(self, error: SqsError) -> Reply:
        id = new_uuid()
        return Reply(error.query_status, _xml_headers(id), xml.refusal(error, id))


JSON = JsonWire()
QUERY = QueryWire()


@cache
def _decoder(request: type[Request]) -> msgspec.json.Decoder[Request]:
    return msgspec.json.Decoder(request)


def _json_headers() -> dict[str, str]:
    return {"content-type": "application/x-amz-json-1.0", "x-amzn-requestid": new_uuid()}


def _xml_headers(id: str) -> dict[str, str]:
    return {"content-type": "text/xml", "x-amzn-requestid": id}


def _unknown(action: str) -> SqsError:
    return SqsError("UnknownOperationException", f"The action {action[:80]} is not valid for this endpoint.")


def _unread(error: Exception) -> SqsError:
    """What was wrong with a request, from what msgspec says of it."""
    absent = _ABSENT.search(str(error))
    if absent is None:
        return malformed(str(error)[:200])
    name, path = absent.groups()
    places = [f"{field}.{int(index or 0) + 1}." for field, index in _INDEX.findall(path or "")]
    return missing("".join(places) + name)
