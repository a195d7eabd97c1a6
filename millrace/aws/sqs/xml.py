"""Writing the query protocol's answers: XML, flattened like its requests.

Source: SQS API reference of 2012-11-05, "Making query API requests" and "Interpreting responses".
"""

from __future__ import annotations

import re
from base64 import b64encode
from typing import Any

import msgspec

from millrace.aws.sqs.errors import SqsError
from millrace.aws.sqs.members import Member, key_of, members

_NAMESPACE = "http://queue.amazonaws.com/doc/2012-11-05/"
_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\r": "&#13;"})


def answer(action: str, result: msgspec.Struct | None, request_id: str) -> bytes:
    """`<SendMessageResponse>` around the result's members."""
    inner = "" if result is None else f"<{action}Result>{_struct(result)}</{action}Result>"
    metadata = f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>"
    return f'{_HEAD}<{action}Response xmlns="{_NAMESPACE}">{inner}{metadata}</{action}Response>'.encode()


def refusal(error: SqsError, request_id: str) -> bytes:
    """`<ErrorResponse>` with the error's code."""
    fault = "Sender" if error.sender else "Receiver"
    inner = f"<Type>{fault}</Type><Code>{error.code}</Code><Message>{escaped(error.message)}</Message><Detail/>"
    tail = f"<RequestId>{request_id}</RequestId>"
    return f'{_HEAD}<ErrorResponse xmlns="{_NAMESPACE}"><Error>{inner}</Error>{tail}</ErrorResponse>'.encode()


def escaped(text: str) -> str:
    """Text as XML may carry it; characters that XML knows no way to write become U+FFFD."""
    return _ILLEGAL.sub("\ufffd", text).translate(_ESCAPES)


def _struct(struct: msgspec.Struct) -> str:
    return "".join(_member(getattr(struct, member.field), member) for member in members(type(struct)))


def _member(value: Any, member: Member) -> str:
    if value is None:
        return ""
    if member.kind == "list":
        return "".join(_element(member.element, item) for item in value)
    if member.kind == "map":
        key = key_of(member.element)
        return "".join(
            f"<{member.element}><{key}>{escaped(name)}</{key}>{_element('Value', item)}</{member.element}>"
            for name, item in value.items()
        )
    return _element(member.element, value)


def _element(name: str, value: Any) -> str:
    if isinstance(value, msgspec.Struct):
        inner = _struct(value)
    elif isinstance(value, bytes):
        inner = b64encode(value).decode()
    elif isinstance(value, bool):
        inner = "true" if value else "false"
    else:
        inner = escaped(str(value))
    return f"<{name}>{inner}</{name}>"
