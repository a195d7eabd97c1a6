"""A request, as API Gateway's proxy integrations hand it to Lambda: payload 1.0 (REST API) and 2.0 (HTTP API).

Shapes: API Gateway developer guide, "Input format of a Lambda function for proxy integration" (1.0) and "Create AWS
Lambda proxy integrations for HTTP APIs" (2.0). Header names are lower case in 2.0. A REST API passes on the case that
the client wrote, which the server does not keep: in 1.0 they are capitalised (Content-Type), as most clients do.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any
from urllib.parse import urlencode

from millrace.aws.moments import log_text, millis
from millrace.source import DEFAULT_ROUTE, HttpRequest
from millrace.wire import Spec

# What an HTTP API passes on as text; forms are base64 there, which surprises many.
_TEXTUAL = frozenset({"application/json", "application/xml", "application/javascript"})
_PORTS = {"http": "80", "https": "443"}
_IDENTITY = (
    "accessKey",
    "accountId",
    "caller",
    "cognitoAuthenticationProvider",
    "cognitoAuthenticationType",
    "cognitoIdentityId",
    "cognitoIdentityPoolId",
    "principalOrgId",
    "user",
    "userArn",
)

Json = dict[str, Any]


def event(payload: str, request: HttpRequest, spec: Spec, request_id: str) -> Json:
    """The event of `payload` v1 or v2; anything but v1 is v2, API Gateway's own default."""
    return v1(request, spec, request_id) if payload == "v1" else v2(request, spec, request_id)


def v2(request: HttpRequest, spec: Spec, request_id: str) -> Json:
    """Payload 2.0: repeated query parameters joined by commas, cookies apart, parts that are empty left out."""
    headers = _headers(request)
    cookies = headers.pop("cookie", "")
    body, is_base64 = _body(request, text=_is_textual(headers)) if request.body else ("", False)
    host = headers.get("host", "")
    route = DEFAULT_ROUTE if request.route == DEFAULT_ROUTE else f"{request.method} {request.route}"
    shown: Json = {
        "version": "2.0",
        "routeKey": route,
        "rawPath": request.path,
        "rawQueryString": urlencode(request.query) if request.query else "",
        "headers": headers,
        "requestContext": {
            "accountId": spec.account,
            "apiId": spec.service,
            "domainName": host,
            "domainPrefix": host.partition(".")[0],
            "http": {
                "method": request.method,
                "path": request.path,
                "protocol": "HTTP/1.1",
                "sourceIp": request.source_ip,
                "userAgent": headers.get("user-agent", ""),
            },
            "requestId": request_id,
            "routeKey": route,
            "stage": "$default",
            "time": log_text(request.at),
            "timeEpoch": millis(request.at),
        },
        "isBase64Encoded": is_base64,
    }
    if cookies:
        shown["cookies"] = [cookie.strip() for cookie in cookies.split(";") if cookie.strip()]
    if request.query:
        shown["queryStringParameters"] = {name: ",".join(values) for name, values in _grouped(request.query).items()}
    if request.path_parameters:
        shown["pathParameters"] = dict(request.path_parameters)
    if request.body:
        shown["body"] = body
    return shown


def v1(request: HttpRequest, spec: Spec, request_id: str) -> Json:
    """Payload 1.0: single and repeated values side by side, parts that are empty null."""
    headers = _headers(request)
    body, is_base64 = _body(request, text=True)
    query = _grouped(request.query)
    host, shown = headers.get("host", ""), {_title(name): value for name, value in headers.items()}
    stage = spec.stage or "$default"
    return {
        "resource": request.route,
        "path": request.path,
        "httpMethod": request.method,
        "headers": shown,
        "multiValueHeaders": {name: [value] for name, value in shown.items()},
        "queryStringParameters": {name: values[-1] for name, values in query.items()} or None,
        "multiValueQueryStringParameters": query or None,
        "pathParameters": dict(request.path_parameters) or None,
        "stageVariables": None,
        "requestContext": {
            "accountId": spec.account,
            "apiId": spec.service,
            "domainName": host,
            "domainPrefix": host.partition(".")[0],
            "extendedRequestId": request_id,
            "httpMethod": request.method,
            "identity": _identity(request, headers),
            "path": f"/{stage}{request.path}",
            "protocol": "HTTP/1.1",
            "requestId": request_id,
            "requestTime": log_text(request.at),
            "requestTimeEpoch": millis(request.at),
            "resourceId": request.route.strip("/") or "root",
            "resourcePath": request.route,
            "stage": stage,
        },
        "body": body if request.body else None,
        "isBase64Encoded": is_base64,
    }


def _identity(request: HttpRequest, headers: dict[str, str]) -> Json:
    """Who asks; the API key stands there only where the method asks for one."""
    known: Json = {"sourceIp": request.source_ip, "userAgent": headers.get("user-agent")}
    if request.key_name:
        known |= {"apiKey": headers.get("x-api-key"), "apiKeyId": request.key_name}
    return dict.fromkeys(_IDENTITY) | known


def _headers(request: HttpRequest) -> dict[str, str]:
    """The headers as a mapping, with the three that API Gateway adds."""
    headers: dict[str, str] = {}
    for name, value in request.headers:
        between = "; " if name == "cookie" else ","
        headers[name] = f"{headers[name]}{between}{value}" if name in headers else value
    forwarded = headers.get("x-forwarded-for")
    headers["x-forwarded-for"] = f"{forwarded}, {request.source_ip}" if forwarded else request.source_ip
    protocol = headers.setdefault("x-forwarded-proto", "http")
    headers.setdefault("x-forwarded-port", _port(headers.get("host", "")) or _PORTS.get(protocol, "80"))
    return headers


def _title(name: str) -> str:
    return "-".join(part.capitalize() for part in name.split("-"))


def _port(host: str) -> str:
    _, _, port = host.rpartition(":")
    return port if port.isdigit() else ""


def _grouped(pairs: list[tuple[str, str]]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for name, value in pairs:
        grouped.setdefault(name, []).append(value)
    return grouped


def _is_textual(headers: dict[str, str]) -> bool:
    """Whether the body's type says text; a body of no type is text when it reads as such."""
    kind = headers.get("content-type", "text/plain").partition(";")[0].strip().lower()
    return kind.startswith("text/") or kind in _TEXTUAL or kind.endswith(("+json", "+xml"))


def _body(request: HttpRequest, *, text: bool) -> tuple[str, bool]:
    """The body and whether it is base64; what claims to be text but is not UTF-8 is base64 too."""
    try:
        if text:
            return request.body.decode(), False
    except UnicodeDecodeError:
        pass
    return b64encode(request.body).decode(), bool(request.body)
