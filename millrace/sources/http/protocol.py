"""uvicorn's HTTP/1.1 protocol over httptools, with bounds on the headers' size and time, which neither has."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from millrace.sources.http import problems
from millrace.sources.http.joined import JoinedTransport
from millrace.sources.http.requests import WHOLE

MAX_HEADER_BYTES = 65_536
HEADER_TIMEOUT_S = 30.0


class Protocol(HttpToolsProtocol):
    """Counts bytes and seconds until a request's headers are complete, and refuses in problem+json."""

    _head_bytes = 0
    _in_body = False
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # TLS and upgrades, for which uvicorn would hand its transport on, are not served here.
        self.transport = JoinedTransport(transport, self.loop)  # type: ignore[assignment]
        self._start_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not self._in_body:
            self._head_bytes += len(data)
        super().data_received(data)
        # Looked at behind the parser: what just arrived may have completed the headers, and hold a body as well.
        if self._in_body or not self._head_bytes or self.transport.is_closing():
            return
        if self._head_bytes > MAX_HEADER_BYTES:
            self._refuse(problems.headers_too_large(MAX_HEADER_BYTES))
        elif self._deadline is None:
            self._start_deadline()

    def on_headers_complete(self) -> None:
        self._in_body = True
        self._head_bytes = 0
        self._stop_deadline()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_body = False
        self.scope[WHOLE] = True  # type: ignore[literal-required]  # our own
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self.transport.flush()  # type: ignore[attr-defined]  # nothing more comes: a turn of the loop less to wait
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(problems.not_http())

    def _start_deadline(self) -> None:
        self._deadline = self.loop.call_later(HEADER_TIMEOUT_S, self._too_late)

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_late(self) -> None:
        self._refuse(problems.headers_too_slow(HEADER_TIMEOUT_S))

    def _refuse(self, problem: problems.Problem) -> None:
        reply = problem.reply()
        head = [
            f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}".encode(),
            b"content-type: " + problems.CONTENT_TYPE,
            b"content-length: %d" % len(reply.body),
            b"connection: close",
        ]
        self.transport.write(b"\r\n".join(head) + b"\r\n\r\n" + reply.body)
        self.transport.close()
