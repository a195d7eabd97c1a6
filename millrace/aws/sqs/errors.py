"""The errors of SQS, with the names and statuses that they have in each protocol.

Source: SQS API reference, "Errors" of each action and "Common Error Types"; the second name is the one that AWS gives
in `x-amzn-query-error`, by which SDKs know their exceptions.
"""

from __future__ import annotations

from typing import NamedTuple

_SQS = "com.amazonaws.sqs#"
_COMMON = "com.amazon.coral.service#"
_PREFIX = "AWS.SimpleQueueService."


class _Kind(NamedTuple):
    code: str  # of the query protocol
    status: int = 400  # of the query protocol; the JSON protocol's is 400 for all that the sender is to blame for
    namespace: str = _SQS


KINDS = {
    "QueueDoesNotExist": _Kind(_PREFIX + "NonExistentQueue"),
    "QueueNameExists": _Kind("QueueAlreadyExists"),
    "EmptyBatchRequest": _Kind(_PREFIX + "EmptyBatchRequest"),
    "TooManyEntriesInBatchRequest": _Kind(_PREFIX + "TooManyEntriesInBatchRequest"),
    "BatchEntryIdsNotDistinct": _Kind(_PREFIX + "BatchEntryIdsNotDistinct"),
    "InvalidBatchEntryId": _Kind(_PREFIX + "InvalidBatchEntryId"),
    "BatchRequestTooLong": _Kind(_PREFIX + "BatchRequestTooLong"),
    "MessageNotInflight": _Kind(_PREFIX + "MessageNotInflight"),
    "PurgeQueueInProgress": _Kind(_PREFIX + "PurgeQueueInProgress", 403),
    "UnsupportedOperation": _Kind(_PREFIX + "UnsupportedOperation"),
    "InvalidAttributeName": _Kind("InvalidAttributeName"),
    "InvalidAttributeValue": _Kind("InvalidAttributeValue"),
    "InvalidMessageContents": _Kind("InvalidMessageContents"),
    "ReceiptHandleIsInvalid": _Kind("ReceiptHandleIsInvalid", 404),
    "InvalidAddress": _Kind("InvalidAddress", 404),
    "OverLimit": _Kind("OverLimit", 403),
    "RequestThrottled": _Kind("RequestThrottled", 403),
    "ResourceNotFoundException": _Kind("ResourceNotFoundException", 404),
    "InvalidParameterValueException": _Kind("InvalidParameterValue", namespace=_COMMON),
    "MissingRequiredParameterException": _Kind("MissingParameter", namespace=_COMMON),
    "UnknownOperationException": _Kind("InvalidAction", namespace=_COMMON),
    "SerializationException": _Kind("MalformedInput", namespace=_COMMON),
    "ServiceUnavailableException": _Kind("ServiceUnavailable", 503, _COMMON),
}


class SqsError(Exception):
    """An action that cannot be done: `shape` is a key of KINDS, `message` is for the client's eyes."""

    def __init__(self, shape: str, message: str) -> None:
        super().__init__(message)
        self.shape = shape
        self.message = message
        kind = KINDS[shape]
        self.code = kind.code
        self.type = kind.namespace + shape
        self.query_status = kind.status
        self.sender = kind.status < 500
        self.json_status = 400 if self.sender else kind.status


def no_queue() -> SqsError:
    """The queue that was named is not there."""
    return SqsError("QueueDoesNotExist", "The specified queue does not exist.")


def missing(parameter: str) -> SqsError:
    """A parameter that has to be there is not."""
    return SqsError("MissingRequiredParameterException", f"The request must contain the parameter {parameter}.")


def invalid(message: str) -> SqsError:
    """A parameter has a value that it cannot have."""
    return SqsError("InvalidParameterValueException", message)


def invalid_value(value: object, parameter: str, reason: str) -> SqsError:
    """A parameter has a value that it cannot have, in the words in which AWS says it."""
    return invalid(f"Value {str(value)[:256]} for parameter {parameter} is invalid. Reason: {reason}")
