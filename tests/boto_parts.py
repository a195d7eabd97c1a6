"""boto3 over the whole endpoint without a socket: the client's requests go through the ASGI front, in one thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any
from urllib.parse import unquote, urlsplit

import boto3
from botocore.awsrequest import AWSResponse
from botocore.config import Config

ORIGIN, REGION = "http://127.0.0.1:8401", "eu-west-1"


def client_of(app: Callable[..., Any], loop: asyncio.AbstractEventLoop) -> Any:
    """A client of SQS whose requests an ASGI application answers in a loop that runs only meanwhile."""
    client = boto3.client(
        "sqs",
        endpoint_url=ORIGIN,
        region_name=REGION,
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=Config(retries={"max_attempts": 0}, parameter_validation=False),
    )

    def answer(request: Any, **_: Any) -> AWSResponse:
        return loop.run_until_complete(_answered(app, request))

    client.meta.events.register("before-send.sqs", answer)
    return client


async def _answered(app: Callable[..., Any], request: Any) -> AWSResponse:
    url = urlsplit(request.url)
    body = request.body.encode() if isinstance(request.body, str) else request.body or b""
    headers = [(b"host", url.netloc.encode()), *((_bytes(name), _bytes(value)) for name, value in _pairs(request))]
    scope = {
        "type": "http",
        "method": request.method,
        "path": unquote(url.path),
        "raw_path": url.path.encode(),
        "query_string": url.query.encode(),
        "headers": headers,
    }
    sent: list[dict[str, Any]] = []
    came = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive() -> dict[str, Any]:
        for event in came:
            return event
        await asyncio.Event().wait()  # the client stays
        raise AssertionError

    async def send(event: dict[str, Any]) -> None:
        sent.append(event)

    await app(scope, receive, send)
    found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    whole = b"".join(event.get("body", b"") for event in sent[1:])
    return AWSResponse(request.url, sent[0]["status"], found, _Raw(whole))


def _pairs(request: Any) -> Iterator[tuple[Any, Any]]:
    return ((name.lower(), value) for name, value in request.headers.items())


class _Raw(BytesIO):
    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self.getvalue()


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()
