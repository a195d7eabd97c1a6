"""Refusing a body that is still on its way, so that the client hears why.

Closing at once would reset the connection, and a client that only reads when it has sent everything (most do) would
see the reset and not the answer. So the answer goes out, what still comes is thrown away for a while, then it ends.
"""

from __future__ import annotations

import asyncio
import contextlib

from starlette.types import Receive, Send

from millrace.sources.http.replies import Reply

_CLOSE = (b"connection", b"close")


async def send_and_linger(reply: Reply, receive: Receive, send: Send, limit_s: float) -> None:
    """Send a reply, discard the rest of the request for at most limit_s, and close the connection."""
    closing = Reply(reply.status, reply.body, reply.content_type, (*reply.headers, _CLOSE))
    await closing.send(send, more=True)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            while (await receive()).get("more_body", False):
                pass
    await send({"type": "http.response.body", "body": b""})
