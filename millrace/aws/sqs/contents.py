"""The rules for what a message carries beside its body: typed attributes, and the one system attribute.

Source: SQS developer guide, "Amazon SQS message metadata".
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from millrace.aws.sqs.errors import SqsError, invalid
from millrace.aws.sqs.limits import allowed
from millrace.aws.sqs.requests import MessageAttributeValue

TRACE = "AWSTraceHeader"
_MOST = 10
_NAME = re.compile(r"(?![.])(?!(?i:aws|amazon)[.])(?!.*[.][.])[A-Za-z0-9_.-]{1,256}(?<![.])")
_TYPE = re.compile(r"(String|Number|Binary)([.].+)?")
_NUMBER = re.compile(r"[+-]?([0-9]{1,128}([.][0-9]{0,128})?|[.][0-9]{1,128})([eE][+-]?[0-9]{1,3})?", re.ASCII)


def check_attributes(attributes: Mapping[str, MessageAttributeValue]) -> int:
    """The bytes that they take of the message's size. Raises SqsError."""
    if len(attributes) > _MOST:
        raise invalid(f"Number of message attributes [{len(attributes)}] exceeds the allowed maximum [{_MOST}].")
    return sum(_checked(name, value) for name, value in attributes.items())


def check_system(attributes: Mapping[str, MessageAttributeValue]) -> str:
    """The X-Ray header, the one system attribute that can be sent. Raises SqsError."""
    for name, value in attributes.items():
        if name != TRACE:
            raise invalid(f"Message system attribute name '{name[:256]}' is invalid.")
        if value.DataType != "String" or not value.StringValue:
            raise invalid(f"Message system attribute '{name}' must be a non-empty value of type 'String'.")
        if not allowed(value.StringValue.encode()):
            raise _forbidden(name)
    return (attributes[TRACE].StringValue or "") if attributes else ""


def _checked(name: str, value: MessageAttributeValue) -> int:
    if _NAME.fullmatch(name) is None:
        start = "can contain only A-Z, a-z, 0-9, underscores, hyphens and periods, not begin or end with a period"
        raise invalid(f"Message (user) attribute name '{name[:256]}' is invalid: it {start} nor with AWS. or Amazon.")
    if value.StringListValues or value.BinaryListValues:
        raise SqsError(
            "UnsupportedOperation", "Message attribute list values in SendMessage operation are not supported."
        )
    kind = _kind(name, value.DataType)
    return len(name) + len(value.DataType.encode()) + len(_content(name, kind, value))


def _kind(name: str, data_type: str) -> str:
    if not data_type:
        raise invalid(f"The message (user) attribute '{name}' must contain a non-empty message attribute type.")
    found = _TYPE.fullmatch(data_type)
    if found is None or len(data_type) > 256 or not allowed(data_type.encode()):
        problem = f"The type of message (user) attribute '{name}' is invalid."
        raise invalid(f"{problem} You must use only the following supported type prefixes: Binary, Number, String.")
    return found[1]


def _content(name: str, kind: str, value: MessageAttributeValue) -> bytes:
    binary = kind == "Binary"
    content = value.BinaryValue if binary else (value.StringValue or "").encode()
    other = value.StringValue if binary else value.BinaryValue
    if not content or other is not None:
        raise invalid(f"The message (user) attribute '{name}' must contain a non-empty value of type '{kind}'.")
    if not binary and not allowed(content):
        raise _forbidden(name)
    if kind == "Number" and _NUMBER.fullmatch(content.decode()) is None:
        raise invalid(f"Can't cast the value of message (user) attribute '{name}' to a number.")
    return content


def _forbidden(name: str) -> SqsError:
    return SqsError("InvalidMessageContents", f"Invalid characters found in the value of attribute '{name}'.")
