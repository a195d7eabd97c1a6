"""The gateway before it has its queues: whoever asks hears that it starts, and may ask again."""

from __future__ import annotations

from starlette.types import Receive, Scope, Send

from millrace.sources.http import problems
from millrace.sources.http.replies import json_reply


async def starting(scope: Scope, receive: Receive, send: Send) -> None:
    """An ASGI application: /healthz answers 200, and everything else 503."""
    if scope["type"] != "http":
        raise RuntimeError(f"the gateway serves http, not {scope['type']}")
    reply = json_reply({"status": "ok"}) if scope["path"] == "/healthz" else problems.starting().reply()
    await reply.send(send)
