"""A call put to a WSGI application: the body is one piece of memory on either side, so nothing is streamed.

Shapes: PEP 3333. moto matches S3's keys against the path as it was sent, which it finds in RAW_URI; and it wants to
know how metadata headers with an underscore were spelt, which WSGI cannot say. Which service a request is for it reads
from the signature alone, and takes what is unsigned for S3's.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import unquote_to_bytes

from millrace.aws.endpoint.call import Call, Reply
from millrace.aws.endpoint.routing import FORM, SIGNING_NAMES, service_of, service_of_form
from millrace.aws.endpoint.signature import ALGORITHM, credential_of

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_PRESERVED = "moto.preserved_header_names"
_HOP_BY_HOP = {"transfer-encoding", "content-length", "connection", "expect"}


def answer(application: Application, call: Call) -> Reply:
    """The application's reply; what it raises comes through."""
    started: list[tuple[int, dict[str, str]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
        if exc_info is not None:
            raise exc_info[1]
        started.append((int(status.split(" ", 1)[0]), {name.lower(): value for name, value in headers}))
        return lambda data: None

    parts = application(environ(call), start_response)
    try:
        body = b"".join(parts)
    finally:
        close = getattr(parts, "close", None)
        if close is not None:
            close()
    status, headers = started[0]
    if call.method != "HEAD":
        headers.pop("content-length", None)
    return Reply(status, headers, body)


def environ(call: Call) -> dict[str, Any]:
    """The call as WSGI's environment."""
    host, _, port = call.headers.get("host", "127.0.0.1").partition(":")
    found: dict[str, Any] = {
        "REQUEST_METHOD": call.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(call.path).decode("latin-1"),
        "RAW_URI": f"{call.path}?{call.query}" if call.query else call.path,
        "QUERY_STRING": call.query,
        "SERVER_NAME": host,
        "SERVER_PORT": port or "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_LENGTH": str(len(call.body)),
        "CONTENT_TYPE": call.headers.get("content-type", ""),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(call.body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    preserved: dict[str, str] = {}
    for name, value in call.headers.items():
        if name in _HOP_BY_HOP or name == "content-type":
            continue
        key = f"HTTP_{name.upper().replace('-', '_')}"
        found[key] = value
        if "_" in name and name.startswith("x-amz-meta-"):
            preserved[key] = name
    if service := _unsigned_for(call):
        scope = f"Credential=local/20260101/{call.region}/{service}/aws4_request"
        found["HTTP_AUTHORIZATION"] = f"{ALGORITHM} {scope}, SignedHeaders=host, Signature=0"
    return found | {_PRESERVED: preserved, "HTTP_X_MOTO_ACCOUNT_ID": call.account}


def _unsigned_for(call: Call) -> str:
    """The service of a request that nobody signed; empty for a signed one, and for S3, which takes both."""
    if credential_of(call.headers, call.query) is not None:
        return ""
    service = service_of(call.method, call.path, call.query, call.headers)
    if service == FORM:
        service = service_of_form(call.body)
    return service if service in SIGNING_NAMES else ""
