"""Messages of a queue, as Lambda's poller hands over what it received from SQS.

SQS carries text only. A body that is not UTF-8 arrives as base64, marked by the message attribute `millrace-encoding`
with the value `base64`; on AWS its sender would have had to do the same.

Shape: AWS Lambda developer guide, "Using Lambda with Amazon SQS"; SQS API reference, "ReceiveMessage".
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

from millrace.aws import attributes as typed
from millrace.aws.arns import queue_arn
from millrace.aws.attributes import Attribute
from millrace.broker import DEAD_FROM_ATTRIBUTE
from millrace.types import Message
from millrace.wire import Spec

ENCODING_ATTRIBUTE = "millrace-encoding"

Json = dict[str, Any]


def event(
    messages: Sequence[Message],
    attempts: Sequence[int],
    receipts: Sequence[str],
    *,
    queue: str,
    spec: Spec,
    now: float,
    first_taken: Sequence[float] = (),
    sequences: Sequence[int] = (),
) -> Json:
    """`{"Records": [...]}` for messages that are handed over together; the lists are of one length.

    Where the broker keeps no time of the first delivery, `ApproximateFirstReceiveTimestamp` is `now` on the first and
    the time of sending on later ones; where it numbers nothing, so is `SequenceNumber`, in microseconds. `SenderId` is
    the account, as SQS has it for an account's own root user.
    """
    deliveries = zip_longest(messages, attempts, receipts, first_taken, sequences)
    return {
        "Records": [
            _record(message, receipt, _system(message, attempt, spec, taken or 0.0, sequence or 0, now), queue, spec)
            for message, attempt, receipt, taken, sequence in deliveries
        ]
    }


def _record(message: Message, receipt: str, system: dict[str, str], queue: str, spec: Spec) -> Json:
    body, attributes = _text(message)
    record: Json = {
        "messageId": message.id,
        "receiptHandle": receipt,
        "body": body,
        "attributes": system,
        "messageAttributes": {name: _attribute(value) for name, value in attributes.items()},
        "md5OfBody": hashlib.md5(body.encode(), usedforsecurity=False).hexdigest(),
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn(spec, queue, fifo=bool(message.group)),
        "awsRegion": spec.region,
    }
    if attributes:
        record["md5OfMessageAttributes"] = typed.digest(attributes)
    return record


def _text(message: Message) -> tuple[str, dict[str, Attribute]]:
    """The body as text, and the attributes that SQS would have carried."""
    attributes = typed.read(message)
    try:
        return message.body.decode(), attributes
    except UnicodeDecodeError:
        attributes[ENCODING_ATTRIBUTE] = typed.text("base64")
        return b64encode(message.body).decode(), attributes


def _system(
    message: Message, attempt: int, spec: Spec, first_taken_at: float, sequence: int, now: float
) -> dict[str, str]:
    taken_at = first_taken_at or (now if attempt <= 1 else message.sent_at)
    attributes = {
        "ApproximateReceiveCount": str(attempt),
        "SentTimestamp": _milliseconds(message.sent_at),
        "SenderId": spec.account,
        "ApproximateFirstReceiveTimestamp": _milliseconds(taken_at),
    }
    if group := message.group or message.attributes.get(typed.GROUP_ATTRIBUTE):
        attributes["MessageGroupId"] = group
    if message.group:
        attributes["MessageDeduplicationId"] = message.attributes.get(typed.DEDUPE_ATTRIBUTE, message.id)
        attributes["SequenceNumber"] = f"{sequence or int(message.sent_at * 1_000_000):020d}"
    if trace := message.attributes.get(typed.TRACE_ATTRIBUTE):
        attributes["AWSTraceHeader"] = trace
    if source := message.attributes.get(DEAD_FROM_ATTRIBUTE):
        attributes["DeadLetterQueueSourceArn"] = queue_arn(spec, source, fifo=bool(message.group))
    return attributes


def _milliseconds(at: float) -> str:
    return str(round(at * 1000))


def _attribute(value: Attribute) -> Json:
    shown: Json = (
        {"stringValue": value.StringValue or ""}
        if value.BinaryValue is None
        else {"binaryValue": b64encode(value.BinaryValue).decode()}
    )
    return shown | {"stringListValues": [], "binaryListValues": [], "dataType": value.DataType}
