"""Errors of the endpoint itself, each in the protocol that the client speaks.

    JSON          {"__type": code, "message": text}                                        DynamoDB, SQS, events, ...
    REST JSON     {"Type": "User", "Message": text}, the code in x-amzn-errortype           Lambda
    S3            <Error><Code>...</Code>...</Error>
    query         <ErrorResponse><Error><Type>Sender</Type><Code>...</Code>...</Error>      the older SQS, SNS, STS, IAM

Codes: each service's API reference, "Common Errors"; Amazon S3 API reference, "Error responses".
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from xml.sax.saxutils import escape

import msgspec

from millrace.aws.endpoint.call import Reply

_JSON = "application/x-amz-json-1.0"
_COMMON = {
    "MissingAuthenticationToken": 403,
    "IncompleteSignature": 400,
    "InvalidClientTokenId": 403,
    "SignatureDoesNotMatch": 403,
    "RequestExpired": 400,
    "RequestInTheFuture": 403,
    "PayloadMismatch": 403,
    "AccessDenied": 403,
    "RequestTooLarge": 413,
    "RequestTimeout": 400,
    "UnknownService": 404,
    "InvalidRequest": 400,
    "NotImplemented": 501,
    "Busy": 503,
    "ServiceUnavailable": 503,
    "InternalFailure": 500,
}
# What a reason is called where it is not called so.
_QUERY = {"RequestInTheFuture": "SignatureDoesNotMatch", "PayloadMismatch": "SignatureDoesNotMatch"} | {
    "UnknownService": "InvalidAction",
    "Busy": "Throttling",
    "RequestTooLarge": "RequestEntityTooLarge",
}
_CORAL = _QUERY | {
    "MissingAuthenticationToken": "MissingAuthenticationTokenException",
    "IncompleteSignature": "IncompleteSignatureException",
    "InvalidClientTokenId": "UnrecognizedClientException",
    "SignatureDoesNotMatch": "InvalidSignatureException",
    "RequestInTheFuture": "InvalidSignatureException",
    "PayloadMismatch": "InvalidSignatureException",
    "RequestExpired": "InvalidSignatureException",
    "AccessDenied": "AccessDeniedException",
    "UnknownService": "UnknownOperationException",
    "Busy": "ThrottlingException",
}
_S3 = {
    "MissingAuthenticationToken": "AccessDenied",
    "IncompleteSignature": "AuthorizationHeaderMalformed",
    "InvalidClientTokenId": "InvalidAccessKeyId",
    "RequestExpired": "RequestTimeTooSkewed",
    "RequestInTheFuture": "RequestTimeTooSkewed",
    "PayloadMismatch": "XAmzContentSHA256Mismatch",
    "RequestTooLarge": "EntityTooLarge",
    "UnknownService": "MethodNotAllowed",
    "Busy": "SlowDown",
    "InternalFailure": "InternalError",
}
_S3_STATUS = {"RequestExpired": 403, "RequestTooLarge": 400, "PayloadMismatch": 400, "IncompleteSignature": 400}


def fault(service: str, headers: Mapping[str, str], reason: str, text: str) -> Reply:
    """The answer to a call that `service` never saw; `reason` is one of AWS's common errors."""
    request_id = str(uuid.uuid4())
    if service == "s3":
        return _s3(reason, text, request_id)
    if service == "lambda":
        return _rest_json(_CORAL.get(reason, reason), text, _COMMON[reason], request_id)
    if "x-amz-target" in headers or headers.get("content-type", "").startswith("application/x-amz-json"):
        # SQS keeps the query protocol's codes in JSON, for clients that were written for it.
        names = _QUERY if service == "sqs" else _CORAL
        return _json(names.get(reason, reason), text, _COMMON[reason], request_id)
    return _query(_QUERY.get(reason, reason), text, _COMMON[reason], request_id)


def _json(code: str, text: str, status: int, request_id: str) -> Reply:
    who = "Sender" if status < 500 else "Receiver"
    headers = {"content-type": _JSON, "x-amzn-requestid": request_id, "x-amzn-query-error": f"{code};{who}"}
    return Reply(status, headers, msgspec.json.encode({"__type": code, "message": text}))


def _rest_json(code: str, text: str, status: int, request_id: str) -> Reply:
    headers = {"content-type": "application/json", "x-amzn-requestid": request_id, "x-amzn-errortype": code}
    kind = "User" if status < 500 else "Service"
    return Reply(status, headers, msgspec.json.encode({"Type": kind, "Message": text, "message": text}))


def _s3(reason: str, text: str, request_id: str) -> Reply:
    code, status = _S3.get(reason, reason), _S3_STATUS.get(reason, _COMMON[reason])
    body = _element("Error", Code=code, Message=text, RequestId=request_id)
    return _xml(status, body, {"x-amz-request-id": request_id})


def _query(code: str, text: str, status: int, request_id: str) -> Reply:
    who = "Sender" if status < 500 else "Receiver"
    inner = _element("Error", Type=who, Code=code, Message=text)
    body = f"<ErrorResponse>{inner}<RequestId>{request_id}</RequestId></ErrorResponse>"
    return _xml(status, body, {"x-amzn-requestid": request_id})


def _xml(status: int, body: str, headers: dict[str, str]) -> Reply:
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n{body}'
    return Reply(status, {"content-type": "text/xml", **headers}, text.encode())


def _element(name: str, **children: str) -> str:
    inner = "".join(f"<{child}>{escape(text)}</{child}>" for child, text in children.items())
    return f"<{name}>{inner}</{name}>"
