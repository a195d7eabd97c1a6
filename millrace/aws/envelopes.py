"""What Lambda sends about an invocation that nobody waited for: an envelope, or an event with attributes.

Shapes: AWS Lambda developer guide, "Adding a destination" and "Adding a dead-letter queue"; for streams, "Retain
discarded batch records".
"""

from __future__ import annotations

import re
import uuid
from typing import Any, Literal

import msgspec

from millrace.aws import attributes, errors
from millrace.aws.arns import function_arn
from millrace.aws.environment import LATEST
from millrace.aws.events import dynamodb
from millrace.aws.moments import millis_text, seconds_text
from millrace.ids import uuid_of
from millrace.source import RowChange
from millrace.types import Failure
from millrace.wire import Spec

Condition = Literal["Success", "RetriesExhausted", "EventAgeExceeded", "RetryAttemptsExhausted", "RecordAgeExceeded"]
Json = dict[str, Any]
_OK = 200
_OURS = re.compile("[0-9a-f]{32}")
_MOST_TEXT = 1024  # bytes of an error message in an attribute


def request_id(message_id: str) -> str:
    """The id of an invocation, the same on each of its tries: the message's own where that is a UUID.

    One that the system made (`types.new_id`) is shown as the UUID that it nearly is.
    """
    if _OURS.fullmatch(message_id):
        return uuid_of(message_id)
    try:
        return str(uuid.UUID(message_id)) if len(message_id) == 36 else _derived(message_id)
    except ValueError:
        return _derived(message_id)


def succeeded(spec: Spec, request_id: str, event: Any, value: bytes, *, attempts: int, now: float) -> Json:
    """The envelope of an asynchronous invocation that returned `value` (JSON)."""
    return _asynchronous(spec, request_id, "Success", event, attempts, now) | {
        "responseContext": _response(None),
        "responsePayload": msgspec.Raw(value),
    }


def failed(
    spec: Spec, request_id: str, condition: Condition, event: Any, failure: Failure, *, attempts: int, now: float
) -> Json:
    """The envelope of an asynchronous invocation that was given up; one that never ran has no response."""
    envelope = _asynchronous(spec, request_id, condition, event, attempts, now)
    if not attempts:
        return envelope
    return envelope | {
        "responseContext": _response(failure),
        "responsePayload": errors.document(failure, request_id),
    }


def stream_failed(
    spec: Spec,
    request_id: str,
    condition: Condition,
    changes: list[RowChange],
    failure: Failure,
    *,
    attempts: int,
    now: float,
) -> Json:
    """The envelope of changes that were given up: where they are in the stream, not what they are."""
    envelope: Json = {"requestContext": _request(spec, request_id, condition, attempts)}
    if attempts:
        envelope["responseContext"] = _response(failure)
    first, last = changes[0], changes[-1]
    return envelope | {
        "version": "1.0",
        "timestamp": millis_text(now),
        "DDBStreamBatchInfo": {
            "shardId": f"shardId-{int(first.at) // 14400 * 14400:020d}-millrace",
            "startSequenceNumber": dynamodb.sequence_number(first),
            "endSequenceNumber": dynamodb.sequence_number(last),
            "approximateArrivalOfFirstRecord": seconds_text(first.at),
            "approximateArrivalOfLastRecord": seconds_text(last.at),
            "batchSize": len(changes),
            "streamArn": dynamodb.stream_arn(first.table, spec),
        },
    }


def dead_letter_attributes(request_id: str, failure: Failure) -> dict[str, attributes.Attribute]:
    """What a dead letter says beside the event: RequestID, ErrorCode and ErrorMessage."""
    text = failure.message.encode()[:_MOST_TEXT].decode(errors="ignore")
    found = {"RequestID": attributes.text(request_id), "ErrorCode": attributes.text(str(_OK), "Number")}
    return found | ({"ErrorMessage": attributes.text(text)} if text else {})


def _asynchronous(spec: Spec, request_id: str, condition: Condition, event: Any, attempts: int, now: float) -> Json:
    return {
        "version": "1.0",
        "timestamp": millis_text(now),
        "requestContext": _request(spec, request_id, condition, attempts),
        "requestPayload": event,
    }


def _request(spec: Spec, request_id: str, condition: Condition, attempts: int) -> Json:
    return {
        "requestId": request_id,
        "functionArn": f"{function_arn(spec)}:{LATEST}",
        "condition": condition,
        "approximateInvokeCount": attempts,
    }


def _response(failure: Failure | None) -> Json:
    shown: Json = {"statusCode": _OK, "executedVersion": LATEST}
    return shown if failure is None else shown | {"functionError": "Unhandled"}


def _derived(message_id: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, message_id))
