"""A transport whose writes within one turn of the event loop leave together, or sooner, when all is said.

uvicorn writes an answer's head and body apart; a system call each, and as a rule a packet each, is a sixth of what a
small answer costs.
"""

from __future__ import annotations

import asyncio
from typing import Any


class JoinedTransport:
    """Everything of a transport, its writes held until the loop's next turn."""

    __slots__ = ("_call_soon", "_held", "_transport", "is_closing")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._call_soon = loop.call_soon
        self._held: list[bytes] = []
        self.is_closing = transport.is_closing  # asked again and again for each request

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send soon, in order, along with what else is written until then."""
        if not self._held:
            self._call_soon(self.flush)
        self._held.append(data)

    def close(self) -> None:
        """Send what is held, then close."""
        self.flush()
        self._transport.close()

    def flush(self) -> None:
        """Send what is held now."""
        if held := self._held:
            self._held = []
            self._transport.write(b"".join(held))
