"""Messages of a queue, as Lambda's poller hands over what it received from SQS.

SQS carries text only. A body that is not UTF-8 arrives as base64, marked by the message attribute `millrace-encoding`
with the value `base64`; on AWS its sender would have had to do the same.

Shape: AWS Lambda developer guide, "Using Lambda with Amazon SQS"; the digest of the attributes: SQS developer guide,
"Calculating the MD5 message digest for message attributes".
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from typing import Any

from millrace.aws.arns import queue_arn
from millrace.types import Message
from millrace.wire import Spec

ENCODING_ATTRIBUTE = "millrace-encoding"
_OURS = "millrace-"
_STRING = len("String").to_bytes(4, "big") + b"String" + b"\x01"  # the data type, then: the value is a string

Json = dict[str, Any]


def event(
    messages: Sequence[Message],
    attempts: Sequence[int],
    receipts: Sequence[str],
    *,
    queue: str,
    spec: Spec,
    now: float,
) -> Json:
    """`{"Records": [...]}` for messages that are handed over together; the lists are of one length.

    `ApproximateFirstReceiveTimestamp` is `now` on the first delivery; on later ones the time it was sent, since
    brokers do not keep the former. `SenderId` is the account, as SQS has it for an account's own root user.
    """
    return {
        "Records": [
            _record(message, attempt, receipt, queue, spec, now)
            for message, attempt, receipt in zip(messages, attempts, receipts, strict=True)
        ]
    }


def digest(attributes: dict[str, str]) -> str:
    """SQS's MD5 of string attributes: by name, each part behind its length (4 bytes, big endian)."""
    md5 = hashlib.md5(usedforsecurity=False)
    for name in sorted(attributes):
        md5.update(_sized(name) + _STRING + _sized(attributes[name]))
    return md5.hexdigest()


def _sized(text: str) -> bytes:
    data = text.encode()
    return len(data).to_bytes(4, "big") + data


def _record(message: Message, attempt: int, receipt: str, queue: str, spec: Spec, now: float) -> Json:
    body, attributes = _text(message)
    record: Json = {
        "messageId": message.id,
        "receiptHandle": receipt,
        "body": body,
        "attributes": _system(message, attempt, spec, now),
        "messageAttributes": {name: _attribute(value) for name, value in attributes.items()},
        "md5OfBody": hashlib.md5(body.encode(), usedforsecurity=False).hexdigest(),
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn(spec, queue, fifo=bool(message.group)),
        "awsRegion": spec.region,
    }
    if attributes:
        record["md5OfMessageAttributes"] = digest(attributes)
    return record


def _text(message: Message) -> tuple[str, dict[str, str]]:
    """The body as text, and the attributes that SQS would have carried."""
    attributes = {name: value for name, value in message.attributes.items() if not name.startswith(_OURS)}
    try:
        return message.body.decode(), attributes
    except UnicodeDecodeError:
        attributes[ENCODING_ATTRIBUTE] = "base64"
        return b64encode(message.body).decode(), attributes


def _system(message: Message, attempt: int, spec: Spec, now: float) -> dict[str, str]:
    sent = str(int(message.sent_at * 1000))
    attributes = {
        "ApproximateReceiveCount": str(attempt),
        "SentTimestamp": sent,
        "SenderId": spec.account,
        "ApproximateFirstReceiveTimestamp": str(int(now * 1000)) if attempt <= 1 else sent,
    }
    if message.group:
        attributes["MessageGroupId"] = message.group
        attributes["MessageDeduplicationId"] = message.id
        attributes["SequenceNumber"] = f"{int(message.sent_at * 1_000_000):020d}"
    return attributes


def _attribute(value: str) -> Json:
    return {"stringValue": value, "stringListValues": [], "binaryListValues": [], "dataType": "String"}
