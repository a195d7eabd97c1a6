"""The bound of `warm`: an ASGI application that says what the hello handler would say, and calls nothing.

    python -m uvicorn benchmarks.constant:app

No server of Python's that reads HTTP as ours does can be faster; benchmarks/hop.py is the bound that calls a handler.
"""

from __future__ import annotations

from typing import Any

_BODY = b'{"message": "Hello world"}'
_START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(_BODY)).encode())],
}


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer at once."""
    await send(_START)
    await send({"type": "http.response.body", "body": _BODY})
